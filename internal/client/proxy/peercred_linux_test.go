package proxy_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/proxy"
)

// A connection's owner is found in the kernel's list, for both kinds of address.
func TestSocketOwner(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		dialled, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer dialled.Close()
		accepted, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer accepted.Close()
		if err := proxy.PeerCheck(l)(accepted); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// Whoever resets a connection is on no list any more, but what it has sent before
// is still there to be read.
func TestPeerCheck_ResetConnection(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		dialled, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := dialled.Write([]byte("DELETE /")); err != nil {
			t.Fatal(err)
		}
		accepted, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer accepted.Close()
		if err := dialled.(*net.TCPConn).SetLinger(0); err != nil {
			t.Fatal(err)
		}
		if err := dialled.Close(); err != nil {
			t.Fatal(err)
		}
		if err := proxy.PeerCheck(l)(accepted); err == nil {
			sent := make([]byte, 8)
			n, err := accepted.Read(sent)
			t.Errorf("%s: it is taken for one's own, with %q sent (%v)", address, sent[:n], err)
		}
	}
}

func TestSocketOwner_List(t *testing.T) {
	list := filepath.Join(t.TempDir(), "tcp")
	if err := os.WriteFile(list, []byte(`  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   2: 0100007F:8C3B 0100007F:1F90 05 00000000:00000000 00:00000000 00000000     0        0 0 1 0 20 4 30 10 -1
   1: 0100007F:8C3A 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1234        0 2 1 0 20 4 30 10 -1
`), 0o600); err != nil {
		t.Fatal(err)
	}
	uid, found, err := proxy.SocketOwner(list, "0100007F:8C3A", "0100007F:1F90")
	if uid != 1234 || !found || err != nil {
		t.Error(uid, found, err)
	}
	for _, closed := range []string{"0100007F:8C3B", "0100007F:8C3C"} {
		if _, found, err := proxy.SocketOwner(list, closed, "0100007F:1F90"); found || err != nil {
			t.Error(closed, found, err)
		}
	}
}
