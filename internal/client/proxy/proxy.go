// Package proxy is a reverse proxy on this machine that adds a valid token to
// each request, for tools that can be taught nothing and for commands that must
// not see a token.
//
// It serves exactly the endpoints that it was given: a repository in a format at
//
//	http://127.0.0.1:PORT/<name>/<format>/
//
// and at most one registry at /v2/, whose clients know no other path. A request
// is checked ([guard]), stripped of credentials, sent on with a token of the
// endpoint's own source, and once more with a new token if the endpoint says that
// the first is not valid (authorized). Answers that name the endpoint's address
// name the proxy's instead (rewriting), so that a client's next request comes
// here as well. Bodies stream both ways.
//
// Whoever can connect to the proxy can use the endpoints as the person who
// started it. So it listens on the loopback alone, answers no web page, and on
// Linux no other user of the machine.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/authtoken"
)

// An Upstream is an endpoint that is served.
type Upstream struct {
	// Name is what it is called: the first part of its path.
	Name string
	// Format is CodeArtifact's name of the package format; "" for a registry.
	Format string
	// URL is its address: a repository's, which ends in "/", or a registry's without
	// a path.
	URL *url.URL
	// Tokens are those that it accepts.
	Tokens Tokens
	// Transport reaches it. It belongs to the proxy from now on.
	Transport *http.Transport
}

// Tokens is a source of tokens. An authtoken.Source is one.
type Tokens interface {
	// Token returns a token that is valid now.
	Token(context.Context) (authtoken.Token, error)
	// Forget drops the one that is kept, so that the next is a new one.
	Forget(context.Context) error
}

// Options are what may be left out.
type Options struct {
	// Log gets a line for each request; nil for none. No line has a secret in it:
	// paths without queries, no header.
	Log *slog.Logger
	// Now is the clock; time.Now if it is nil.
	Now func() time.Time
	// Idle is how long nothing may move on a connection; 0 is five minutes. For a
	// whole request there is no limit: a large image takes as long as it takes.
	Idle time.Duration
}

const (
	idleTimeout = 5 * time.Minute
	// headerTimeout is how long a client may take for the headers of a request.
	headerTimeout = 10 * time.Second
	// stopTimeout is how long requests may take to end once the proxy is told to.
	stopTimeout = 10 * time.Second
	maxHeader   = 64 << 10 // bytes
)

// A Proxy serves its upstreams on one listener.
type Proxy struct {
	listener net.Listener
	host     string // the listener's address, as in Host
	routes   []*route
	log      *slog.Logger
	now      func() time.Time
	idle     time.Duration
}

// A route is an upstream with where it is here.
type route struct {
	Upstream
	path    string // here, escaped; ends in "/"
	base    string // there, escaped; ends in "/"
	forward *httputil.ReverseProxy
}

// New makes a proxy on a listener of [Listen]. The error says which two
// upstreams cannot be served together.
func New(l net.Listener, upstreams []Upstream, o Options) (*Proxy, error) {
	p := &Proxy{listener: l, host: l.Addr().String(), log: o.Log, now: o.Now, idle: o.Idle}
	if p.now == nil {
		p.now = time.Now
	}
	if p.idle == 0 {
		p.idle = idleTimeout
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	taken := make(map[string]string)
	for _, u := range upstreams {
		r := &route{Upstream: u, path: "/v2/", base: "/v2/"}
		if u.Format != "" {
			r.path = "/" + url.PathEscape(u.Name) + "/" + u.Format + "/"
			r.base = u.URL.EscapedPath()
		}
		if other, ok := taken[r.path]; ok {
			return nil, fmt.Errorf("%s and %s would both be at %s: start a proxy for each", other, u.URL, r.path)
		}
		taken[r.path] = u.URL.String()
		p.routes = append(p.routes, r)
	}
	pairs := p.pairs()
	for _, r := range p.routes {
		r.forward = p.forwarder(r, pairs)
	}
	return p, nil
}

// Address is where an upstream is, in the form of its own URL.
func (p *Proxy) Address(i int) *url.URL {
	r := p.routes[i]
	if r.Format == "" {
		return &url.URL{Scheme: "http", Host: p.host}
	}
	return p.url(r.path)
}

// url is an address of the proxy, from an escaped path.
func (p *Proxy) url(path string) *url.URL {
	u, err := url.Parse("http://" + p.host + path)
	if err != nil { // both parts are of our own making
		panic(err)
	}
	return u
}

// Serve serves until the context ends, and then until the requests have ended
// that are under way, or ten seconds.
func (p *Proxy) Serve(ctx context.Context) error {
	server := &http.Server{
		Handler: p,
		// OPTIONS * is no more answered than anything else.
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            headerTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeader,
		ErrorLog:                     errorLog(p.log),
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		timeout, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		err := server.Shutdown(timeout)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close()
		}
		stopped <- err
	})
	err := server.Serve(samePeerListener{p.listener, peerCheck(p.listener), p.log})
	if !errors.Is(err, http.ErrServerClosed) {
		stop()
		return err
	}
	return <-stopped
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := p.now()
	writer := newIdleWriter(w, p.idle)
	counted := &counter{ResponseWriter: writer}
	p.serve(counted, writer.withIdleBody(r))
	p.log.Info("request", "method", r.Method, "path", r.URL.EscapedPath(), "status", counted.status,
		"bytes", counted.bytes, "duration", p.now().Sub(began).Round(time.Millisecond))
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	if err := p.checkRequest(r); err != nil {
		writeRefusal(w, err)
		return
	}
	path := r.URL.EscapedPath()
	for _, route := range p.routes {
		if strings.HasPrefix(path, route.path) || path == strings.TrimSuffix(route.path, "/") {
			removeUpgrade(r.Header)
			route.forward.ServeHTTP(w, r)
			return
		}
	}
	writeRefusal(w, &requestError{http.StatusNotFound, "nothing is served here: the proxy serves " + strings.Join(p.paths(), ", ")})
}

func (p *Proxy) paths() []string {
	paths := make([]string, len(p.routes))
	for i, r := range p.routes {
		paths[i] = r.path
	}
	return paths
}

// A counter sees what is answered.
type counter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader implements http.ResponseWriter.
func (c *counter) WriteHeader(status int) {
	if status >= 200 && c.status == 0 {
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (c *counter) Write(b []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	n, err := c.ResponseWriter.Write(b)
	c.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }
