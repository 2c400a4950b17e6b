package trustedproxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// headerTimeout bounds how long a proxy may take to send its header.
const headerTimeout = 10 * time.Second

// maxHeader bounds a header of version 2, in bytes.
const maxHeader = 4 << 10

// signature begins a header of version 2 of the PROXY protocol.
var signature = []byte("\r\n\r\n\x00\r\nQUIT\n")

// errHeader says that a trusted proxy did not begin a connection with a header.
var errHeader = errors.New("the connection does not begin with a header of the PROXY protocol")

// Listen returns a listener that reads a header of the PROXY protocol, version 1 or
// 2, at the start of each connection from a trusted proxy. The remote address of the
// connection is then the client's. The header is required, as the specification
// demands: a server must not guess whether there is one. Connections from other peers
// have none.
func (p *Proxies) Listen(l net.Listener) net.Listener { return &listener{l, p} }

type listener struct {
	net.Listener
	proxies *Proxies
}

// Accept implements net.Listener. The header is read later, by the connection's own
// goroutine, so that one slow proxy does not keep others waiting.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	peer, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil || !l.proxies.Trusts(peer.Addr()) {
		return c, nil
	}
	return &conn{Conn: c, peer: peer.Addr()}, nil
}

// A conn reads its header before anything else.
type conn struct {
	net.Conn
	peer   netip.Addr // the proxy's
	once   sync.Once
	buffer *bufio.Reader
	remote net.Addr // the client's; nil if the proxy speaks for itself
	err    error
}

// NetConn returns the connection below, as that of [crypto/tls.Conn] does.
func (c *conn) NetConn() net.Conn { return c.Conn }

func (c *conn) header() {
	c.once.Do(func() {
		c.buffer = bufio.NewReaderSize(c.Conn, maxHeader)
		_ = c.Conn.SetReadDeadline(time.Now().Add(headerTimeout))
		var client netip.AddrPort
		if client, c.err = readHeader(c.buffer); client.IsValid() && !isElsewhere(client.Addr(), c.peer) {
			c.remote = net.TCPAddrFromAddrPort(client)
		}
		if !errors.Is(c.err, os.ErrDeadlineExceeded) {
			_ = c.Conn.SetReadDeadline(time.Time{})
		}
	})
}

// RemoteAddr implements net.Conn. net/http calls it first.
func (c *conn) RemoteAddr() net.Addr {
	c.header()
	if c.remote != nil {
		return c.remote
	}
	return c.Conn.RemoteAddr()
}

// Read implements io.Reader.
func (c *conn) Read(p []byte) (int, error) {
	c.header()
	if c.err != nil {
		return 0, c.err
	}
	if c.buffer.Buffered() > 0 {
		return c.buffer.Read(p)
	}
	return c.Conn.Read(p)
}

// ReadFrom lets the kernel send files.
func (c *conn) ReadFrom(src io.Reader) (int64, error) {
	if below, ok := c.Conn.(io.ReaderFrom); ok {
		return below.ReadFrom(src)
	}
	return io.Copy(struct{ io.Writer }{c.Conn}, src)
}

// CloseWrite is what net/http calls before it closes a connection.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// readHeader reads a header and returns the client's address. It returns an invalid
// one if the proxy connected on its own behalf, as for a health check.
func readHeader(r *bufio.Reader) (client netip.AddrPort, err error) {
	start, err := r.Peek(len(signature))
	if err != nil {
		return client, err
	}
	if bytes.Equal(start, signature) {
		return readVersion2(r)
	}
	return readVersion1(r)
}

// readVersion1 reads a line such as "PROXY TCP4 192.0.2.1 192.0.2.2 1234 443".
func readVersion1(r *bufio.Reader) (client netip.AddrPort, err error) {
	const most = 107 // bytes, with the end of the line
	var line []byte
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		b, err := r.ReadByte()
		if err != nil {
			return client, err
		}
		if line = append(line, b); len(line) > most || len(line) <= 6 && line[len(line)-1] != "PROXY "[len(line)-1] {
			return client, errHeader
		}
	}
	f := strings.Split(strings.TrimSuffix(string(line), "\r\n"), " ")
	if len(f) >= 2 && f[1] == "UNKNOWN" {
		return client, nil
	}
	if len(f) != 6 || f[1] != "TCP4" && f[1] != "TCP6" {
		return client, errHeader
	}
	if client, err = netip.ParseAddrPort(net.JoinHostPort(f[2], f[4])); err != nil {
		return client, errHeader
	}
	return client, nil
}

// readVersion2 reads a binary header: the signature, version and command, family, the
// length of the rest, and the addresses.
func readVersion2(r *bufio.Reader) (client netip.AddrPort, err error) {
	fixed := make([]byte, 16)
	if _, err := io.ReadFull(r, fixed); err != nil {
		return client, err
	}
	length := int(binary.BigEndian.Uint16(fixed[14:]))
	if fixed[12]>>4 != 2 || length > maxHeader {
		return client, errHeader
	}
	rest := make([]byte, length)
	if _, err := io.ReadFull(r, rest); err != nil {
		return client, err
	}
	const local, proxy, tcp4, tcp6 = 0, 1, 0x11, 0x21
	switch command, family := fixed[12]&0xf, fixed[13]; {
	case command == local:
		return client, nil
	case command != proxy: // section 2.2: receivers must drop other commands
		return client, errHeader
	case family == tcp4 && length >= 12:
		return addrPort(rest[:4], rest[8:10]), nil
	case family == tcp6 && length >= 36:
		return addrPort(rest[:16], rest[32:34]), nil
	}
	return client, nil // another family: the proxy's own address is all that is known
}

func addrPort(ip, port []byte) netip.AddrPort {
	a, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(port))
}
