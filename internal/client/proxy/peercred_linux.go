package proxy

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
)

// errOtherUser says that a connection comes from another user.
var errOtherUser = errors.New("the process at the other end belongs to another user")

// peerCheck returns a function that tells whether a connection to a listener comes
// from the same user. Linux lists the owner of each socket of this machine
// (proc_net_tcp in the kernel's documentation), and both ends of a loopback
// connection are sockets of this machine. If not even the listener is listed, as in
// some sandboxes, there is no list, and no connection is refused.
func peerCheck(l net.Listener) func(net.Conn) error {
	here, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return samePeer
	}
	anybody := &net.TCPAddr{IP: net.IPv6zero}
	if here.IP.To4() != nil {
		anybody.IP = net.IPv4zero
	}
	if _, listed, err := ownerOf(here, anybody); err == nil && !listed {
		return func(net.Conn) error { return nil }
	}
	return samePeer
}

// samePeer returns an error for a connection whose other end is not known to belong
// to the user or to the administrator. A connection that was reset is not listed
// any more, and may have sent a request before.
func samePeer(c net.Conn) error {
	peer, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return errOtherUser
	}
	here, ok := c.LocalAddr().(*net.TCPAddr)
	if !ok {
		return errOtherUser
	}
	uid, found, err := ownerOf(peer, here)
	switch {
	case err != nil:
		return err
	case !found, uid != 0 && uid != os.Geteuid():
		return errOtherUser
	}
	return nil
}

// ownerOf finds the user of the socket at one end of a connection, by both ends.
func ownerOf(end, other *net.TCPAddr) (uid int, found bool, err error) {
	if end.IP.To4() != nil {
		uid, found, err = socketOwner("/proc/net/tcp", entry(end), entry(other))
		if found || err != nil {
			return uid, found, err
		}
	}
	// An IPv6 socket may be connected by IPv4.
	return socketOwner("/proc/net/tcp6", mapped(end), mapped(other))
}

// socketOwner finds the user of the socket with a local and a remote address. A
// socket that its process has closed is listed as root's, without an inode, and is
// not found.
func socketOwner(table, local, remote string) (uid int, found bool, err error) {
	f, err := os.Open(table)
	if errors.Is(err, os.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …
		fields := strings.Fields(lines.Text())
		if len(fields) > 9 && fields[1] == local && fields[2] == remote && fields[9] != "0" {
			uid, err := strconv.Atoi(fields[7])
			return uid, err == nil, err
		}
	}
	return 0, false, lines.Err()
}

// entry is an address in the form of the list: 32-bit words in the machine's byte
// order.
func entry(a *net.TCPAddr) string { return words(a.IP.To4()) + fmt.Sprintf(":%04X", a.Port) }

// mapped is entry for an IPv6 socket.
func mapped(a *net.TCPAddr) string { return words(a.IP.To16()) + fmt.Sprintf(":%04X", a.Port) }

func words(ip net.IP) string {
	b := slices.Clone(ip)
	if binary.NativeEndian.Uint16([]byte{0, 1}) != 1 { // not big-endian
		for i := 0; i+4 <= len(b); i += 4 {
			slices.Reverse(b[i : i+4])
		}
	}
	return strings.ToUpper(hex.EncodeToString(b))
}
