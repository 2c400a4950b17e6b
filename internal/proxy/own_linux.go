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

// errNotOwn says that a connection is another user's.
var errNotOwn = errors.New("the process at the other end is another user's")

// own returns an error for a connection of another user's process. Linux lists
// the owner of each socket of this machine (proc_net_tcp in the kernel's
// documentation); both ends are on it, as they are on the loopback. Where there
// is no such list, as in some sandboxes, there is no other user to be told apart.
func own(c net.Conn) error {
	peer, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return errNotOwn
	}
	local, ok := c.LocalAddr().(*net.TCPAddr)
	if !ok {
		return errNotOwn
	}
	table, v4 := "/proc/net/tcp6", peer.IP.To4() != nil
	if v4 {
		table = "/proc/net/tcp"
	}
	uid, found, err := owner(table, entry(peer), entry(local))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil && !found && v4 { // a socket of IPv6 that has connected by IPv4
		uid, found, err = owner("/proc/net/tcp6", mapped(peer), mapped(local))
	}
	switch {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	case !found, uid != 0 && uid != os.Geteuid():
		return errNotOwn
	}
	return nil
}

// owner finds the user of the socket with a local and a remote address. One that
// its process has closed already is listed as the administrator's, without an
// inode, and is not found.
func owner(table, local, remote string) (uid int, found bool, err error) {
	f, err := os.Open(table)
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

// entry is an address as the list has it: words of 32 bits in the machine's own
// order of bytes.
func entry(a *net.TCPAddr) string {
	ip := a.IP.To4()
	if ip == nil {
		ip = a.IP.To16()
	}
	return words(ip) + fmt.Sprintf(":%04X", a.Port)
}

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
