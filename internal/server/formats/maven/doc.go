// Package maven speaks the protocol of Maven repositories: mvn, Gradle, sbt, Ivy,
// coursier and curl get and put files at GROUP/ARTIFACT/VERSION/FILE.
//
// # Files
//
// The group is the namespace of a package, the artifact its name, and a file an asset
// of a version ([parseLocation]). A PUT adds one file, in any order and in parallel
// with others of the same deployment. The POM tells what the CodeArtifact API answers
// about the version ([parsePOM]). Checksums (.sha1 and others) are computed: a PUT of
// one is compared with the file.
//
// # Indexes
//
// Clients find versions through maven-metadata.xml, at three levels: the plug-ins of a
// group, the versions of an artifact, the builds of a snapshot. Clients read, change
// and put it without a lock, so two deployments at once would lose a version. The
// server therefore writes it itself, from the versions that the repository and its
// upstreams have ([index]). What a client puts only says that the files of a version
// are complete.
package maven
