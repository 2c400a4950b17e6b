package egress_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/upstreamtest"
)

// newUpstream returns a client with settings that a test changed.
func newUpstream(t *testing.T, c egress.UpstreamConfig, s egress.Services) *egress.Upstream {
	t.Helper()
	if s.Wait == nil {
		s.Wait = upstreamtest.NoWait
	}
	u, err := egress.NewUpstream(c, s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// get asks for a path and reads the whole answer. Its bound is 1 MiB if the request has
// none.
func get(t *testing.T, u *egress.Upstream, r egress.Request) (string, *egress.Response, error) {
	t.Helper()
	if r.MaxBytes == 0 {
		r.MaxBytes = 1 << 20
	}
	res, err := u.Do(t.Context(), r)
	if err != nil {
		return "", nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), res, err
}

func TestUpstream_DocumentsAndFiles(t *testing.T) {
	s := upstreamtest.NewTLS(t)
	document := strings.Repeat(`{"name":"a"} `, 1000)
	s.Put("/npm/@a%2fb", upstreamtest.File{Body: []byte(document), Type: "application/json"})
	s.Put("/npm/a.tgz", upstreamtest.File{Body: []byte("0123456789"), Header: http.Header{"Content-Encoding": {"x-gzip"}}})
	c := s.Config("public:npmjs")
	c.URL += "/npm"
	metrics := egress.NewMetrics()
	u := newUpstream(t, c, egress.Services{Metrics: metrics, UserAgent: "gatehouse/1"})

	r := egress.Request{URL: "@a%2fb", Compressed: true, Types: []string{"application/json"}, Header: http.Header{"authorization": {"the caller's"}, "Cookie": {"a=b"}}}
	body, res, err := get(t, u, r)
	if err != nil || body != document || res.Length != -1 || res.Header.Get("Content-Encoding") != "" {
		t.Errorf("%d bytes, %+v, %v", len(body), res, err)
	}
	sent := s.Requests()[0]
	if h := sent.Header; h.Get("User-Agent") != "gatehouse/1" || h.Get("Authorization") != "" || h.Get("Cookie") != "" || h.Get("Accept-Encoding") != "gzip" {
		t.Errorf("the request was %+v", sent)
	}
	r.Header = http.Header{"If-None-Match": {res.Header.Get("ETag")}}
	if body, res, err := get(t, u, r); err != nil || res.Status != http.StatusNotModified || body != "" {
		t.Errorf("revalidation: %q, %+v, %v", body, res, err)
	}
	// The bytes of a file are never changed, whatever the server calls its encoding.
	if body, res, err := get(t, u, egress.Request{URL: c.URL + "/a.tgz"}); err != nil || body != "0123456789" || res.Length != 10 {
		t.Errorf("%q, %+v, %v", body, res, err)
	}
	if body, res, err := get(t, u, egress.Request{URL: "a.tgz", Header: http.Header{"Range": {"bytes=4-"}}}); err != nil || body != "456789" || res.Status != http.StatusPartialContent {
		t.Errorf("%q, %+v, %v", body, res, err)
	}
	if _, res, err := get(t, u, egress.Request{Method: http.MethodHead, URL: "a.tgz"}); err != nil || res.Length != 10 {
		t.Errorf("%+v, %v", res, err)
	}
	_, _, err = get(t, u, egress.Request{URL: "missing"})
	if !egress.IsNotFound(err) || !strings.HasPrefix(err.Error(), "upstream public:npmjs: it answered 404 Not Found for https://") {
		t.Error(err)
	}
	shown := scrape(t, metrics)
	for _, want := range []string{
		`gatehouse_upstream_requests_total{result="not_found",upstream="public:npmjs"} 1`,
		`gatehouse_upstream_requests_total{result="not_modified",upstream="public:npmjs"} 1`,
		`gatehouse_upstream_requests_total{result="ok",upstream="public:npmjs"} 4`,
		`gatehouse_upstream_connections{upstream="public:npmjs"} 1`,
		`gatehouse_upstream_header_seconds_count{upstream="public:npmjs"} 6`,
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("the metrics do not have %s:\n%s", want, shown)
		}
	}
}

// scrape returns metrics as /metrics shows them.
func scrape(t *testing.T, m *egress.Metrics) string {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(m.Collectors()...)
	rec := httptest.NewRecorder()
	promhttp.HandlerFor(r, promhttp.HandlerOpts{}).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return rec.Body.String()
}

// Each fault of an upstream is told by its kind, in a message that names the upstream.
func TestUpstream_Faults(t *testing.T) {
	for name, c := range map[string]struct {
		fault   upstreamtest.Fault
		request egress.Request
		want    egress.Kind
		says    string
		asked   int // how many requests the upstream gets
	}{
		"status 500":           {upstreamtest.Status(500), egress.Request{}, egress.Answered, "answered 500", 3},
		"status 403":           {upstreamtest.Status(403), egress.Request{}, egress.Answered, `Check the credential: upstreams."public:npmjs".credential`, 1},
		"post is not repeated": {upstreamtest.Status(503), egress.Request{Method: http.MethodPost, Body: []byte("{}")}, egress.Answered, "answered 503", 1},
		"throttled for long":   {upstreamtest.Throttle(429, "60"), egress.Request{}, egress.Throttled, "go on in 1m0s", 1},
		"unavailable for long": {upstreamtest.Throttle(503, "60"), egress.Request{}, egress.Throttled, "go on in 1m0s", 1},
		"no answer":            {upstreamtest.Hangup(), egress.Request{}, egress.Unreachable, "closed the connection", 3},
		"cut":                  {upstreamtest.Cut(5), egress.Request{}, egress.Interrupted, "was cut off", 1},
		"cut when compressed":  {upstreamtest.Cut(5), egress.Request{Compressed: true}, egress.Interrupted, "was cut off", 1},
		"redirect loop":        {upstreamtest.RedirectLoop(), egress.Request{}, egress.Redirected, "more than 5 redirects", 6},
		"redirect to loopback": {upstreamtest.Redirect("http://127.0.0.1:1/"), egress.Request{}, egress.Refused, "allow_private", 1},
		"redirect to a name":   {upstreamtest.Redirect("https://localhost:1/"), egress.Request{}, egress.Refused, "is this machine", 1},
		"redirect to private":  {upstreamtest.Redirect("https://10.0.0.1/"), egress.Request{}, egress.Refused, "10.0.0.1 is not public", 1},
		"redirect to metadata": {upstreamtest.Redirect("https://169.254.169.254/"), egress.Request{}, egress.Refused, "169.254.169.254 is not public", 1},
		"redirect to http":     {upstreamtest.Redirect("http://198.51.100.1/"), egress.Request{}, egress.Refused, "is not https", 1},
		"redirect to a file":   {upstreamtest.Redirect("file:///etc/passwd"), egress.Request{}, egress.Refused, "is not https", 1},
		"redirect to nowhere":  {upstreamtest.Redirect("https://a b/"), egress.Request{}, egress.Redirected, "not a URL", 1},
		"web page":             {upstreamtest.HTML(), egress.Request{Types: []string{"application/json"}}, egress.Malformed, "login page", 1},
		"bomb":                 {upstreamtest.Bomb(64 << 20), egress.Request{Compressed: true}, egress.TooLarge, "too large", 1},
		"large":                {upstreamtest.Longer(2 << 20), egress.Request{}, egress.TooLarge, "the limit is 1048576", 1},
		"not gzip": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, "this is not compressed")
		}, egress.Request{Compressed: true}, egress.Malformed, "not gzip", 1},
		"empty gzip": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Encoding", "gzip")
		}, egress.Request{Compressed: true}, egress.Interrupted, "was cut off", 1},
		"unknown encoding": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Encoding", "br")
			io.WriteString(w, "compressed")
		}, egress.Request{Compressed: true}, egress.Malformed, "was not asked for", 1},
		"header without end": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("X-Large", strings.Repeat("x", 1<<20))
		}, egress.Request{}, egress.Malformed, "does not answer as an HTTP server", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := upstreamtest.New(t)
			s.Put("/doc", upstreamtest.File{Body: bytes.Repeat([]byte("0123456789"), 100), Type: "application/json"})
			s.Fail("", c.fault)
			var log bytes.Buffer
			u := newUpstream(t, s.Config("public:npmjs"), egress.Services{Log: slog.New(slog.NewTextHandler(&log, nil))})
			c.request.URL = "doc?signature=hidden"
			body, _, err := get(t, u, c.request)
			if egress.KindOf(err) != c.want || !strings.HasPrefix(err.Error(), "upstream public:npmjs: ") || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%d bytes, kind %q, want %q: %v", len(body), egress.KindOf(err), c.want, err)
			}
			if n := s.Count(""); n != c.asked {
				t.Errorf("the upstream was asked %d times, want %d", n, c.asked)
			}
			if strings.Contains(err.Error()+log.String(), "hidden") || !strings.Contains(log.String(), "upstream=public:npmjs") {
				t.Errorf("error %v, log:\n%s", err, log.String())
			}
		})
	}
}

func TestUpstream_Certificates(t *testing.T) {
	expired := upstreamtest.NewExpired(t)
	if _, _, err := get(t, newUpstream(t, expired.Config("own"), egress.Services{}), egress.Request{}); egress.KindOf(err) != egress.Untrusted || !strings.Contains(err.Error(), "expired") {
		t.Error(err)
	}
	s := upstreamtest.NewTLS(t)
	c := s.Config("own")
	c.Authorities = nil
	if _, _, err := get(t, newUpstream(t, c, egress.Services{}), egress.Request{}); egress.KindOf(err) != egress.Untrusted || !strings.Contains(err.Error(), `upstreams."own".ca`) {
		t.Error(err)
	}
	c = s.Config("own")
	c.URL = strings.Replace(c.URL, "127.0.0.1", "127.0.0.2", 1)
	if _, _, err := get(t, newUpstream(t, c, egress.Services{}), egress.Request{}); egress.KindOf(err) != egress.Untrusted && egress.KindOf(err) != egress.Unreachable {
		t.Error(err)
	}
	c = upstreamtest.New(t).Config("own")
	c.URL = strings.Replace(c.URL, "http:", "https:", 1)
	if _, _, err := get(t, newUpstream(t, c, egress.Services{}), egress.Request{}); egress.KindOf(err) != egress.Unreachable || !strings.Contains(err.Error(), "does not speak TLS") {
		t.Error(err)
	}
}

func TestUpstream_NoServer(t *testing.T) {
	for address, want := range map[string]egress.Kind{
		upstreamtest.Unresolvable: egress.Unresolved, upstreamtest.Unreachable(t): egress.Unreachable,
	} {
		u := newUpstream(t, egress.UpstreamConfig{Name: "own", URL: address, AllowPrivate: true, Proxy: "none"}, egress.Services{})
		if _, _, err := get(t, u, egress.Request{URL: "a"}); egress.KindOf(err) != want {
			t.Errorf("%s: kind %q, want %q: %v", address, egress.KindOf(err), want, err)
		}
	}
}

// An operator who allowed private addresses is not told to do that.
func TestUpstream_ReservedAddress(t *testing.T) {
	u, err := egress.NewUpstream(egress.UpstreamConfig{Name: "own", URL: "https://203.0.113.1/", AllowPrivate: true}, egress.Services{})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = get(t, u, egress.Request{URL: "a"})
	if err == nil || !strings.Contains(err.Error(), "203.0.113.1 is not public and not one of a private network") || strings.Contains(err.Error(), "allow_private") {
		t.Error(err)
	}
}

func TestNewUpstream_Settings(t *testing.T) {
	for text, says := range map[string]string{
		"":                                 "scheme, a host and a path",
		"registry.example":                 "scheme, a host and a path",
		"https://":                         "scheme, a host and a path",
		"https://registry.example/?a":      "scheme, a host and a path",
		"https://registry.example/#a":      "scheme, a host and a path",
		"https://u:hunter2@registry.test/": "write them as credential",
		"ftp://registry.example":           "is not https",
		"http://registry.example":          "allow_private: true",
		"https://127.0.0.1":                "allow_private: true",
		"://hunter2":                       "not a URL",
	} {
		_, err := egress.NewUpstream(egress.UpstreamConfig{Name: "own", URL: text}, egress.Services{})
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want: %s", text, err, says)
		}
	}
	for name, c := range map[string]egress.UpstreamConfig{
		"file_hosts: ": {FileHosts: []string{"https://files.example"}},
		"proxy: ":      {Proxy: "socks5://proxy.example"},
		"credential: ": {Credential: egress.Credential{Scheme: egress.Basic, File: "f"}},
	} {
		c.URL = "https://registry.example"
		if _, err := egress.NewUpstream(c, egress.Services{}); err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%s%v", name, err)
		}
	}
}

// A request cannot leave the address of its upstream by its path, and has a bound.
func TestUpstream_RequestsRefused(t *testing.T) {
	s := upstreamtest.New(t)
	u := s.Upstream(t, "own")
	for _, path := range []string{"../admin", "a/../../b", "a/%2E%2e/b", "a/..%2Fb", "a%2f..%2Fb", `a\..\b`, "https://", "https:///a", "ftp://x"} {
		if _, _, err := get(t, u, egress.Request{URL: path}); egress.KindOf(err) != egress.Refused {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := u.Do(t.Context(), egress.Request{URL: "a"}); egress.KindOf(err) != egress.Refused {
		t.Errorf("without a bound: %v", err)
	}
	if n := s.Count(""); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// A body that is taken slowly is not a server that does not answer; one that is not taken is.
func TestUpstream_SlowRequestBody(t *testing.T) {
	t.Parallel() // it waits
	const limit = time.Second
	for _, stalls := range []bool{false, true} {
		release := make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for took := time.Duration(0); took < 3*limit/2; took += limit / 3 {
				if stalls {
					<-release
				}
				if _, err := io.CopyN(io.Discard, r.Body, 4<<20); err != nil {
					return
				}
				time.Sleep(limit / 3) // a slow network
			}
			io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, "because")
		}))
		u := newUpstream(t, egress.UpstreamConfig{Name: "up", Settings: "replication.x", URL: server.URL, AllowPrivate: true, Limits: egress.Limits{Header: limit, Attempts: 1}}, egress.Services{})
		_, err := u.Do(t.Context(), egress.Request{Method: http.MethodPut, URL: "x", Body: make([]byte, 40<<20), MaxBytes: 1, MaxErrorBytes: 4})
		failed, _ := errors.AsType[*egress.Error](err)
		switch {
		case failed == nil:
			t.Fatal(err)
		case stalls && failed.Kind != egress.TimedOut:
			t.Errorf("a body that is not taken: %v", err)
		case !stalls && (failed.Status != http.StatusForbidden || string(failed.Body) != "beca" || !strings.Contains(failed.Message, "replication.x.credential")):
			t.Errorf("a slow body: %v, %q", err, failed.Body)
		}
		close(release)
		server.Close()
	}
}
