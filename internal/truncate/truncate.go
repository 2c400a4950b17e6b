// Package truncate shortens strings for messages, log lines and records. Text
// that comes from a client can be of any length and need not be valid UTF-8; what
// this package returns is bounded and valid wherever it was cut.
package truncate

import "strings"

// String returns s if it has at most limit bytes. Otherwise it returns the first
// limit bytes, without a character that was cut in two, and an ellipsis.
func String(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return Prefix(s, limit) + "…"
}

// Prefix is [String] without the ellipsis.
func Prefix(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "")
}
