// Package formats is what the doors of all package formats share. A door speaks
// the protocol of one format's clients below a repository's endpoint; the
// packages below this one are the doors.
//
// A [Handler] stands before the doors. It reads the endpoint off the address
// ([ParsePath], [ParseHostPath]), authenticates the request by the token of
// CodeArtifact's GetAuthorizationToken, checks that the token is for the
// endpoint's domain, and hands a [Request] to the door of the format. What the
// caller may do is decided in package packages, behind every door alike. A door
// returns errors; the Handler gives each its status, adds the challenge, records
// it in the audit, and has the door write it in the words of its protocol.
//
// Two kinds of answers are served here for all of them: a rendered [Document],
// kept in a [DocumentCache] so that a package's listing is made once for each of
// its revisions, and an asset's bytes ([ServeAsset]).
package formats
