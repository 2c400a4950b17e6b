// Package mirror makes a repository hold what lock files name, and checks that it does.
//
// [Plan.Add] reads the files. [Mirror.Check] asks CodeArtifact's API which of the versions the
// repository holds, with which hashes; no upstream is needed for that. [Mirror.Sync] then
// reads the others as a package client does, through the repository's package endpoints, so
// the repository takes them from its upstreams and external connections by its own rules.
// Each format has a [reader] that knows where its clients find the files of a version. A
// file counts as fetched only if its bytes have the hash of the lock file.
//
// Nothing is kept between runs: the repository itself says what is done, so a run that was
// interrupted goes on if it is started again. It works with AWS as well. Container images
// are copied by [Images].
package mirror
