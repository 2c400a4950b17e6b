package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// minBodyMemory lets a client send the largest body that is kept in memory, a layer
// part of 20 MiB in base64 or a document of 32 MiB, with its quarter.
const minBodyMemory = 512 << 20

// validate checks the limits.
func (l Limits) validate(bad func(setting, format string, args ...any)) {
	if l.Idle < time.Second {
		bad("limits.idle", "must be a second or more")
	}
	if l.BodyMemory < minBodyMemory {
		bad("limits.body_memory", "must be %v or more, because one client may use a quarter of it", Size(minBodyMemory))
	}
	for setting, n := range map[string]int64{
		"limits.min_rate": l.MinRate, "limits.connections": int64(l.Connections),
		"limits.address_rate": int64(l.AddressRate), "limits.principal_rate": int64(l.PrincipalRate),
		"limits.anonymous_rate": int64(l.AnonymousRate),
	} {
		if n < 0 {
			bad(setting, "must not be less than zero")
		}
	}
}

// validate checks the quotas.
func (q Quotas) validate(bad func(setting, format string, args ...any)) {
	for setting, n := range map[string]int{"quotas.repositories": q.Repositories, "quotas.images": q.Images} {
		if n < 0 {
			bad(setting, "must not be less than zero")
		}
	}
}

// ProxyNetworks returns the networks of TrustedProxies.
func (c *Config) ProxyNetworks() ([]netip.Prefix, error) { return parseNetworks(c.TrustedProxies) }

// parseNetworks parses networks in CIDR form.
func parseNetworks(texts []string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, text := range texts {
		n, err := netip.ParsePrefix(text)
		if err != nil || n != n.Masked() {
			return nil, fmt.Errorf("%q is not a network, such as 10.0.0.0/8", text)
		}
		networks = append(networks, n)
	}
	return networks, nil
}

// A Size is an amount of memory or disk in bytes. In the file it is text such as
// 256MiB, 1GiB or 4096.
type Size int64

// String returns the size as it is written in the file.
func (s Size) String() string {
	for _, u := range units {
		if s >= u.bytes && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

var units = []struct {
	name  string
	bytes Size
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// UnmarshalYAML implements [github.com/goccy/go-yaml.NodeUnmarshaler].
func (s *Size) UnmarshalYAML(node ast.Node) error {
	t := node.GetToken()
	number, unit := t.Value, Size(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimSpace(rest), u.bytes
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > 1<<60/int64(unit) {
		return fmt.Errorf("line %d: %q is not a size, such as 256MiB or 1GiB", t.Position.Line, t.Value)
	}
	*s = Size(n) * unit
	return nil
}
