// Package formats is what the handlers of all package formats share. The packages
// below it speak one protocol each: npm, pypi, maven, nuget, cargo, ruby and swift.
//
// A request for a package endpoint reaches [Handler] first. It reads domain,
// repository and format from the address ([ParsePath], [ParseHostPath]),
// authenticates the request by the token of CodeArtifact's GetAuthorizationToken,
// checks that the token is for that domain, and passes a [Request] to the format's
// [Protocol]. Package packages decides what the caller may do, for every protocol
// alike. A protocol returns errors; Handler chooses the status, adds the challenge,
// writes the audit record, and lets the protocol write the error in its own form.
//
// A protocol embeds a [Base]: the store, the limits, the shared cache of documents, and
// a [Table] of routes. The table parses the address below the endpoint into a
// kind and its parts, and has one [Route] for each kind and method, with the
// CodeArtifact action that the audit record names and that the caller must be allowed.
// What the protocols share is here too: the challenges of a 401 ([Authentication]),
// the bytes of an asset ([ServeAsset]), a rendered [Document], kept among the format's
// [Documents] and made once for each revision of a package, checksum files
// ([Sums]), and the errors of a publication ([OverExisting], [BadContent]).
//
// CONTRIBUTING.md says how to add a format. Package packages has the rules for the
// names and versions of every format of CodeArtifact.
//
// A protocol imports this package, packages and base packages. It must not import
// another protocol, a database or policies.
package formats
