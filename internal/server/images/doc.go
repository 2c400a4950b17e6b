// Package images is the container registry's store: its rules and transactions,
// without HTTP. Two handlers use it, the ECR API (api/ecrapi) and the registry
// endpoint (oci). A rule, for example about immutable tags, is written here once,
// so that both handlers follow it.
//
// A registry is an account in a region. It holds repositories. A repository holds
// manifests by digest, tags that point to manifests, and links to blobs. The bytes
// of a blob are stored once in each registry, however many repositories link to it.
//
// The main types are [Service], whose methods are the operations; [Repository],
// [Manifest], [Blob] and [Upload], which the methods return; and [RepositoryID] and
// [Reference], which name things.
//
// # Authorization
//
// The first step of every method is authorization, with the IAM action that the
// method's comment names, on the repository's ARN and with the repository's policy
// and tags. The exceptions give their reason in their comments: the sweeps, and
// [Service.OpenGrantedBlob]. Repositories and their compiled policies are in
// memory, in an immutable snapshot that is replaced after each commit, so
// authorization does not read the database. A caller who is not allowed gets
// AccessDenied whether the repository exists or not. RepositoryNotFound is returned
// only to callers whose identity-based policies allow the action.
//
// # Durability
//
// The bytes of a blob are an object in the blob store. The name of the object is
// chosen when the upload begins. The database row that maps a digest to the object
// is the commit point: the bytes are synced before the row is committed, and the
// row is committed before the caller gets an answer. So whatever a method has
// returned without an error survives a crash. A crash leaves at most objects that
// no row names; [Service.SweepObjects] removes them.
//
// Readers use caches (manifests, tags, locations of blobs). A change drops their
// entries after its commit and before its answer. Nothing is hashed again when it
// is read. If several servers share the database, the change feed makes the others do
// the same before the change is answered (follow.go). The caches never hold that
// something does not exist, so what is only added concerns no cache.
//
// # Pull-through cache
//
// If a rule of the registry is for the name of a repository, a pull first brings the image
// here from another registry (pullthrough.go, imageimport.go), unless it is here already.
//
// This package must not import a handler, or another domain package except authn, authz, and
// ociremote with egress, which read other registries.
package images
