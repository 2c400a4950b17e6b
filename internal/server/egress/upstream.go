// Package egress is the way out: everything that the server fetches from other
// machines goes through a client of this package, so that nobody who can name an
// address to the server reaches with it what only the server can reach.
//
// A [Guard] knows where the server may go. [Guard.For] returns an http.Client
// for everything that one origin gives rise to: its own documents, what they
// refer to, and the redirects on the way. Each address is checked where it
// cannot be exchanged any more: at the moment of dialing, after its name was
// resolved, for every connection anew. So neither a redirect, nor a link in a
// document, nor a name that resolves to something else the second time leads
// inside. Bodies are bounded, everything has a deadline, no cookies are kept, and
// proxies of the environment are not used.
package egress

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"
)

// Bounds of every fetch.
const (
	dialTimeout   = 5 * time.Second
	fetchTimeout  = 10 * time.Second // from the first byte sent to the last one read
	maxRedirects  = 3
	maxHeaders    = 64 << 10
	maxIdle       = 16
	idleForgotten = 90 * time.Second
)

// ErrForbidden is in the chain of every error that says that the server does not
// go somewhere.
var ErrForbidden = errors.New("the server does not fetch from there")

// ErrTooLarge is what reading a body beyond its bound ends with.
var ErrTooLarge = errors.New("the answer is larger than is accepted")

// Config says where a server may go. Its zero value goes to public addresses,
// over https, trusting the authorities of the system.
type Config struct {
	// Networks are address ranges that the server may fetch from although they
	// are not public, such as 10.0.0.0/8 for issuers of an organization's own.
	Networks []netip.Prefix
	// LoopbackHTTP lets an origin be on this machine's loopback interface, and
	// there be http as well as https: for laptops and tests. Other origins still
	// cannot lead there.
	LoopbackHTTP bool
	// Authorities are trusted to sign certificates; nil are the system's.
	Authorities *x509.CertPool
	// MaxBody bounds an answer's body, in bytes; 0 is 1 MiB.
	MaxBody int64
}

// A Guard makes clients. It is safe for use by many goroutines.
type Guard struct {
	loopbackHTTP     bool
	public, loopback *http.Client
}

// New returns a guard.
func New(c Config) *Guard {
	if c.MaxBody == 0 {
		c.MaxBody = 1 << 20
	}
	networks := slices.Clone(c.Networks)
	inside := func(a netip.Addr) bool {
		return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return &Guard{
		loopbackHTTP: c.LoopbackHTTP,
		public:       client(c, []string{"https"}, func(a netip.Addr) bool { return isPublic(a) || inside(a) && !a.IsLoopback() }),
		loopback:     client(c, []string{"https", "http"}, netip.Addr.IsLoopback),
	}
}

// For returns the client for an origin: an absolute URL without user, query and
// fragment. The error wraps [ErrForbidden] where its form alone forbids it. A
// name that resolves to a forbidden address is found out by the fetch, whose
// error wraps ErrForbidden too.
func (g *Guard) For(origin string) (*http.Client, error) {
	u, err := url.Parse(origin)
	if err != nil {
		return nil, fmt.Errorf("%w: %q is not a URL", ErrForbidden, origin)
	}
	switch {
	case u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return nil, fmt.Errorf("%w: %q names no host", ErrForbidden, origin)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("%w: %q has more than a host and a path", ErrForbidden, origin)
	case isLoopbackHost(u.Hostname()):
		if !g.loopbackHTTP {
			return nil, fmt.Errorf("%w: %s is this machine itself", ErrForbidden, u.Host)
		}
		if u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("%w: %q is neither http nor https", ErrForbidden, origin)
		}
		return g.loopback, nil
	case u.Scheme != "https":
		return nil, fmt.Errorf("%w: %q is not https", ErrForbidden, origin)
	}
	return g.public, nil
}

func client(c Config, schemes []string, allowed func(netip.Addr) bool) *http.Client {
	transport := &http.Transport{
		DialContext:            newDialer(allowed).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: c.Authorities, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  fetchTimeout,
		MaxResponseHeaderBytes: maxHeaders,
		MaxIdleConns:           maxIdle,
		IdleConnTimeout:        idleForgotten,
		ForceAttemptHTTP2:      true,
		// A compressed answer could unpack to more than its bound before it is
		// counted; nothing that is fetched here needs it.
		DisableCompression: true,
	}
	return &http.Client{
		Timeout:   fetchTimeout,
		Transport: &boundedTransport{transport, schemes, c.MaxBody},
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("%w: more than %d redirects", ErrForbidden, maxRedirects)
			}
			return nil
		},
	}
}

func newDialer(allowed func(netip.Addr) bool) *net.Dialer {
	return &net.Dialer{
		Timeout: dialTimeout,
		// Control sees the address that the system is about to connect to.
		Control: func(_, address string, _ syscall.RawConn) error { return checkAddress(address, allowed) },
	}
}

// checkAddress takes an IP address with a port, as a dialer's Control has it.
func checkAddress(address string, allowed func(netip.Addr) bool) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s is no address", ErrForbidden, address)
	}
	if !allowed(to.Addr().Unmap().WithZone("")) {
		return fmt.Errorf("%w: the address %s is not a public one", ErrForbidden, to.Addr())
	}
	return nil
}

// A boundedTransport refuses schemes, the redirects' too, and bounds bodies.
type boundedTransport struct {
	next    http.RoundTripper
	schemes []string
	maxBody int64
}

func (t *boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !slices.Contains(t.schemes, r.URL.Scheme) {
		return nil, fmt.Errorf("%w: %s is not %s", ErrForbidden, r.URL.Redacted(), t.schemes[0])
	}
	res, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if res.ContentLength > t.maxBody {
		res.Body.Close()
		return nil, fmt.Errorf("%w: %s has %d bytes, and at most %d are read", ErrTooLarge, r.URL.Redacted(), res.ContentLength, t.maxBody)
	}
	res.Body = &boundedBody{res.Body, t.maxBody}
	return res, nil
}

// A boundedBody fails where its bound is passed, instead of ending, so that what
// was cut is not taken for the whole.
type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, ErrTooLarge
	}
	return n, err
}
