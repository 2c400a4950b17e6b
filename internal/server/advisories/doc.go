// Package advisories keeps advisories about vulnerable and malicious packages, in the
// format of OSV (Open Source Vulnerability format, version 1). [Parse] reads a document,
// [Service.Import] stores what it says, and [Service.About] answers from memory: the
// [index] has everything, by package. The change feed tells the servers on one database
// what was imported.
//
// What an advisory means is decided by package packages, whose interface
// [packages.Advisories] the [Service] implements. Nothing is downloaded: files are
// imported by hand.
package advisories
