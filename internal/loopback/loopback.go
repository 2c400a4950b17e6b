// Package loopback tells which host names always mean this machine, without a network
// in between.
package loopback

import "net/netip"

// Is reports whether a name, without a port and without brackets, is localhost (RFC
// 6761, section 6.3) or a loopback address. It asks no name server.
func Is(name string) bool {
	if name == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback()
}
