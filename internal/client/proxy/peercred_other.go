//go:build !linux

package proxy

import "net"

// ownerCheck lets every connection in: only Linux says whose it is.
func peerCheck(net.Listener) func(net.Conn) error {
	return func(net.Conn) error { return nil }
}
