package egress

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"github.com/gatehouse-registry/gatehouse/internal/loopback"
)

// special are networks that are not part of the public Internet (IANA IPv4 and IPv6
// Special-Purpose Address Registries), except those that net/netip knows, and
// networks that embed an IPv4 address, through which one of the others could be
// reached.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network
	netip.MustParsePrefix("100.64.0.0/10"),   // carrier-grade NAT; metadata of some clouds
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation
	netip.MustParsePrefix("192.88.99.0/24"),  // 6to4 relays
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, and broadcast
	netip.MustParsePrefix("::/96"),           // IPv4-compatible
	netip.MustParsePrefix("::ffff:0:0:0/96"), // IPv4-translated (RFC 2765)
	netip.MustParsePrefix("64:ff9b::/96"),    // NAT64
	netip.MustParsePrefix("64:ff9b:1::/48"),  // NAT64, local use
	netip.MustParsePrefix("100::/64"),        // discard
	netip.MustParsePrefix("2001::/23"),       // protocol assignments, Teredo among them
	netip.MustParsePrefix("2001:db8::/32"),   // documentation
	netip.MustParsePrefix("2002::/16"),       // 6to4
	netip.MustParsePrefix("3fff::/20"),       // documentation
	netip.MustParsePrefix("5f00::/16"),       // segment routing
	netip.MustParsePrefix("fec0::/10"),       // site-local, deprecated
}

// isPublic reports whether an address belongs to the public Internet.
func isPublic(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return a.IsGlobalUnicast() && !a.IsPrivate() &&
		!slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(a) })
}

// isLoopbackHost reports whether the host of a URL is this machine by its form.
func isLoopbackHost(host string) bool {
	host, _, _ = strings.Cut(strings.ToLower(strings.TrimSuffix(host, ".")), "%") // a zone
	return loopback.Is(host) || strings.HasSuffix(host, ".localhost")
}

// isPrivate reports whether an address is of a kind that organizations give to their
// own machines. Link-local addresses and those at which clouds serve metadata are not.
func isPrivate(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return (a.IsPrivate() || carrierGrade.Contains(a)) && !slices.Contains(metadata, a)
}

var carrierGrade = netip.MustParsePrefix("100.64.0.0/10")

// metadata are addresses at which clouds give credentials to their machines, among
// those that look private. 169.254.169.254 is link-local.
var metadata = []netip.Addr{netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("100.100.100.200")}

// hostPort returns the host and port of a URL as a dialer gets them: in ASCII. Unlike
// there, letters are small.
func hostPort(u *url.URL) string {
	host := u.Hostname()
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		host = ascii
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(net.JoinHostPort(host, port))
}

// checkHosts checks that texts are HOST or HOST:PORT.
func checkHosts(texts []string) error {
	for _, text := range texts {
		if u, err := url.Parse("https://" + text); err != nil || u.Host != text || u.Hostname() == "" || u.Path != "" {
			return fmt.Errorf("%q is not HOST or HOST:PORT", text)
		}
	}
	return nil
}

// hostSet returns the base's host and port, and those of texts with the port that a
// scheme has by default.
func hostSet(base *url.URL, texts []string) map[string]bool {
	set := map[string]bool{hostPort(base): true}
	for _, text := range texts {
		if u, err := url.Parse(base.Scheme + "://" + text); err == nil {
			set[hostPort(u)] = true
		}
	}
	return set
}
