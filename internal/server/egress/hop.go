package egress

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	tlsTimeout      = 10 * time.Second
	maxIdlePerHost  = 16
	maxHops         = 5
	maxAnswerHeader = 128 << 10
	pingAfter       = 15 * time.Second // of silence on an HTTP/2 connection
)

// errRedirects is the cause of a failure after too many redirects.
var errRedirects = errors.New("too many redirects")

func checkRedirect(_ *http.Request, via []*http.Request) error {
	if len(via) > maxHops {
		return errRedirects
	}
	return nil
}

// A hop sends one request of a chain of redirects. It decides for each hop anew which
// host may be reached and what it gets, since a redirect can lead anywhere.
type hop struct {
	next         *http.Transport
	base         *url.URL
	own          map[string]bool // HOST:PORT of the upstream
	credentialed map[string]bool // HOST:PORT that get the credential
	allowPrivate bool
	proxy        *proxyChooser
	secret       *secretSource
	throttle     *throttle
	hosts        *hostLimits
}

func newHop(c UpstreamConfig, base *url.URL, proxy *proxyChooser, throttle *throttle, hosts *hostLimits, s Services) *hop {
	h := &hop{
		base: base, own: hostSet(base, c.FileHosts), credentialed: hostSet(base, c.Credential.Hosts),
		allowPrivate: c.AllowPrivate, proxy: proxy, secret: &secretSource{Credential: c.Credential},
		throttle: throttle, hosts: hosts,
	}
	open := s.Metrics.open.WithLabelValues(cmp.Or(c.Label, c.Name))
	h.next = &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) { return proxy.forURL(r.URL) },
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := newDialer(h.allowed(address)).DialContext(ctx, network, address)
			if err != nil {
				return nil, h.explainAddress(address, err)
			}
			open.Inc()
			return &countedConn{Conn: conn, closed: open.Dec}, nil
		},
		TLSClientConfig:        &tls.Config{RootCAs: c.Authorities, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    tlsTimeout,
		MaxResponseHeaderBytes: maxAnswerHeader,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleTimeout,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter},
		DisableCompression:     true, // body.go decompresses with a bound
	}
	return h
}

// allowed returns which IP addresses a HOST:PORT may have.
func (h *hop) allowed(address string) func(netip.Addr) bool {
	address = strings.ToLower(address)
	host, _, _ := net.SplitHostPort(address)
	switch {
	case h.proxy.addresses[address]:
		return func(netip.Addr) bool { return true } // the operator chose it
	case !h.allowPrivate || !h.own[address]:
		return isPublic
	case isLoopbackHost(host):
		return netip.Addr.IsLoopback
	}
	return func(a netip.Addr) bool { return isPublic(a) || isPrivate(a) }
}

// RoundTrip implements http.RoundTripper.
func (h *hop) RoundTrip(r *http.Request) (*http.Response, error) {
	address := hostPort(r.URL)
	if err := h.check(r.URL, address); err != nil {
		return nil, err
	}
	if left, err := h.throttle.wait(r.Context(), address); err != nil {
		return nil, err
	} else if left > 0 {
		return nil, &statusError{retryAfter: left, throttled: address}
	}
	r = r.Clone(r.Context())
	r.Header.Del("Referer")       // net/http adds it to redirects
	r.Header.Del("Authorization") // net/http makes it of a user in a redirect's address
	if a, ok := r.Context().Value(authorizationKey{}).(authorization); ok {
		if a.host == address {
			r.Header.Set("Authorization", a.value)
		}
	} else if h.credentialed[address] {
		if err := h.secret.set(r.Header); err != nil {
			return nil, &credentialError{err}
		}
	}
	release, err := h.hosts.acquire(r.Context(), address)
	if err != nil {
		return nil, err
	}
	res, err := h.next.RoundTrip(r)
	if err != nil {
		release()
		return nil, err
	}
	res.Body = &releasingBody{ReadCloser: res.Body, release: release}
	return res, nil
}

// check refuses what can be refused before a name is resolved. Through a proxy nothing
// else is checked.
func (h *hop) check(u *url.URL, address string) error {
	own := h.own[address]
	if u.Scheme != "https" && (u.Scheme != "http" || h.base.Scheme != "http" || !own) {
		return fmt.Errorf("%w: %s://%s is not https", ErrForbidden, u.Scheme, u.Host)
	}
	via, err := h.proxy.forURL(u)
	if err != nil {
		return err
	}
	if via == nil && h.proxy.addresses[address] && !own {
		return fmt.Errorf("%w: %s is a proxy", ErrForbidden, u.Host)
	}
	if isLoopbackHost(u.Hostname()) && (!own || !h.allowPrivate) {
		return fmt.Errorf("%w: %s is this machine", ErrForbidden, u.Host)
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && !h.allowed(address)(a.Unmap().WithZone("")) && !h.proxy.addresses[address] {
		return h.explainAddress(address, fmt.Errorf("%w: the address %s is not public", ErrForbidden, a))
	}
	return nil
}

// explainAddress marks the refusal of an address that no setting allows.
func (h *hop) explainAddress(address string, err error) error {
	if errors.Is(err, ErrForbidden) && h.allowPrivate && h.own[strings.ToLower(address)] {
		return &reservedError{err}
	}
	return err
}

// A reservedError says that a host of the upstream which may have private addresses has
// one that is neither public nor private.
type reservedError struct{ err error }

func (e *reservedError) Error() string { return reasonOf(e.err).Error() }
func (e *reservedError) Unwrap() error { return e.err }

// A credentialError says why the credential cannot be sent.
type credentialError struct{ err error }

func (e *credentialError) Error() string { return e.err.Error() }
func (e *credentialError) Unwrap() error { return e.err }

// A countedConn says when it is closed.
type countedConn struct {
	net.Conn
	once   sync.Once
	closed func()
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	c.once.Do(c.closed)
	return c.Conn.Close()
}

// A releasingBody gives the place at its host back when it ends or is closed.
type releasingBody struct {
	io.ReadCloser
	release func() // may be called twice
}

// Read implements io.Reader.
func (b *releasingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.release()
	}
	return n, err
}

// Close implements io.Closer.
func (b *releasingBody) Close() error {
	b.release()
	return b.ReadCloser.Close()
}
