// Package packages is the package store: CodeArtifact's domains, repositories,
// packages, versions and assets, and every rule about them. It knows no HTTP.
// The CodeArtifact API and the package endpoints of each format are doors to
// the same [Service], so that no door is weaker than another.
//
// # What is kept
//
// A domain belongs to an account and a region and holds repositories. A
// repository holds packages of any format and may have upstream repositories
// in the same domain, which are searched, in their order and depth first, for
// what it does not hold itself. A package has versions, a version has assets,
// and an asset is a name for bytes. The bytes are one object of package blob
// for each SHA-256 of a domain, however many repositories have them.
//
// # How formats fit in
//
// Nothing here depends on a format but the few rules in format.go: which names
// and versions are the same, how versions are ordered, whether a published
// version takes further assets. What a format's clients are told beyond that
// is opaque JSON, kept for a package, a version and an asset each.
//
// # Who may
//
// Every method takes the caller from the context and asks the [Authorizer]
// first, with CodeArtifact's action and resource (Service Authorization
// Reference, "Actions, resources, and condition keys for AWS CodeArtifact").
// What the caller may not do is refused before anything is looked up.
//
// # Speed and safety
//
// Domains, repositories and their compiled policies are held in an immutable
// snapshot that is replaced after each change, and packages in a bounded cache
// (see cache.go), so that a package already asked for is served without a read
// from the database. Both are kept by the process that makes the changes: a
// database has one process with a Service at a time.
//
// A change is one transaction; bytes are durable before the row that names
// them, and removed after the row is gone (see stage.go and sweep.go).
package packages
