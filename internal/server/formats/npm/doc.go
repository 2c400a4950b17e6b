// Package npm is the door for npm, pnpm, Yarn and bun: the registry protocol
// that they speak, below a repository's endpoint.
//
// There is no specification of it. What is served is what the clients ask for,
// described in npm's own docs ("registry/REGISTRY-API", "package-metadata") and
// in the libraries that npm is made of (npm-registry-fetch, libnpmpublish):
//
//	GET    /{package}                                the document, whole or abbreviated
//	GET    /{package}/{version or tag}               one version
//	GET    /{package}/-/{name}-{version}.tgz         the tarball
//	PUT    /{package}                                publish, deprecate
//	PUT    /{package}/-rev/{rev}                     unpublish some versions
//	DELETE /{package}/-rev/{rev}                     unpublish the package
//	DELETE /{package}/-/{tarball}/-rev/{rev}         the end of unpublishing a version
//	       /-/package/{package}/dist-tags[/{tag}]    dist-tags
//	GET    /-/ping, /-/whoami, /-/v1/search
//
// where {package} is name, @scope/name or @scope%2fname. What else npm has an
// address for (logins, teams, tokens, audits) is refused with a reason.
//
// A version's metadata are its object in the document, without the readme and
// without what is known better from the tarball itself: its address and hashes,
// which [Door] adds when it renders.
package npm
