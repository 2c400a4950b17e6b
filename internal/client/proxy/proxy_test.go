package proxy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/proxy"
)

// lifetime is the life of the issuer's tokens.
const lifetime = 15 * time.Minute

// An issuer answers GetAuthorizationToken, by a clock that tests move.
type issuer struct {
	mu      sync.Mutex
	moved   time.Duration
	issued  int
	expires map[string]time.Time
}

func (i *issuer) now() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return time.Now().Add(i.moved)
}

func (i *issuer) advance(d time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.moved += d
}

// revoke makes every token that was issued invalid before its time.
func (i *issuer) revoke() {
	i.mu.Lock()
	defer i.mu.Unlock()
	clear(i.expires)
}

func (i *issuer) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.issued
}

func (i *issuer) valid(token string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return time.Now().Add(i.moved).Before(i.expires[token])
}

// ServeHTTP implements http.Handler.
func (i *issuer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.issued++
	token := fmt.Sprintf("secret-%d", i.issued)
	expires := time.Now().Add(i.moved + lifetime)
	i.expires[token] = expires
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"authorizationToken": token, "expiration": expires.Unix()})
}

// A rig is a proxy in front of an upstream that accepts what the issuer issues.
type rig struct {
	t        testing.TB
	issuer   *issuer
	upstream *httptest.Server
	url      string // of the proxy
	stop     context.CancelFunc
	stopped  chan error

	mu   sync.Mutex
	seen []*http.Request
	log  bytes.Buffer
}

// start starts a rig whose upstream has the formats at /FORMAT/lib/, and the
// registry. What the handler sees has a valid token.
func start(t testing.TB, handler http.HandlerFunc, formats ...string) *rig {
	t.Helper()
	return startWith(t, 0, handler, formats...)
}

// startWith is start with an idle limit.
func startWith(t testing.TB, idle time.Duration, handler http.HandlerFunc, formats ...string) *rig {
	t.Helper()
	r := &rig{t: t, issuer: &issuer{expires: make(map[string]time.Time)}, stopped: make(chan error, 1)}
	aws1 := httptest.NewServer(r.issuer)
	t.Cleanup(aws1.Close)
	r.upstream = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		r.seen = append(r.seen, q.Clone(context.WithoutCancel(q.Context())))
		r.mu.Unlock()
		if !r.issuer.valid(tokenOf(q)) {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		handler(w, q)
	}))
	t.Cleanup(r.upstream.Close)
	source := authtoken.CodeArtifact(aws.Config{
		Region: "us-east-1", BaseEndpoint: &aws1.URL,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: "x"}, nil
		}),
	}, "acme", authtoken.InMemory(), authtoken.Clock(r.issuer.now))

	var upstreams []proxy.Upstream
	for _, format := range append(formats, "") {
		u, err := url.Parse(r.upstream.URL)
		if err != nil {
			t.Fatal(err)
		}
		if format != "" {
			u.Path = "/" + format + "/lib/"
		}
		upstreams = append(upstreams, proxy.Upstream{
			Name: "acme-lib", Format: format, URL: u, Tokens: source, Transport: &http.Transport{},
		})
	}
	l, err := proxy.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, err := proxy.New(l, upstreams, proxy.Options{Idle: idle, Now: r.issuer.now, Log: slog.New(slog.NewTextHandler(&locked{r: r}, nil))})
	if err != nil {
		t.Fatal(err)
	}
	r.url = "http://" + l.Addr().String()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	r.stop = stop
	go func() { r.stopped <- p.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-r.stopped; err != nil {
			t.Error(err)
		}
		if strings.Contains(r.logged(), "secret-") {
			t.Error("a token in the log:", r.logged())
		}
	})
	return r
}

// locked is the rig's log.
type locked struct{ r *rig }

func (l *locked) Write(b []byte) (int, error) {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	return l.r.log.Write(b)
}

func (r *rig) logged() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

func tokenOf(q *http.Request) string {
	if _, password, ok := q.BasicAuth(); ok {
		return password
	}
	return strings.TrimPrefix(q.Header.Get("Authorization"), "Bearer ")
}

// requests are those that the upstream has seen.
func (r *rig) requests() []*http.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen
}

// do sends a request to the proxy, with headers by turns: name and value.
func (r *rig) do(method, path string, body io.Reader, headers ...string) (*http.Response, string) {
	r.t.Helper()
	q, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		q.Header.Add(headers[i], headers[i+1])
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res, string(text)
}

func (r *rig) get(path string, headers ...string) (*http.Response, string) {
	r.t.Helper()
	return r.do(http.MethodGet, path, nil, headers...)
}

// want fails unless the status is as wanted.
func (r *rig) want(status int, res *http.Response, text string) {
	r.t.Helper()
	if res.StatusCode != status {
		r.t.Fatalf("%s: %s\n%s", res.Request.URL, res.Status, text)
	}
}

func echo(w http.ResponseWriter, q *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Set-Cookie", "session=1")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	_, _ = io.Copy(w, q.Body)
}

// Each upstream gets its token in the form that it takes, below its own path, and
// nothing that says who the client is.
func TestProxy_UpstreamRequest(t *testing.T) {
	r := start(t, echo, "npm", "pypi", "cargo")
	for path, want := range map[string]struct{ path, scheme string }{
		"/acme-lib/npm/@acme%2fleft?write=true": {"/npm/lib/@acme%2fleft?write=true", "Bearer secret-1"},
		"/acme-lib/npm":                         {"/npm/lib", "Bearer secret-1"},
		"/acme-lib/pypi/simple/a%20b/":          {"/pypi/lib/simple/a%20b/", "Basic YXdzOnNlY3JldC0x"},
		"/acme-lib/cargo/co/nf/config":          {"/cargo/lib/co/nf/config", "secret-1"},
		"/v2/":                                  {"/v2/", "Bearer secret-1"},
		"/v2/app/blobs/uploads/?mount=sha256:0": {"/v2/app/blobs/uploads/?mount=sha256:0", "Bearer secret-1"},
	} {
		res, text := r.get(path, "Authorization", "Bearer mine", "Proxy-Authorization", "Basic eA==", "Cookie", "a=b", "X-NuGet-ApiKey", "mine",
			"X-Forwarded-For", "10.0.0.1", "Forwarded", "for=10.0.0.1", "X-Real-Ip", "10.0.0.1", "Referer", "http://page.example/", "Accept", "application/json")
		r.want(http.StatusOK, res, text)
		for _, name := range []string{"Set-Cookie", "Access-Control-Allow-Origin"} {
			if res.Header.Get(name) != "" {
				t.Errorf("%s: the answer has %s", path, name)
			}
		}
		// What a package has in it does not run in a browser with the proxy's own rights.
		if policy, sniff := res.Header.Get("Content-Security-Policy"), res.Header.Get("X-Content-Type-Options"); policy != "sandbox" || sniff != "nosniff" {
			t.Errorf("%s: the policy %q, %q", path, policy, sniff)
		}
		seen := r.requests()
		got := seen[len(seen)-1]
		if got.RequestURI != want.path || got.Header.Get("Authorization") != want.scheme || "http://"+got.Host != r.upstream.URL {
			t.Errorf("%s: got %s of %s with %q; want %+v", path, got.RequestURI, got.Host, got.Header.Get("Authorization"), want)
		}
		got.Header.Del("Authorization")
		got.Header.Del("Accept")
		got.Header.Del("Accept-Encoding")
		if got.Header.Del("User-Agent"); len(got.Header) > 0 {
			t.Errorf("%s: also sent %v", path, got.Header)
		}
	}
	if n := r.issuer.count(); n != 1 {
		t.Errorf("%d tokens", n)
	}
}

// A build takes ten hours, with tokens of fifteen minutes.
func TestProxy_LongBuild(t *testing.T) {
	r := start(t, echo, "npm")
	for range 60 {
		res, text := r.get("/acme-lib/npm/left")
		r.want(http.StatusOK, res, text)
		r.issuer.advance(10 * time.Minute)
	}
	for _, q := range r.requests() {
		if q.Header.Get("Authorization") == "" {
			t.Error("a request without a token")
		}
	}
	if n := len(r.requests()); n != 60 {
		t.Errorf("%d requests for 60: some were refused first", n)
	}
}

// The proxy ends when it is told to, and lets what is under way come to its end.
func TestServe_Stop(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	r := start(t, func(w http.ResponseWriter, _ *http.Request) {
		close(began)
		<-finish
		_, _ = io.WriteString(w, "all of it")
	}, "npm")
	answer := make(chan string)
	go func() {
		res, err := http.Get(r.url + "/acme-lib/npm/left")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		answer <- fmt.Sprint(string(text), err)
	}()
	<-began
	r.stop()
	for { // until no connection is accepted any more
		c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			break
		}
		c.Close()
	}
	close(finish)
	if got := <-answer; got != "all of it<nil>" {
		t.Error(got)
	}
}

func TestListen(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.com:0", "127.0.0.1", ""} {
		if l, err := proxy.Listen(t.Context(), address); err == nil {
			l.Close()
			t.Errorf("%q was accepted", address)
		}
	}
	l, err := proxy.Listen(t.Context(), "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

// Two that would be at one place are refused.
func TestNew_AmbiguousUpstreams(t *testing.T) {
	l, err := proxy.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	one := proxy.Upstream{URL: &url.URL{Scheme: "https", Host: "one.example"}, Transport: &http.Transport{}}
	two := proxy.Upstream{URL: &url.URL{Scheme: "https", Host: "two.example"}, Transport: &http.Transport{}}
	if _, err := proxy.New(l, []proxy.Upstream{one, two}, proxy.Options{}); err == nil || !strings.Contains(err.Error(), "one.example") {
		t.Error(err)
	}
}
