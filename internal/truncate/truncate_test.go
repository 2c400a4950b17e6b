package truncate_test

import (
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/truncate"
)

func TestString(t *testing.T) {
	for _, tt := range []struct {
		in    string
		limit int
		want  string
	}{
		{"", 0, ""},
		{"abc", 3, "abc"},
		{"abcd", 3, "abc…"},
		{"aé", 2, "a…"}, // é has two bytes
		{"a\xff\xfeb", 3, "a…"},
		{"\xff", 1, "\xff"}, // what fits is not looked at
	} {
		if got := truncate.String(tt.in, tt.limit); got != tt.want {
			t.Errorf("String(%q, %d) = %q, want %q", tt.in, tt.limit, got, tt.want)
		}
	}
}

func TestPrefix(t *testing.T) {
	for in, want := range map[string]string{"abc": "abc", "abcdé": "abcd", "abcé": "abc", "abcdef": "abcd"} {
		if got := truncate.Prefix(in, 4); got != want {
			t.Errorf("Prefix(%q, 4) = %q, want %q", in, got, want)
		}
	}
}
