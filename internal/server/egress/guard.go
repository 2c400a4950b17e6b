package egress

import (
	"crypto/tls"
	"crypto/x509"
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
	dialTimeout  = 5 * time.Second
	fetchTimeout = 10 * time.Second // from the first byte sent to the last one read
	maxRedirects = 3
	maxHeaders   = 64 << 10
	maxIdle      = 16
	idleTimeout  = 90 * time.Second
)

// Config says which addresses are allowed. Its zero value allows public addresses,
// over https, with the certificate authorities of the system.
type Config struct {
	// Networks are networks that are allowed although they are not public, such as
	// 10.0.0.0/8 for an issuer inside the organization.
	Networks []netip.Prefix
	// LoopbackHTTP allows origins on this machine's loopback interface, over http as
	// well as https: for laptops and tests. Other origins still cannot lead there.
	LoopbackHTTP bool
	// Authorities may sign certificates. nil means those of the system.
	Authorities *x509.CertPool
	// MaxBody bounds an answer's body, in bytes; 0 is 1 MiB.
	MaxBody int64
}

// A Guard makes HTTP clients. It is safe for use by many goroutines.
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
// fragment. The error wraps [ErrForbidden] if the URL itself is not allowed. If its
// name resolves to an address that is not allowed, the fetch fails with an error that
// wraps ErrForbidden.
func (g *Guard) For(origin string) (*http.Client, error) {
	u, err := url.Parse(origin)
	if err != nil {
		return nil, fmt.Errorf("%w: %q is not a URL", ErrForbidden, origin)
	}
	switch {
	case u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return nil, fmt.Errorf("%w: %q does not name a host", ErrForbidden, origin)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("%w: %q has more than a host and a path", ErrForbidden, origin)
	case isLoopbackHost(u.Hostname()):
		if !g.loopbackHTTP {
			return nil, fmt.Errorf("%w: %s is this machine", ErrForbidden, u.Host)
		}
		if u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("%w: %q is not http or https", ErrForbidden, origin)
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
		IdleConnTimeout:        idleTimeout,
		ForceAttemptHTTP2:      true,
		// A compressed answer could decompress to more than its bound before it is
		// counted, and nothing that is fetched needs compression.
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

// checkAddress checks an IP address with a port, as a dialer's Control gets it.
func checkAddress(address string, allowed func(netip.Addr) bool) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s is not an address", ErrForbidden, address)
	}
	if !allowed(to.Addr().Unmap().WithZone("")) {
		return fmt.Errorf("%w: the address %s is not public", ErrForbidden, to.Addr())
	}
	return nil
}

// A boundedTransport checks schemes, also of redirects, and bounds bodies.
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
		return nil, fmt.Errorf("%w: %s has %d bytes, and the limit is %d", ErrTooLarge, r.URL.Redacted(), res.ContentLength, t.maxBody)
	}
	res.Body = &boundedBody{res.Body, t.maxBody}
	return res, nil
}

// A boundedBody fails when its bound is exceeded. It does not end there, because a
// part must not be taken for the whole.
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
