package upstreamtest

import (
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
)

// Unresolvable is the URL of a registry whose name has no address (RFC 6761, 6.4).
const Unresolvable = "https://registry.invalid/"

// limit is how long [Server.Await] waits. It is long, because it is reached only if a
// test fails.
const limit = time.Minute

// A Server is one host of a registry. It is safe for use by many goroutines.
type Server struct {
	// URL is its address, without a slash at the end.
	URL string

	server      *httptest.Server
	authorities *x509.CertPool // nil without TLS

	mu       sync.Mutex
	arrived  *sync.Cond
	mux      *http.ServeMux // handlers of the test
	files    map[string]File
	faults   map[string]Fault
	requests []Request
	started  time.Time
}

// A Request is one that the server received.
type Request struct {
	Method string
	Path   string // as it was sent, with its escapes, without the query
	Query  string
	Host   string
	Header http.Header
}

// New starts a server that speaks HTTP. It ends with the test.
func New(t testing.TB) *Server { return start(t, nil) }

// NewTLS starts a server that speaks TLS with a certificate of an authority that only
// [Server.Authorities] has.
func NewTLS(t testing.TB) *Server {
	return start(t, newCertificate(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)))
}

// NewExpired starts a server whose certificate has expired.
func NewExpired(t testing.TB) *Server {
	return start(t, newCertificate(t, time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)))
}

func start(t testing.TB, c *certificate) *Server {
	t.Helper()
	s := &Server{mux: http.NewServeMux(), files: map[string]File{}, faults: map[string]Fault{}, started: time.Now().UTC().Truncate(time.Second)}
	s.arrived = sync.NewCond(&s.mu)
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail on purpose
	if c != nil {
		s.server.TLS = c.config
		s.server.EnableHTTP2 = true
		s.server.StartTLS()
		s.authorities = c.authorities
	} else {
		s.server.Start()
	}
	s.URL = s.server.URL
	t.Cleanup(s.Close)
	return s
}

// Close ends the server and its connections, as if the upstream were switched off. It
// may be called more than once.
func (s *Server) Close() {
	s.server.CloseClientConnections()
	s.server.Close()
}

// Host returns HOST:PORT.
func (s *Server) Host() string {
	u, _ := url.Parse(s.URL)
	return u.Host
}

// Authorities signed the server's certificate. It is nil for a server without TLS.
func (s *Server) Authorities() *x509.CertPool { return s.authorities }

// Config returns the settings of an upstream for this server. Others are further hosts
// that belong to it.
func (s *Server) Config(name string, others ...*Server) egress.UpstreamConfig {
	c := egress.UpstreamConfig{Name: name, URL: s.URL, AllowPrivate: true, Authorities: s.authorities, Proxy: "none"}
	for _, o := range others {
		c.FileHosts = append(c.FileHosts, o.Host())
	}
	return c
}

// Upstream returns a client for this server that does not wait before it tries again.
func (s *Server) Upstream(t testing.TB, name string, others ...*Server) *egress.Upstream {
	t.Helper()
	return Open(t, s.Config(name, others...))
}

// Open returns a client with settings, which does not wait before it tries again.
func Open(t testing.TB, c egress.UpstreamConfig) *egress.Upstream {
	t.Helper()
	u, err := egress.NewUpstream(c, egress.Services{Wait: NoWait})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// Handle lets a handler answer the requests of a pattern of [http.ServeMux], unless there
// is a file or a fault for their path. Requests are counted as others.
func (s *Server) Handle(pattern string, h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mux.HandleFunc(pattern, h)
}

// Count returns how many requests for a path have arrived, of any method. An empty path
// means all of them.
func (s *Server) Count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count(path)
}

func (s *Server) count(path string) (n int) {
	for _, r := range s.requests {
		if path == "" || r.Path == path {
			n++
		}
	}
	return n
}

// Requests returns all requests, in the order in which they arrived.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Forget sets all counts to zero.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

// Await waits until n requests for a path have arrived.
func (s *Server) Await(t testing.TB, path string, n int) {
	t.Helper()
	late := false
	timer := time.AfterFunc(limit, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		late = true
		s.arrived.Broadcast()
	})
	defer timer.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.count(path) < n && !late {
		s.arrived.Wait()
	}
	if got := s.count(path); got < n {
		t.Fatalf("%d requests for %s arrived, want %d", got, path, n)
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	s.mu.Lock()
	s.requests = append(s.requests, Request{r.Method, path, r.URL.RawQuery, r.Host, r.Header.Clone()})
	s.arrived.Broadcast()
	fault := s.faultFor(path)
	file, isFile := s.files[path]
	mux := s.mux
	s.mu.Unlock()
	var answer http.Handler = mux
	if isFile {
		answer = file
	}
	if fault != nil {
		fault(w, r, answer)
		return
	}
	answer.ServeHTTP(w, r)
}

// faultFor returns the fault of a path, of the longest prefix that ends with a slash, or
// of all paths.
func (s *Server) faultFor(path string) Fault {
	if f := s.faults[path]; f != nil {
		return f
	}
	best := ""
	for prefix := range s.faults {
		if strings.HasSuffix(prefix, "/") && strings.HasPrefix(path, prefix) && len(prefix) > len(best) {
			best = prefix
		}
	}
	return s.faults[best]
}

// Unreachable returns the URL of a registry that refuses connections.
func Unreachable(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}
