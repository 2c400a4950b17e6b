// Package wildcard matches names with the patterns of ECR, in which an asterisk means
// any number of characters and everything else means itself.
package wildcard

import "strings"

// Match reports whether all of s matches the pattern. It takes time proportional to the
// product of both lengths at most.
func Match(pattern, s string) bool {
	first, rest, ok := strings.Cut(pattern, "*")
	if !ok {
		return s == pattern
	}
	s, ok = strings.CutPrefix(s, first)
	if !ok {
		return false
	}
	for {
		part, next, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(s, part)
		}
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s, rest = s[i+len(part):], next
	}
}
