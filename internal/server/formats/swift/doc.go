// Package swift serves Swift's package manager: the Swift package registry service
// (SE-0292, SE-0391; "Swift Package Registry Service Specification", version 1), below
// the endpoint of a repository. [Handler] is its [formats.Protocol].
//
//	GET  /{scope}/{name}                          the releases of a package
//	GET  /{scope}/{name}/{version}                about a release
//	GET  /{scope}/{name}/{version}/Package.swift  its manifest, or the one for a version of Swift
//	GET  /{scope}/{name}/{version}.zip            its source archive
//	PUT  /{scope}/{name}/{version}                publish
//	GET  /identifiers?url=                        the packages of a source repository
//	POST /login, GET /availability                whether the token, and the server, are fine
//
// Scopes and names are the same in every case; the store has them in lower case.
// Clients pin the checksum of an archive at the first download, so a release never
// changes.
//
// On Linux, the client waits forever after a 401 that offers Basic. So a 401 offers
// Bearer alone. A part of a publication says that it is
// quoted-printable although it is not, so parts are read as they are; otherwise the
// signatures would not fit them.
//
// route.go parses addresses, publish.go receives a release and finds the manifests in it,
// metadata.go has what the store keeps of it, and read.go answers.
package swift
