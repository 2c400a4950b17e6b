//go:build !linux

package proxy

import "net"

// ownerCheck lets every connection in: only Linux says whose it is.
func ownerCheck(net.Listener) func(net.Conn) error {
	return func(net.Conn) error { return nil }
}
