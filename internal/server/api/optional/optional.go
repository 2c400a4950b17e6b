// Package optional converts between the members of the SDK's structs, which are pointers,
// and plain values. A member that is nil is left out of an answer.
package optional

import "time"

// Value returns what p points to, or the zero value.
func Value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// Text returns nil for an empty text.
func Text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Time returns nil for the zero time.
func Time(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
