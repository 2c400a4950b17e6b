package trustedproxy_test

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/trustedproxy"
)

func proxies(networks ...string) *trustedproxy.Proxies {
	var n []netip.Prefix
	for _, text := range networks {
		n = append(n, netip.MustParsePrefix(text))
	}
	return trustedproxy.New(n)
}

func TestHandler(t *testing.T) {
	const client = "203.0.113.7:0"
	for _, tt := range []struct {
		name   string
		peer   string
		tls    bool
		header []string // names and values
		want   string   // remote address, scheme and host
	}{
		{"a client without a proxy", "198.51.100.1:99", false, nil, "198.51.100.1:99 http own"},
		{"headers of a client", "198.51.100.1:99", false, []string{"X-Forwarded-For", "203.0.113.7", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "evil"}, "198.51.100.1:99 http own"},
		{"a trusted proxy without headers", "10.0.0.1:99", false, nil, "10.0.0.1:99 http own"},
		{"a trusted proxy", "10.0.0.1:99", false, []string{"X-Forwarded-For", "203.0.113.7", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "public:8443"}, client + " https public:8443"},
		{"a mapped address", "[::ffff:10.0.0.1]:99", false, []string{"X-Forwarded-For", "::ffff:203.0.113.7"}, client + " http own"},
		{"two proxies", "10.0.0.1:99", false, []string{"X-Forwarded-For", "203.0.113.7, 10.9.9.9"}, client + " http own"},
		{"two headers", "10.0.0.1:99", false, []string{"X-Forwarded-For", "203.0.113.7", "X-Forwarded-For", "10.9.9.9"}, client + " http own"},
		{"a client that sent the header", "10.0.0.1:99", false, []string{"X-Forwarded-For", "127.0.0.1, 10.2.2.2, 203.0.113.7"}, client + " http own"},
		{"only proxies", "10.0.0.1:99", false, []string{"X-Forwarded-For", "10.2.2.2, 10.3.3.3"}, "10.2.2.2:0 http own"},
		{"garbage", "10.0.0.1:99", false, []string{"X-Forwarded-For", "203.0.113.7, unknown"}, "10.0.0.1:99 http own"},
		{"garbage before a proxy", "10.0.0.1:99", false, []string{"X-Forwarded-For", "unknown, 10.3.3.3"}, "10.3.3.3:0 http own"},
		{"a loopback address of the proxy's machine", "10.0.0.1:99", false, []string{"X-Forwarded-For", "127.0.0.1"}, "10.0.0.1:99 http own"},
		{"a mapped loopback address", "10.0.0.1:99", false, []string{"X-Forwarded-For", "::ffff:127.0.0.1"}, "10.0.0.1:99 http own"},
		{"a loopback address with a zone", "10.0.0.1:99", false, []string{"X-Forwarded-For", "[::1%eth0]:80"}, "10.0.0.1:99 http own"},
		{"a loopback address that a client between proxies claims", "10.0.0.1:99", false, []string{"X-Forwarded-For", "127.0.0.1, 10.2.2.2"}, "10.2.2.2:0 http own"},
		{"a client of this machine", "127.0.0.1:99", false, []string{"X-Forwarded-For", "127.0.0.2"}, "127.0.0.2:0 http own"},
		{"a loopback address before a proxy elsewhere", "127.0.0.1:99", false, []string{"X-Forwarded-For", "127.0.0.2, 10.2.2.2"}, "10.2.2.2:0 http own"},
		{"a port", "10.0.0.1:99", false, []string{"X-Forwarded-For", "203.0.113.7:1234"}, client + " http own"},
		{"IPv6 in brackets", "10.0.0.1:99", false, []string{"X-Forwarded-For", "[2001:db8::1]:1234"}, "[2001:db8::1]:0 http own"},
		{"TLS to the proxy only on the inside", "10.0.0.1:99", true, []string{"X-Forwarded-Proto", "http"}, "10.0.0.1:99 http own"},
		{"TLS on both sides", "10.0.0.1:99", true, []string{"X-Forwarded-Proto", "HTTPS"}, "10.0.0.1:99 https own"},
		{"a scheme that does not exist", "10.0.0.1:99", true, []string{"X-Forwarded-Proto", "gopher"}, "10.0.0.1:99 https own"},
		{"a list of schemes", "10.0.0.1:99", false, []string{"X-Forwarded-Proto", "https, http"}, "10.0.0.1:99 http own"},
		{"a host that is not one", "10.0.0.1:99", false, []string{"X-Forwarded-Host", "evil/path\r\nx"}, "10.0.0.1:99 http own"},
		{"an empty host", "10.0.0.1:99", false, []string{"X-Forwarded-Host", ":80"}, "10.0.0.1:99 http own"},
	} {
		r := httptest.NewRequest(http.MethodGet, "http://own/", nil)
		r.RemoteAddr = tt.peer
		if tt.tls {
			r.TLS = new(tls.ConnectionState)
		}
		for i := 0; i < len(tt.header); i += 2 {
			r.Header.Add(tt.header[i], tt.header[i+1])
		}
		got := ""
		proxies("10.0.0.0/8", "127.0.0.1/32").Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			scheme := "http"
			if r.TLS != nil {
				scheme = "https"
			}
			got = r.RemoteAddr + " " + scheme + " " + r.Host
		})).ServeHTTP(httptest.NewRecorder(), r)
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// version2 is a header of version 2.
func version2(command, family byte, body []byte) string {
	b := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x20|command, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	return string(append(b, body...))
}

func TestListen(t *testing.T) {
	ipv4 := []byte{203, 0, 113, 7, 10, 0, 0, 1, 0x04, 0xd2, 0, 80}
	ipv6 := make([]byte, 36)
	copy(ipv6, netip.MustParseAddr("2001:db8::1").AsSlice())
	ipv6[32], ipv6[33] = 0x04, 0xd2
	for _, tt := range []struct{ name, trusted, header, want string }{
		{"version 1", "127.0.0.0/8", "PROXY TCP4 203.0.113.7 10.0.0.1 1234 80\r\n", "203.0.113.7:1234"},
		{"version 1 with IPv6", "127.0.0.0/8", "PROXY TCP6 2001:db8::1 ::1 1234 80\r\n", "[2001:db8::1]:1234"},
		{"version 1, unknown", "127.0.0.0/8", "PROXY UNKNOWN\r\n", "127.0.0.1"},
		{"version 2", "127.0.0.0/8", version2(1, 0x11, ipv4), "203.0.113.7:1234"},
		{"version 2 with IPv6", "127.0.0.0/8", version2(1, 0x21, ipv6), "[2001:db8::1]:1234"},
		{"version 2 with TLVs", "127.0.0.0/8", version2(1, 0x11, append(ipv4, 4, 0, 1, 0)), "203.0.113.7:1234"},
		{"version 2, health check", "127.0.0.0/8", version2(0, 0, nil), "127.0.0.1"},
		{"version 2, unknown command", "127.0.0.0/8", version2(2, 0x11, ipv4), "refused"},
		{"version 2, another family", "127.0.0.0/8", version2(1, 0x31, make([]byte, 216)), "127.0.0.1"},
		{"no header", "127.0.0.0/8", "", "refused"},
		{"a broken header", "127.0.0.0/8", "PROXY TCP4 203.0.113.7 10.0.0.1 x 80\r\n", "refused"},
		{"a header without an end", "127.0.0.0/8", "PROXY " + strings.Repeat("x", 200), "refused"},
		{"version 3", "127.0.0.0/8", strings.Replace(version2(1, 0x11, ipv4), "\x21", "\x31", 1), "refused"},
		{"addresses that are cut", "127.0.0.0/8", version2(1, 0x11, ipv4[:4]), "127.0.0.1"},
		{"a peer that is not trusted", "10.0.0.0/8", "", "127.0.0.1"},
		{"a header of a peer that is not trusted", "10.0.0.0/8", "PROXY TCP4 203.0.113.7 10.0.0.1 1234 80\r\n", "refused"},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RemoteAddr) })}
		go s.Serve(proxies(tt.trusted).Listen(l))
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, tt.header+"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		answer, _ := io.ReadAll(c)
		_, got, ok := strings.Cut(string(answer), "\r\n\r\n")
		if !ok || !strings.HasPrefix(string(answer), "HTTP/1.1 200") {
			got = "refused"
		}
		if !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %q, want %s", tt.name, got, tt.want)
		}
		c.Close()
		s.Close()
	}
}

// A loopback address that another machine reports is one of that machine.
func TestListen_LoopbackAddressOfTheProxy(t *testing.T) {
	mapped := make([]byte, 36)
	copy(mapped, netip.MustParseAddr("::ffff:127.0.0.1").AsSlice())
	for _, header := range []string{
		"PROXY TCP4 127.0.0.1 10.0.0.1 1234 80\r\n",
		"PROXY TCP6 ::1 ::1 1234 80\r\n",
		"PROXY TCP6 ::ffff:127.0.0.1 ::1 1234 80\r\n",
		version2(1, 0x11, []byte{127, 0, 0, 1, 10, 0, 0, 1, 4, 210, 0, 80}),
		version2(1, 0x21, mapped),
	} {
		for peer, want := range map[string]string{"10.0.0.9": "10.0.0.9:1", "127.0.0.1": "loopback"} {
			client, server := net.Pipe()
			go func() { io.WriteString(client, header); client.Close() }()
			c, err := proxies("10.0.0.0/8", "127.0.0.0/8").Listen(single{addressedConn{server, peer}}).Accept()
			if err != nil {
				t.Fatal(err)
			}
			got := c.RemoteAddr().String()
			if want == "loopback" && netip.MustParseAddrPort(got).Addr().IsLoopback() {
				got = want
			}
			if got != want {
				t.Errorf("%q from %s: %s, want %s", header, peer, got, want)
			}
			c.Close()
		}
	}
}

func FuzzListen(f *testing.F) {
	f.Add([]byte("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\nx"))
	f.Add([]byte(version2(1, 0x11, make([]byte, 12))))
	f.Fuzz(func(t *testing.T, data []byte) {
		client, server := net.Pipe()
		go func() { client.Write(data); client.Close() }()
		l := single{addressedConn{server, "127.0.0.1"}}
		c, err := proxies("127.0.0.0/8").Listen(l).Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = c.RemoteAddr().String()
		io.Copy(io.Discard, c)
		c.Close()
	})
}

// A single listener has one connection.
type single struct{ c net.Conn }

func (s single) Accept() (net.Conn, error) { return s.c, nil }
func (s single) Close() error              { return nil }
func (s single) Addr() net.Addr            { return s.c.LocalAddr() }

// An addressedConn is a connection from an address.
type addressedConn struct {
	net.Conn
	from string
}

func (c addressedConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(c.from), 1))
}
