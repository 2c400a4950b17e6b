// Package proxy is a reverse proxy on this machine that adds a valid token to each
// request. It is for tools that cannot be configured with a token, and for commands
// that must not see one.
//
// [New] makes a [Proxy] from a listener of [Listen] and the [Upstream]s to serve. A
// repository in a format is at
//
//	http://127.0.0.1:PORT/<name>/<format>/
//
// and at most one registry is at /v2/, the only path that its clients know. Nothing
// else is served. A request goes through these steps:
//
//  1. refuse.go checks it: the method, the Host header, the path, and that no web
//     page has made it.
//  2. forward.go removes credentials and turns it into a request for the upstream.
//  3. transport.go adds a token of the upstream's own source. If the upstream says
//     that the token is not valid, the request is sent once more with a new one;
//     replay.go holds the body for that.
//  4. rewrite.go replaces the upstream's addresses in the answer with the proxy's,
//     so that the client's next request comes here as well.
//
// Bodies stream in both directions.
//
// Whoever can connect to the proxy can use the endpoints as the person who started
// it. So it listens on the loopback only, refuses web pages, and on Linux refuses
// other users of the machine (peercred_linux.go).
//
// The package knows nothing of AWS's API and of commands: it is given addresses and
// sources of tokens.
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
	"github.com/gatehouse-registry/gatehouse/internal/idletimeout"
	"github.com/gatehouse-registry/gatehouse/internal/respwriter"
)

// An Upstream is an endpoint that the proxy serves.
type Upstream struct {
	// Name is the first segment of its path here.
	Name string
	// Format is CodeArtifact's name of the package format; "" for a registry.
	Format string
	// URL is its address: for a repository one that ends in "/", for a registry one
	// without a path.
	URL *url.URL
	// Tokens is the source of the tokens that it accepts.
	Tokens Tokens
	// Transport connects to it. The proxy takes it over and changes it.
	Transport *http.Transport
}

// Tokens is a source of tokens. An authtoken.Source is one.
type Tokens interface {
	// Token returns a token that is valid now.
	Token(context.Context) (authtoken.Token, error)
	// Forget drops the cached token, so that the next one is new.
	Forget(context.Context) error
}

// Options are optional settings.
type Options struct {
	// Log gets a line for each request; nil for none. No line has a secret in it:
	// paths without queries, no header.
	Log *slog.Logger
	// Now is the clock; time.Now if it is nil.
	Now func() time.Time
	// Idle is how long nothing may move on a connection; 0 means five minutes. A
	// whole request has no limit: a large image takes as long as it takes.
	Idle time.Duration
}

const (
	idleTimeout = 5 * time.Minute
	// headerTimeout is how long a client may take for the headers of a request.
	headerTimeout = 10 * time.Second
	// stopTimeout is how long running requests may take when the proxy stops.
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

// A route is an upstream with its path at the proxy.
type route struct {
	Upstream
	path    string // at the proxy, escaped; ends in "/"
	base    string // at the upstream, escaped; ends in "/"
	forward *httputil.ReverseProxy
}

// New makes a proxy on a listener of [Listen]. The error says which two upstreams
// cannot be served together.
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
			return nil, fmt.Errorf("%s and %s would both be at %s: start one proxy for each", other, u.URL, r.path)
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

// Address is the address of an upstream at the proxy, in the form of its URL.
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
	if err != nil { // both parts are valid
		panic(err)
	}
	return u
}

// Serve serves until the context ends. Running requests then have ten seconds to
// end.
func (p *Proxy) Serve(ctx context.Context) error {
	limits := idletimeout.Limits{Idle: p.idle}
	server := &http.Server{
		Handler: idletimeout.Handler(p, limits),
		// OPTIONS * is checked like any other request.
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
	err := server.Serve(idletimeout.Listen(samePeerListener{p.listener, peerCheck(p.listener), p.log}, limits))
	if !errors.Is(err, http.ErrServerClosed) {
		stop()
		return err
	}
	return <-stopped
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := p.now()
	recorder := &respwriter.Recorder{ResponseWriter: w}
	p.serve(recorder, r)
	p.log.Info("request", "method", r.Method, "path", r.URL.EscapedPath(), "status", recorder.Status,
		"bytes", recorder.Bytes, "duration", p.now().Sub(began).Round(time.Millisecond))
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
	writeRefusal(w, &requestError{http.StatusNotFound, "nothing is served at this path: the proxy serves " + strings.Join(p.paths(), ", ")})
}

func (p *Proxy) paths() []string {
	paths := make([]string, len(p.routes))
	for i, r := range p.routes {
		paths[i] = r.path
	}
	return paths
}
