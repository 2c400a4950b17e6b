// Package upstreamtest is a package registry on this machine for tests. It stands in for
// a public registry, in every format: it serves what a test puts into it as originals do
// (validators, ranges, times, compression, a separate file host), and it can be told to
// fail in every way in which registries, networks and attackers do.
//
//	registry := upstreamtest.New(t)
//	registry.Put("/left-pad", upstreamtest.File{Body: packument, Type: "application/json"})
//	registry.Fail("/left-pad", upstreamtest.Times(1, upstreamtest.Status(503)))
//	upstream := registry.Upstream(t, "public:npmjs")
//	…
//	if n := registry.Count("/left-pad"); n != 2 { … }
//
// A [Server] is one host. For a registry whose files are on another host, take two, and
// name the second one in the first one's [Server.Config]:
//
//	files := upstreamtest.New(t)
//	config := registry.Config("public:pypi", files)
//
// Faults that take time ([Hold], [Stall]) end when the test releases them or the client
// leaves. Nothing here sleeps.
package upstreamtest
