// Package images is the container registry's store: its rules and its
// transactions, and no HTTP. The ECR API and the OCI endpoint are two doors of
// it, so that a rule (immutable tags, what a manifest needs, who may) stands
// here once and no door is weaker than the other.
//
// A registry is an account in a region. It holds repositories; a repository
// holds manifests by digest, tags that point at them, and links to blobs. A
// blob's bytes are kept once for each registry, whatever number of repositories
// link it.
//
// # Who may
//
// Every method authorizes itself, as its first step, with the IAM action that
// its comment names, on the repository's ARN and with the repository's policy
// and tags. The exceptions say why in their comments: the sweeps, and
// [Service.OpenGrantedBlob]. Repositories with their compiled policies are in memory, in an
// immutable snapshot that is replaced when a change has been committed, so that
// authorization reads no database. A caller who is not allowed gets AccessDenied
// whether the repository exists or not; RepositoryNotFound reaches only whom
// identity-based policies allow the action.
//
// # What is safe when
//
// A blob's bytes are an object of the blob store whose name is made when the
// upload begins; the row that maps a digest to the object is the commit point.
// What a method has returned without an error survives a crash: bytes are synced
// before the row, and the row is committed before the answer. A crash leaves at
// most objects that no row names, which [Service.SweepObjects] removes.
//
// Readers go through caches (manifests, tags, where a blob is) that a change
// drops after its commit and before its answer. Nothing is hashed again on
// reading. Snapshot and caches hear of the changes of their own process alone:
// one process at a time serves a database.
package images
