// Package advisories keeps advisories about vulnerable and malicious packages, in the
// format of OSV (Open Source Vulnerability format, version 1). [Parse] reads a document,
// [Service.Import] stores what it says, and [Service.About] answers from memory: the
// [index] has everything, by package. The change feed tells the servers on one database
// what was imported.
//
// A document comes from an import by hand ([Service.Import]) or from a [Source]: an
// address of the configuration with a zip or a file of documents. Work of the queue asks
// each source from time to time, on one server of the installation, and stores what is
// new (refresh.go, sourcefile.go).
//
// What an advisory means is decided by package packages, whose interface
// [packages.Advisories] the [Service] implements.
package advisories
