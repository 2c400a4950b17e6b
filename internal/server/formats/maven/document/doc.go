// Package document reads and writes the XML documents of Maven: the indexes
// (maven-metadata.xml) and the project object models. A publication (formats/maven) and
// another repository (source/maven) give the same.
package document
