// Package cargo serves cargo: a registry with a sparse index, below the endpoint of a
// repository. [Handler] is its [formats.Protocol]. The protocol is in The Cargo Book,
// "Registries", "Registry Index" and "Registry Web API".
//
//	GET    /config.json                                where the rest is
//	GET    /{prefix}/{crate}                           the index of a crate: a line for each version
//	GET    /api/v1/crates/{crate}/{version}/download   a .crate
//	PUT    /api/v1/crates/new                          publish
//	DELETE /api/v1/crates/{crate}/{version}/yank       yank; PUT …/unyank takes it back
//	GET    /api/v1/crates?q=                           search
//	GET    /api/v1/crates/{crate}[/versions]           about a crate and its versions
//	       /api/v1/crates/{crate}/owners               refused: IAM decides who publishes
//
// cargo asks for config.json without a token first and needs a 401 to send one. It
// reads the index again after a publication until it finds the version, so the index
// is rendered from the store's current revision of the package.
//
// A yanked version is Unlisted in the store: it stays in the index, marked, and can be
// downloaded, so lock files keep working. Archived and Disposed versions are not in
// the index.
//
// name.go has the rules of names and versions, publication.go and archive.go read and
// check what a client publishes, index.go renders the index, and describe.go makes the
// description that the CodeArtifact API answers.
package cargo
