// Package egress makes every outgoing request of the server: to package registries
// and to issuers of OpenID Connect tokens. It prevents server-side request forgery: a
// caller who can make the server fetch an address must not reach what only the server
// can reach. And it keeps a slow, broken or hostile server outside from taking the
// memory, connections or patience of this one.
//
// There are two clients, which share how addresses are checked:
//
//   - An [Upstream] is one remote registry with its settings: address, credentials,
//     authorities, proxy, limits. [Upstream.Do] makes a request and returns an answer
//     whose body is still being received, or an [*Error] that says what went wrong,
//     with which upstream, and what to do about it.
//   - A [Guard] makes plain http.Clients for documents of issuers that a configuration
//     or a caller names.
//
// A request of an upstream passes through
//
//	Do          builds the request; repeats it (retry.go)
//	http.Client follows redirects
//	hop         for each hop: scheme and host, credentials, headers (hop.go)
//	throttle    waits, or refuses, while the host asked to be left alone (throttle.go)
//	hostLimits  waits for one of the host's places, and for its rate (hostlimits.go)
//	dialer      the address that the name resolved to (address.go)
//	body        size, idle time, decompression (body.go)
//
// The address is checked when it is dialed, after its name was resolved, for each
// connection. So a redirect, a link in a document or a name that resolves differently
// the second time cannot lead to an internal address. If a proxy is used, it resolves
// names, and only addresses in URLs are checked here.
//
// The package imports no other package of the server.
package egress
