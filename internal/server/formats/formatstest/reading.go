package formatstest

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// HEAD is GET without a body.
func testHead(t *testing.T, x *sample) {
	x.published(x.app, x.Version(0), "one")
	calls := []Call{x.Document, {Method: "GET", Path: x.Asset(x.Version(0))}}
	for _, info := range x.protocol.Routes() {
		if info.Method == http.MethodGet {
			calls = append(calls, x.example(info))
		}
	}
	for _, c := range calls {
		// By itself, net/http's client asks for gzip with GET only.
		c.Headers = append(slices.Clone(c.Headers), "Accept-Encoding: identity")
		get := x.call(Reader, x.app, c)
		c.Method = http.MethodHead
		head := x.call(Reader, x.app, c)
		if head.StatusCode != get.StatusCode || head.Body != "" {
			t.Errorf("HEAD %s: %d with %d bytes; GET: %d", c.Path, head.StatusCode, len(head.Body), get.StatusCode)
		}
		if get.StatusCode == http.StatusTemporaryRedirect {
			continue // the address in the store is for GET alone
		}
		for _, name := range []string{"Content-Type", "ETag", "Cache-Control", "Content-Length", "Location"} {
			if g, h := get.Header.Get(name), head.Header.Get(name); g != h && !(name == "Content-Length" && h == "") {
				t.Errorf("%s: HEAD has %s %q, GET %q", c.Path, name, h, g)
			}
		}
	}
}

func testAssetRanges(t *testing.T, x *sample) {
	x.published(x.app, x.Version(0), strings.Repeat("0123456789", 10))
	whole := x.asset(x.app, x.Version(0), http.StatusOK)
	n := len(whole.Body)
	etag := whole.Header.Get("ETag")
	for _, c := range []struct {
		headers []string
		status  int
		body    string
	}{
		{[]string{"Range: bytes=1-3"}, http.StatusPartialContent, whole.Body[1:4]},
		{[]string{"Range: bytes=-4"}, http.StatusPartialContent, whole.Body[n-4:]},
		{[]string{"Range: bytes=2-", "If-Range: " + etag}, http.StatusPartialContent, whole.Body[2:]},
		{[]string{"Range: bytes=2-", `If-Range: "other"`}, http.StatusOK, whole.Body},
	} {
		r := x.call(Reader, x.app, Call{Method: "GET", Path: x.Asset(x.Version(0)), Headers: c.headers})
		if r.StatusCode != c.status || r.Body != c.body {
			t.Errorf("%v: %d with %d bytes", c.headers, r.StatusCode, len(r.Body))
		}
	}
	beyond := x.call(Reader, x.app, Call{Method: "GET", Path: x.Asset(x.Version(0)), Headers: []string{"Range: bytes=10000000-"}})
	if beyond.StatusCode != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("a range beyond the end: %d", beyond.StatusCode)
	}
}

// A client that has an answer gets 304 until something is published.
func testRevalidation(t *testing.T, x *sample) {
	x.published(x.app, x.Version(0), "one")
	again := func(c Call, etag string) int {
		c.Headers = append(append([]string{}, c.Headers...), "If-None-Match: "+etag)
		return x.call(Reader, x.app, c).StatusCode
	}
	asset := Call{Method: "GET", Path: x.Asset(x.Version(0))}
	etag := x.call(Reader, x.app, x.Document).Header.Get("ETag")
	for _, c := range []Call{x.Document, asset} {
		tag := x.call(Reader, x.app, c).Header.Get("ETag")
		if got := again(c, tag); tag == "" || got != http.StatusNotModified {
			t.Errorf("%s with the ETag %s: %d", c.Path, tag, got)
		}
		if got := again(c, `"other"`); got != http.StatusOK {
			t.Errorf("%s with another ETag: %d", c.Path, got)
		}
	}
	x.published(x.app, x.Version(1), "two")
	if got := again(x.Document, etag); got != http.StatusOK {
		t.Errorf("the document after a publication: %d", got)
	}
}

// What clients see of a version follows from its status.
func testStatuses(t *testing.T, x *sample) {
	x.published(x.app, x.Version(0), "one")
	x.published(x.app, x.Version(1), "two")
	version := x.Version(1)
	admin := authn.WithCaller(t.Context(), x.Caller(Admin))
	set := func(target packages.Status) {
		t.Helper()
		sel := packages.Selection{Versions: []string{version}}
		var out packages.Outcome
		var err error
		if target == packages.Disposed {
			out, err = x.Packages.DisposeVersions(admin, App, x.Package, sel)
		} else {
			out, err = x.Packages.UpdateVersionsStatus(admin, App, x.Package, sel, target)
		}
		if err != nil || len(out.Successful) != 1 {
			t.Fatalf("%s: %v, %+v", target, err, out)
		}
	}
	for _, c := range []struct {
		status packages.Status
		listed bool
		asset  int
	}{
		{packages.Unlisted, false, http.StatusOK},
		{packages.Archived, false, http.StatusNotFound},
		{packages.Published, true, http.StatusOK},
		{packages.Disposed, false, http.StatusNotFound},
	} {
		set(c.status)
		if got := x.lists(x.app, version); got != c.listed {
			t.Errorf("%s: listed %v: %.500s", c.status, got, x.document(x.app))
		}
		x.asset(x.app, version, c.asset)
		x.listed(x.app, x.Version(0), true)
	}
	if r := x.publish(Admin, x.app, version, "two"); r.StatusCode < 400 {
		t.Errorf("a Disposed version was published again: %d", r.StatusCode)
	}
	x.unfinished(admin)
}

// unfinished checks a version that waits for more assets: it is made of the files and
// the metadata of a Published one.
func (x *sample) unfinished(ctx context.Context) {
	x.t.Helper()
	from, to := x.Version(0), x.Version(2)
	p, err := x.Packages.Package(ctx, App, x.Package)
	if err != nil {
		x.t.Fatal(err)
	}
	v := p.Version(from)
	renamed := func(s string) string { return strings.ReplaceAll(s, from, to) }
	publication := packages.Publication{
		Repository: App, Package: x.Package, Version: to, Status: packages.Unfinished,
		Metadata: []byte(renamed(string(v.Metadata))), Description: &packages.Description{},
	}
	for _, a := range v.Assets {
		staged, err := x.Packages.Stage(ctx, App, x.Package, strings.NewReader("unfinished"), 1<<20)
		if err != nil {
			x.t.Fatal(err)
		}
		publication.Assets = append(publication.Assets, packages.StagedAsset{Name: renamed(a.Name), Content: staged, Metadata: []byte(renamed(string(a.Metadata)))})
	}
	if _, err := x.Packages.Publish(ctx, publication); err != nil {
		x.t.Fatal(err)
	}
	x.listed(x.app, to, false)
}

// A version in an upstream repository is read like one of the repository itself.
func testUpstream(t *testing.T, x *sample) {
	x.published(x.shared, x.Version(0), "one")
	x.listed(x.app, x.Version(0), true)
	got := x.asset(x.app, x.Version(0), http.StatusOK)
	if want := x.asset(x.shared, x.Version(0), http.StatusOK); got.Body != want.Body {
		t.Error("the asset has other bytes than in the upstream repository")
	}
	x.published(x.shared, x.Version(1), "two")
	x.listed(x.app, x.Version(1), true)
	// It has no document and no asset for those who may not read from the repository.
	for _, c := range []Call{x.Document, {Method: "GET", Path: x.Asset(x.Version(0))}} {
		if r := x.call(Stranger, x.app, c); r.StatusCode != http.StatusForbidden {
			t.Errorf("%s as a stranger: %d", c.Path, r.StatusCode)
		}
	}
}
