//go:build !linux

package proxy

import "net"

// peerCheck accepts every connection: only Linux says whose it is.
func peerCheck(net.Listener) func(net.Conn) error {
	return func(net.Conn) error { return nil }
}
