// Package npm serves npm, pnpm, Yarn and bun: the npm registry protocol, below the
// endpoint of a repository. [Handler] is its [formats.Protocol].
//
// The protocol has no specification. Served is what the clients ask for, described
// in npm's own docs ("registry/REGISTRY-API", "package-metadata") and in the
// libraries that npm consists of (npm-registry-fetch, libnpmpublish):
//
//	GET    /{package}                                the document, full or abbreviated
//	GET    /{package}/{version or tag}               one version
//	GET    /{package}/-/{name}-{version}.tgz         the tarball
//	PUT    /{package}                                publish, deprecate
//	PUT    /{package}/-rev/{rev}                     unpublish some versions
//	DELETE /{package}/-rev/{rev}                     unpublish the package
//	DELETE /{package}/-/{tarball}/-rev/{rev}         the last step of unpublishing a version
//	       /-/package/{package}/dist-tags[/{tag}]    dist-tags
//	GET    /-/ping, /-/whoami, /-/v1/search
//
// {package} is name, @scope/name or @scope%2fname. Requests for npm's other
// features (logins, teams, tokens, audits) get an error with the reason.
//
// A request goes through [Handler.Serve], which parses the address (route.go) and
// looks up the operation. read.go and render.go answer documents and tarballs;
// attachments.go, publish.go and metadata.go receive a publication; update.go and
// tags.go change what is said about published versions.
//
// The store keeps a version's object of the document as the version's metadata,
// without the readme and without what the tarball itself determines: its address
// and hashes, which are added when a document is rendered.
package npm
