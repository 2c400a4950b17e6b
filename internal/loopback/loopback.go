// Package loopback tells which host names are this machine's own, which no
// network is between.
package loopback

import "net/netip"

// Is reports whether a name, without its port and without brackets, is that of
// the loopback: localhost (RFC 6761, section 6.3) or an address of it. It asks no
// name server.
func Is(name string) bool {
	if name == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback()
}
