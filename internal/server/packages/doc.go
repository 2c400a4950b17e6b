// Package packages is the package store: CodeArtifact's domains, repositories,
// packages, versions and assets, with all their rules. It knows no HTTP. The
// CodeArtifact API and the package endpoints of every format call the same
// [Service], so the same rules hold for all of them.
//
// # What is stored
//
// A domain belongs to an account and a region and contains repositories. A
// repository contains packages of any format and may have upstream repositories in
// the same domain. What the repository does not contain itself is searched there, in
// their order and depth first. A package has versions, a version has assets, and an
// asset is a name for bytes. The bytes are one object of package blob for each
// SHA-256 in a domain, whatever the number of repositories that contain them.
//
// # Formats
//
// format.go has the few rules that differ between formats: which names and versions
// are the same, how versions are ordered, whether a published version accepts further
// assets. Everything else that a format's clients need is opaque JSON, stored for a
// package, a version and an asset.
//
// # How a request flows
//
// Every method takes the caller from the context and first asks the [authz.Authorizer],
// with CodeArtifact's action and resource (Service Authorization Reference, "Actions,
// resources, and condition keys for AWS CodeArtifact"). Nothing is looked up for a
// caller who may not do it.
//
// A read ([Service.Package], [Service.OpenAsset]) then merges what the repository and
// its upstreams contain, usually from memory: domains, repositories and their
// compiled policies are in an immutable snapshot (snapshot.go), and packages are in a
// bounded cache (cache.go, record.go). If several servers share the database, the change
// feed brings the changes of the others into both before they are answered (follow.go).
//
// A publication is staged first ([Service.Stage], staging.go): its bytes become
// durable. Then [Service.Publish] writes the rows that name them, in one transaction.
// Deleting works the other way round: first the rows, then the bytes (sweep.go).
//
// # External connections
//
// A repository with an external connection also has what a registry elsewhere has. Package
// source reads it ([Remote]). remotesearch.go decides whether a registry is asked, and
// makes its answer one more record of the search. ingest.go downloads files, verifies and
// keeps them.
//
// This package imports no other domain package except authn, authz and policy.
package packages
