// Package registryimport copies what a live registry has into a Gatehouse: package versions
// ([Packages]) and container images ([Images]).
//
// Nothing is remembered between runs. What the destination has is compared with what the
// source has, and only the rest is sent, so a run that was interrupted anywhere goes on if it
// is started again. What the destination has with other bytes is never overwritten.
// A [Report] says what became of everything.
//
// Versions of a Gatehouse are exported and imported by its own operations: they keep
// everything. Other sources, such as AWS CodeArtifact, have no such operations. There a
// [Foreign] reads the files by CodeArtifact's API, publishes the version to a staging domain
// of the destination by the protocol of its format, so that the destination checks it and
// finds out all about it as it does for every publication, exports it from there, puts in
// what the source says of it (time, status, origin, revision), and imports that.
package registryimport
