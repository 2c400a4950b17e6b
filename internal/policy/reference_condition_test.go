package policy_test

import (
	"encoding/base64"
	"math/big"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// holds is one key of one operator.
func (s *refStatement) holds(op, key string, wanted []string, k keys) bool {
	values := k[key]
	if op == "Null" {
		return slices.Contains(wanted, map[bool]string{true: "true", false: "false"}[len(values) == 0])
	}
	set, base, hasSet := strings.Cut(op, ":")
	if !hasSet {
		set, base = "", op
	}
	base, ifExists := strings.CutSuffix(base, "IfExists")
	negated := strings.Contains(base, "Not")
	base = strings.Replace(base, "Not", "", 1)
	if len(values) == 0 {
		switch {
		case ifExists, set == "ForAllValues":
			return true
		case set == "ForAnyValue":
			return false
		}
		return negated
	}
	satisfied := 0
	for _, v := range values {
		m := s.compare(base, v, wanted, k)
		if s.takes(m, (m == "yes") != negated) {
			satisfied++
		}
	}
	if set == "ForAnyValue" || set == "" && s.effect == "Deny" {
		return satisfied > 0
	}
	return satisfied == len(values)
}

// compare says whether a value is what one of the wanted ones asks for.
func (s *refStatement) compare(op, value string, wanted []string, k keys) string {
	any := func(matches func(want string) (is, comparable bool)) string {
		answer := "no"
		for _, want := range wanted {
			is, comparable := matches(want)
			switch {
			case !comparable:
				answer = "undecided"
			case is:
				return "yes"
			}
		}
		return answer
	}
	switch {
	case op == "StringEquals":
		return s.anyLike(wanted, value, k, "")
	case op == "StringLike":
		return s.anyLike(wanted, value, k, "*?")
	case op == "StringEqualsIgnoreCase":
		return any(func(want string) (bool, bool) {
			tokens, ok := s.tokens(want, k, "")
			var text string
			for _, t := range tokens {
				text += string(t.r)
			}
			return strings.EqualFold(text, value), ok
		})
	case op == "ArnEquals" || op == "ArnLike":
		return any(func(want string) (bool, bool) { return s.arnLike(want, value, k) })
	case op == "Bool":
		if lower := strings.ToLower(value); lower != "true" && lower != "false" {
			return "undecided"
		}
		return any(func(want string) (bool, bool) { return strings.EqualFold(want, value), true })
	case op == "BinaryEquals":
		got, err := base64.StdEncoding.DecodeString(value)
		return any(func(want string) (bool, bool) {
			b, _ := base64.StdEncoding.DecodeString(want)
			return string(b) == string(got), err == nil
		})
	case op == "IpAddress":
		ip := net.ParseIP(value)
		return any(func(want string) (bool, bool) {
			if !strings.Contains(want, "/") {
				return net.ParseIP(want).Equal(ip), ip != nil
			}
			_, network, err := net.ParseCIDR(want)
			must(err)
			return ip != nil && network.Contains(ip), ip != nil
		})
	}
	var compared func(want string) (int, bool)
	if relation, ok := strings.CutPrefix(op, "Numeric"); ok {
		op = relation
		compared = func(want string) (int, bool) {
			a, ok1 := new(big.Rat).SetString(value)
			b, ok2 := new(big.Rat).SetString(want)
			if !ok1 || !ok2 {
				return 0, false
			}
			return a.Cmp(b), true
		}
	} else {
		op = strings.TrimPrefix(op, "Date")
		compared = func(want string) (int, bool) {
			a, err1 := refDate(value)
			b, err2 := refDate(want)
			return a.Compare(b), err1 == nil && err2 == nil
		}
	}
	return any(func(want string) (bool, bool) {
		c, ok := compared(want)
		switch op {
		case "Equals":
			return c == 0, ok
		case "LessThan":
			return c < 0, ok
		case "LessThanEquals":
			return c <= 0, ok
		case "GreaterThan":
			return c > 0, ok
		case "GreaterThanEquals":
			return c >= 0, ok
		}
		panic("no such operator: " + op)
	})
}

// refDate reads a date as the guide writes them: ISO 8601, or seconds since 1970.
func refDate(s string) (time.Time, error) {
	if seconds, err := strconv.ParseInt(s, 10, 64); err == nil && len(s) > len("2006") {
		return time.Unix(seconds, 0), nil
	}
	return time.Parse(time.RFC3339, s)
}

// arnLike compares the six parts one by one.
func (s *refStatement) arnLike(want, value string, k keys) (is, comparable bool) {
	if strings.Count(value, ":") < 5 {
		return false, true
	}
	if s.version == "2012-10-17" && strings.HasPrefix(want, "${") {
		m := s.anyLike([]string{want}, value, k, "")
		return m == "yes", m != "undecided"
	}
	undecided := false
	for i, part := range strings.SplitN(want, ":", 6) {
		switch s.anyLike([]string{part}, strings.SplitN(value, ":", 6)[i], k, "*?") {
		case "no":
			return false, true
		case "undecided":
			undecided = true
		}
	}
	return !undecided, !undecided
}
