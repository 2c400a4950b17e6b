package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"sync/atomic"
	"testing"
)

// A nameServer answers each question for an IPv4 address with the next of its
// addresses, as in a DNS rebinding attack.
type nameServer struct {
	addresses []string
	asked     atomic.Int64
}

// resolver starts the server and returns a resolver that asks it alone.
func (s *nameServer) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		question := make([]byte, 512)
		for {
			n, from, err := c.ReadFrom(question)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(s.answer(question[:n]), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", c.LocalAddr().String())
	}}
}

// answer is the message for a question (RFC 1035, 4): the question again, and an
// address of one second's life if one was asked for.
func (s *nameServer) answer(question []byte) []byte {
	end := 12
	for question[end] != 0 {
		end += int(question[end]) + 1
	}
	end += 5 // the root, type and class
	m := append([]byte{}, question[:end]...)
	m[2], m[3] = 0x84, 0                                                         // an answer, with authority
	m[6], m[7], m[8], m[9], m[10], m[11] = 0, 0, 0, 0, 0, 0                      // no records so far
	if kind := uint16(question[end-4])<<8 | uint16(question[end-3]); kind == 1 { // A
		i := int(s.asked.Add(1)) - 1
		address := netip.MustParseAddr(s.addresses[min(i, len(s.addresses)-1)]).As4()
		m[7] = 1
		m = append(append(m, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4), address[:]...)
	}
	return m
}

// The address that is dialed is checked, so that a name which resolves differently
// each time leads to no address that is not allowed.
func TestDialer_Rebinding(t *testing.T) {
	names := &nameServer{addresses: []string{"0.0.0.1", "127.0.0.1", "10.0.0.1", "127.0.0.1"}}
	d := newDialer(func(a netip.Addr) bool { return isPublic(a) || a == netip.MustParseAddr("0.0.0.1") })
	d.Resolver = names.resolver(t)
	// The first address passes, whatever is there.
	switch c, err := d.DialContext(t.Context(), "tcp4", "rebound.example:1"); {
	case err == nil:
		c.Close()
	case errors.Is(err, ErrForbidden):
		t.Errorf("the address that is allowed: %v", err)
	}
	for _, to := range names.addresses[1:] {
		if c, err := d.DialContext(t.Context(), "tcp4", "rebound.example:1"); !errors.Is(err, ErrForbidden) {
			t.Errorf("the name now means %s: %v, %v", to, c, err)
		}
	}
	if n := names.asked.Load(); n != 4 {
		t.Errorf("the name was looked up %d times, want once for each connection", n)
	}
}

// An upstream's own host may have private addresses if it is configured so, but not those
// of this machine or of metadata services; other hosts may have neither.
func TestHop_Allowed(t *testing.T) {
	h := func(allowPrivate bool, base string, files ...string) *hop {
		u, err := ParseBase(base, allowPrivate)
		if err != nil {
			t.Fatal(err)
		}
		return newHop(UpstreamConfig{URL: base, FileHosts: files, AllowPrivate: allowPrivate}, u, &proxyChooser{}, newThrottle(Services{}.withDefaults()), nil, Services{}.withDefaults())
	}
	private := h(true, "https://registry.example", "files.example:8443", "registry.example:8080")
	for _, c := range []struct {
		hop     *hop
		address string
		ip      string
		want    bool
	}{
		{private, "registry.example:443", "10.0.0.1", true},
		{private, "registry.example:443", "fd00::1", true},
		{private, "registry.example:443", "::ffff:10.0.0.1", true},
		{private, "registry.example:443", "100.64.0.1", true},
		{private, "registry.example:443", "8.8.8.8", true},
		{private, "files.example:8443", "10.0.0.1", true},
		{private, "registry.example:8080", "10.0.0.1", true},
		{private, "files.example:443", "10.0.0.1", false},
		{private, "other.example:443", "10.0.0.1", false},
		{private, "other.example:443", "8.8.8.8", true},
		{private, "registry.example:443", "127.0.0.1", false},
		{private, "registry.example:443", "::1", false},
		{private, "registry.example:443", "::", false},
		{private, "registry.example:443", "0.0.0.0", false},
		{private, "registry.example:443", "169.254.169.254", false},
		{private, "registry.example:443", "fe80::1", false},
		{private, "registry.example:443", "fd00:ec2::254", false},
		{private, "registry.example:443", "100.100.100.200", false},
		{private, "registry.example:443", "224.0.0.1", false},
		{h(false, "https://registry.example"), "registry.example:443", "10.0.0.1", false},
		{h(true, "https://Registry.Example"), "Registry.Example:443", "10.0.0.1", true},
		{h(true, "https://büro.example"), "xn--bro-hoa.example:443", "10.0.0.1", true},
		{h(true, "http://localhost:4873"), "localhost:4873", "127.0.0.1", true},
		{h(true, "http://localhost:4873"), "localhost:4873", "10.0.0.1", false},
		{h(true, "http://localhost:4873"), "localhost:80", "127.0.0.1", false},
	} {
		if got := c.hop.allowed(c.address)(netip.MustParseAddr(c.ip).Unmap()); got != c.want {
			t.Errorf("%s at %s, private addresses allowed %v: %v", c.address, c.ip, c.hop.allowPrivate, got)
		}
	}
}

// What is reached as a proxy cannot be reached as the target of a request, since any
// address is allowed for a proxy.
func TestHop_ProxyIsNoTarget(t *testing.T) {
	direct := func(*url.URL) (*url.URL, error) { return nil, nil }
	proxy := &proxyChooser{forURL: direct, addresses: map[string]bool{"proxy.example:443": true}}
	base, err := ParseBase("https://registry.example", false)
	if err != nil {
		t.Fatal(err)
	}
	h := newHop(UpstreamConfig{}, base, proxy, newThrottle(Services{}.withDefaults()), nil, Services{}.withDefaults())
	for text, want := range map[string]error{"https://proxy.example/": ErrForbidden, "https://other.example/": nil} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.check(u, hostPort(u)); !errors.Is(err, want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
