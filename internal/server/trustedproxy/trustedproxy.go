// Package trustedproxy finds the client behind reverse proxies and load balancers
// that an operator trusts.
//
// [Proxies.Handler] makes a request look as if its client had connected directly:
// RemoteAddr, TLS and Host of the request say what X-Forwarded-For,
// X-Forwarded-Proto and X-Forwarded-Host say. So no handler has to know of proxies:
// aws:SourceIp, aws:SecureTransport, the audit record, rates per address, challenges
// and the addresses that clients are told follow. [Proxies.Listen] does the same for
// the PROXY protocol, before TLS.
//
// Headers of a peer that is not trusted are ignored: any client can send them.
package trustedproxy

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the networks of trusted proxies. The zero value trusts none.
type Proxies struct{ networks []netip.Prefix }

// New returns the proxies in the networks.
func New(networks []netip.Prefix) *Proxies { return &Proxies{slices.Clone(networks)} }

// Trusts reports whether the address belongs to a trusted proxy.
func (p *Proxies) Trusts(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(p.networks, func(n netip.Prefix) bool { return n.Contains(a) })
}

// Handler rewrites requests that come from a trusted proxy.
func (p *Proxies) Handler(next http.Handler) http.Handler {
	if len(p.networks) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && p.Trusts(peer.Addr()) {
			r = p.rewritten(r, peer.Addr())
		}
		next.ServeHTTP(w, r)
	})
}

// rewritten is the request as the client sent it to the first proxy.
func (p *Proxies) rewritten(r *http.Request, peer netip.Addr) *http.Request {
	out := r.WithContext(r.Context())
	if client := p.client(peer, r.Header.Values("X-Forwarded-For")); client.IsValid() {
		// The port of the client is not known, and nothing depends on it.
		out.RemoteAddr = netip.AddrPortFrom(client, 0).String()
	}
	switch strings.ToLower(last(r.Header.Values("X-Forwarded-Proto"))) {
	case "https":
		if out.TLS == nil {
			out.TLS = new(tls.ConnectionState)
		}
	case "http":
		out.TLS = nil
	}
	if host := last(r.Header.Values("X-Forwarded-Host")); validHost(host) {
		out.Host = host
	}
	return out
}

// client returns the last address in the values of X-Forwarded-For that is not a
// trusted proxy. Each proxy appends the address that it was reached from, so that
// everything before this address is the client's own word. If all are trusted, the
// first one is returned; if one cannot be believed, the one after it.
func (p *Proxies) client(peer netip.Addr, values []string) (client netip.Addr) {
	reporter := peer
	entries := strings.Split(strings.Join(values, ","), ",")
	for _, text := range slices.Backward(entries) {
		a, ok := parseAddress(strings.TrimSpace(text))
		if !ok || isElsewhere(a, reporter) {
			return client
		}
		if client, reporter = a, a; !p.Trusts(a) {
			return client
		}
	}
	return client
}

// isElsewhere reports whether a client has a loopback address of another machine: the
// one that reports it. Here the address would make it a client of this machine.
func isElsewhere(client, reporter netip.Addr) bool {
	return client.Unmap().IsLoopback() && !reporter.Unmap().IsLoopback()
}

// parseAddress parses an address, which some proxies send with a port.
func parseAddress(text string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return a.Unmap().WithZone(""), true
	}
	if a, err := netip.ParseAddrPort(text); err == nil {
		return a.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}

// last returns the last entry of a list: the one that the nearest proxy wrote.
func last(values []string) string {
	if len(values) == 0 {
		return ""
	}
	v := values[len(values)-1]
	return strings.TrimSpace(v[strings.LastIndexByte(v, ',')+1:])
}

// validHost reports whether a text can be the value of a header Host.
func validHost(host string) bool {
	if host == "" || len(host) > 300 {
		return false
	}
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	return name != "" && !strings.ContainsFunc(host, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune(".-_:[]%", c))
	})
}
