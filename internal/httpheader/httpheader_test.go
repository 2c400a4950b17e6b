package httpheader_test

import (
	"net/http"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/httpheader"
)

func TestNegotiate(t *testing.T) {
	const (
		full  = "application/json"
		short = "application/vnd.npm.install-v1+json"
	)
	for _, c := range []struct {
		accept []string
		want   string
	}{
		{nil, full},
		{[]string{""}, full},
		{[]string{"*/*"}, full},
		{[]string{"application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"}, short},
		{[]string{"application/json; q=0.8", "application/vnd.npm.install-v1+json"}, short},
		{[]string{"application/*;q=0.5, application/json;q=0.4"}, short},
		{[]string{"APPLICATION/JSON"}, full},
		{[]string{"text/html"}, ""},
		{[]string{"application/json;q=0, */*;q=0.1"}, short},
		{[]string{"application/json;q=nonsense"}, ""},
		{[]string{"application/json;q=NaN"}, ""},
	} {
		got, ok := httpheader.Negotiate(http.Header{"Accept": c.accept}, full, short)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("Accept %q: %q %v, want %q", c.accept, got, ok, c.want)
		}
	}
}

func TestAcceptsGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "gzip": true, "br, gzip;q=0.5": true, "gzip;q=0, *": false, "*": true, "identity": false, "deflate, *;q=0": false,
	} {
		if got := httpheader.AcceptsGzip(http.Header{"Accept-Encoding": {header}}); got != want {
			t.Errorf("Accept-Encoding %q: %v", header, got)
		}
	}
}

func TestNoneMatch(t *testing.T) {
	const etag = `"sha256:ab"`
	for _, c := range []struct {
		lines []string
		want  bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{etag}, true},
		{[]string{`W/"sha256:ab"`}, true},
		{[]string{`"other", W/"sha256:ab"`}, true},
		{[]string{`"other"`, `"sha256:ab"`}, true},
		{[]string{`"other,"sha256:ab"`}, false}, // the comma is inside the first tag
		{[]string{`"a,b","sha256:ab"`}, true},
		{[]string{"sha256:ab"}, true},
		{[]string{"*"}, true},
		{[]string{`"*"`}, false},
		{[]string{`"sha256:abc"`}, false},
		{[]string{`,,;"`}, false},
	} {
		if got := httpheader.NoneMatch(http.Header{"If-None-Match": c.lines}, `"unused"`, etag); got != c.want {
			t.Errorf("If-None-Match %q: %v, want %v", c.lines, got, c.want)
		}
	}
	if !httpheader.NoneMatch(http.Header{"If-None-Match": {`"x"`}}, `W/"x"`) {
		t.Error("a weak tag of the server was not compared weakly")
	}
}

func FuzzNoneMatch(f *testing.F) {
	f.Add(`W/"a", "b"`)
	f.Add(`"`)
	f.Fuzz(func(t *testing.T, line string) {
		httpheader.NoneMatch(http.Header{"If-None-Match": {line}}, `"a"`)
		if !httpheader.NoneMatch(http.Header{"If-None-Match": {line, `"a"`}}, `"a"`) {
			t.Fatalf("a line %q hides the next", line)
		}
	})
}

func FuzzNegotiate(f *testing.F) {
	f.Add("text/html;q=0.2, */*;q=0.1")
	f.Add(";;=,,q=")
	f.Fuzz(func(t *testing.T, accept string) {
		got, ok := httpheader.Negotiate(http.Header{"Accept": {accept}}, "text/html", "application/json")
		if ok != (got != "") {
			t.Fatalf("%q: %q %v", accept, got, ok)
		}
	})
}
