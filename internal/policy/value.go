package policy

import (
	"net/netip"
	"strings"
	"time"
)

// A decimal is a number as it is written: exact, of any length, without an
// exponent. The parts have no needless zeros, so that equal numbers are equal.
type decimal struct {
	negative          bool
	integer, fraction string
}

func parseDecimal(s string) (decimal, bool) {
	var d decimal
	if s != "" && (s[0] == '-' || s[0] == '+') {
		d.negative = s[0] == '-'
		s = s[1:]
	}
	integer, fraction, point := strings.Cut(s, ".")
	if integer+fraction == "" || point && fraction == "" || !consistsOf(integer, isDigit, "") || !consistsOf(fraction, isDigit, "") {
		return decimal{}, false
	}
	d.integer, d.fraction = strings.TrimLeft(integer, "0"), strings.TrimRight(fraction, "0")
	if d.integer == "" && d.fraction == "" {
		d.negative = false
	}
	return d, true
}

// compare is negative, zero or positive as d is less than, equal to or more
// than o.
func (d decimal) compare(o decimal) int {
	if d.negative != o.negative {
		if d.negative {
			return -1
		}
		return 1
	}
	c := len(d.integer) - len(o.integer)
	if c == 0 {
		c = strings.Compare(d.integer, o.integer)
	}
	if c == 0 {
		c = strings.Compare(d.fraction, o.fraction)
	}
	if d.negative {
		return -c
	}
	return c
}

// dateLayouts are the forms of a date that W3C's profile of ISO 8601 has, by
// what a text of that form holds.
var dateLayouts = []string{
	"2006", "2006-01", "2006-01-02",
	"2006-01-02T15:04Z07:00", "2006-01-02T15:04:05Z07:00", // fractions of a second are read too
}

// parseDate reads a date (IAM User Guide, "Date condition operators"): one of
// W3C's forms, UTC if it has no zone, or seconds since 1970. Four digits
// alone are a year.
func parseDate(s string) (time.Time, bool) {
	if len(s) != len("2006") && len(s) <= len("253402300799") && s != "" && consistsOf(s, isDigit, "") {
		var seconds int64
		for i := range len(s) {
			seconds = seconds*10 + int64(s[i]-'0')
		}
		return time.Unix(seconds, 0).UTC(), true
	}
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// parsePrefix reads an address range in CIDR form, or one address.
func parsePrefix(s string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p, true // bits beyond its length do not matter
	}
	a, ok := parseAddr(s)
	if !ok {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, a.BitLen()), true
}

// parseAddr reads an address. An IPv4 address in IPv6's clothes is IPv4, so that
// a dual-stack socket does not slip past a range.
func parseAddr(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	return a.Unmap().WithZone(""), err == nil
}

func parseBool(s string) (value, ok bool) {
	switch {
	case strings.EqualFold(s, "true"):
		return true, true
	case strings.EqualFold(s, "false"):
		return false, true
	}
	return false, false
}
