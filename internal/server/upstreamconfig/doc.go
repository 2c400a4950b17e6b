// Package upstreamconfig says which other registries a server can get packages from, and
// where the address of each comes from: the configuration file, or the settings of the
// package clients on this machine.
//
// [List] returns all of them, also those that cannot be used, with the reason.
// [Upstream.Open] returns the client of one.
//
// For a public registry without a configured address the settings of the ordinary clients
// are read, in the order in which the client itself looks (npm.go, python.go, cargo.go,
// maven.go, nuget.go, ruby.go): what reaches the registry from this machine for the client
// does so for the server. No address is built in: if none is found, the error names the
// setting. Settings are read when the server starts; no client is run.
//
// The package makes no request and imports no domain package but config and egress.
package upstreamconfig
