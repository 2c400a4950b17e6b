package formatstest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// A Call is one request of a client, to an address below an endpoint.
type Call struct {
	Method, Path, Body string
	// Headers are "Name: value".
	Headers []string
}

// A Format describes a format to [Conformance] by a sample package, of which the suite
// publishes versions. The examples of the format's routes are about its first version.
// Every field is required unless it says otherwise.
type Format struct {
	// Open makes the protocol.
	Open func(*packages.Service) formats.Protocol
	// Package is the sample package.
	Package packages.PackageID
	// Version returns one of its versions, which follow each other. Version(0) is the
	// one that the examples of routes name.
	Version func(n int) string
	// Publish returns the requests by which a client publishes a version. The bytes of
	// the version's main asset depend on content. After them the version is Published.
	Publish func(t testing.TB, version, content string) []Call
	// Published and Conflict are the statuses of the last request of Publish: after a
	// publication, also one of the same bytes again; and of the first request that has
	// other bytes for what exists.
	Published, Conflict int
	// Document is the request for the document by which clients choose a version.
	Document Call
	// Lists reports whether clients that read the document choose from the version. A
	// version that is listed as yanked or unlisted is not chosen.
	Lists func(t testing.TB, document, version string) bool
	// Asset is the path of the main asset of a version.
	Asset func(version string) string
	// Refusal returns the message of an error in the form that the clients read. It
	// fails the test if the answer has another form.
	Refusal func(t testing.TB, r Response) string
	// Body returns the body of a request for a route's example, and its headers, if it
	// needs one to be authorized. It may be nil.
	Body func(t testing.TB, r formats.RouteInfo) (body string, headers []string)
}

// Conformance checks that a format does what every format must do: authentication and
// challenges, the scope of tokens, the permission and the audit record of each route,
// HEAD, ranges, revalidation, the form of refusals, publishing again, the statuses of
// versions, interrupted and concurrent publications, upstream repositories, and large
// bodies of callers who may not publish.
func Conformance(t *testing.T, f Format) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, *sample)
	}{
		{"AuthenticationForms", testAuthenticationForms},
		{"Challenges", testChallenges},
		{"TokenScope", testTokenScope},
		{"ExpiredToken", testExpiredToken},
		{"Refusals", testRefusals},
		{"RoutePermissions", testRoutePermissions},
		{"RouteRecords", testRouteRecords},
		{"OtherMethods", testOtherMethods},
		{"Head", testHead},
		{"AssetRanges", testAssetRanges},
		{"Revalidation", testRevalidation},
		{"PublishAgain", testPublishAgain},
		{"Statuses", testStatuses},
		{"InterruptedPublish", testInterruptedPublish},
		{"StagedOnly", testStagedOnly},
		{"ConcurrentPublishers", testConcurrentPublishers},
		{"Upstream", testUpstream},
		{"LargeBodies", testLargeBodies},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, newSample(t, f)) })
	}
}

// A sample is a format on a fresh server.
type sample struct {
	Format
	*Server
	t        *testing.T
	protocol formats.Protocol
	// app and shared are the endpoints of the repositories.
	app, shared string
}

func newSample(t *testing.T, f Format) *sample {
	x := &sample{Format: f, t: t}
	x.Server = Start(t, func(p *packages.Service) map[packages.Format]formats.Protocol {
		x.protocol = f.Open(p)
		return map[packages.Format]formats.Protocol{f.Package.Format: x.protocol}
	})
	x.app, x.shared = x.Endpoint(App, f.Package.Format), x.Endpoint(Shared, f.Package.Format)
	return x
}

// call makes a request to an endpoint.
func (x *sample) call(u User, endpoint string, c Call) Response {
	x.t.Helper()
	r, err := x.do(u, endpoint, c)
	if err != nil {
		x.t.Fatal(err)
	}
	return r
}

// do is call for any goroutine.
func (x *sample) do(u User, endpoint string, c Call) (Response, error) {
	r, err := http.NewRequest(c.Method, endpoint+c.Path, strings.NewReader(c.Body))
	if err != nil {
		return Response{}, err
	}
	if u != "" {
		r.Header.Set("Authorization", "Bearer "+x.Token(u, Domain))
	}
	for _, h := range c.Headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	return x.send(r)
}

// publish publishes a version and returns the answer that decides: the first one that
// is an error, or the last.
func (x *sample) publish(u User, endpoint, version, content string) Response {
	x.t.Helper()
	r, err := x.tryPublish(u, endpoint, x.Publish(x.t, version, content))
	if err != nil {
		x.t.Fatal(err)
	}
	return r
}

func (x *sample) tryPublish(u User, endpoint string, calls []Call) (r Response, err error) {
	for _, c := range calls {
		if r, err = x.do(u, endpoint, c); err != nil || r.StatusCode >= 400 {
			return r, err
		}
	}
	return r, nil
}

// published publishes a version of which a client must be able to read everything.
func (x *sample) published(endpoint, version, content string) {
	x.t.Helper()
	if r := x.publish(Admin, endpoint, version, content); r.StatusCode != x.Published {
		x.t.Fatalf("publishing %s: %d, want %d: %.300s", version, r.StatusCode, x.Published, r.Body)
	}
	x.listed(endpoint, version, true)
	x.asset(endpoint, version, http.StatusOK)
}

// asset reads the asset of a version.
func (x *sample) asset(endpoint, version string, status int) Response {
	x.t.Helper()
	r := x.call(Reader, endpoint, Call{Method: "GET", Path: x.Asset(version)})
	if r.StatusCode != status {
		x.t.Fatalf("the asset of %s: %d, want %d: %.300s", version, r.StatusCode, status, r.Body)
	}
	return r
}

// document reads the document. It is empty if the package has no version.
func (x *sample) document(endpoint string) string {
	x.t.Helper()
	r := x.call(Reader, endpoint, x.Document)
	switch r.StatusCode {
	case http.StatusOK:
		return r.Body
	case http.StatusNotFound:
		return ""
	}
	x.t.Fatalf("the document: %d %.300s", r.StatusCode, r.Body)
	return ""
}

func (x *sample) lists(endpoint, version string) bool {
	x.t.Helper()
	document := x.document(endpoint)
	return document != "" && x.Lists(x.t, document, version)
}

func (x *sample) listed(endpoint, version string, want bool) {
	x.t.Helper()
	if got := x.lists(endpoint, version); got != want {
		x.t.Fatalf("version %s is listed: %v, want %v: %.500s", version, got, want, x.document(endpoint))
	}
}

// example is the request for a route's example.
func (x *sample) example(r formats.RouteInfo) Call {
	x.t.Helper()
	c := Call{Method: r.Method, Path: r.Example}
	if c.Method == "" {
		c.Method = http.MethodPost
	}
	if x.Body != nil {
		c.Body, c.Headers = x.Body(x.t, r)
	}
	return c
}
