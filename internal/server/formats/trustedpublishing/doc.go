// Package trustedpublishing lets CI jobs publish packages with nothing but the token that
// their CI system gives them: the token exchanges of npm and PyPI.
//
//	POST …/-/npm/v1/oidc/token/exchange/package/NAME   npm, pnpm, Yarn
//	GET  /_/oidc/audience                              uv, twine and others
//	POST /_/oidc/mint-token
//
// npm and the clients of PyPI ask at the root of the host, whatever the path of the
// repository; pnpm and Yarn ask below the repository. An AWS-shaped host names the domain,
// and so does the address of a repository. At the root of the server's own address,
// Config.Domains are searched.
//
// A [Handler] asks package packages for the roles that are trusted publishers of the
// package, package iam/sts for a session of the one that trusts the token, limited to
// publishing this package, and answers with a CodeArtifact token for the session. The
// credentials of the session never leave the server.
//
// All refusals have the same answer, so that a stranger does not learn which packages,
// roles and providers exist. The reason is in the audit record and, at a limited rate, in
// the log.
package trustedpublishing
