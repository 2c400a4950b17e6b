//go:build !linux

package proxy

import "net"

// own accepts every connection: only Linux says whose it is.
func own(net.Conn) error { return nil }
