package cargo

import (
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/cargo/stored"
)

func TestIndexPath(t *testing.T) {
	for name, path := range map[string]string{
		"a": "1/a", "ab": "2/ab", "abc": "3/a/abc", "Cargo": "ca/rg/cargo", "serde_json": "se/rd/serde_json", "a-b_": "a-/b_/a-b_",
	} {
		if got := stored.IndexPath(name); got != path {
			t.Errorf("stored.IndexPath(%s) = %s, want %s", name, got, path)
		}
		if got, ok := parseIndexPath(path); !ok || got != strings.ToLower(name) {
			t.Errorf("parseIndexPath(%s) = %s, %t", path, got, ok)
		}
	}
	for _, path := range []string{"", "a", "1/ab", "2/a", "3/b/abc", "ca/rg/Cargo", "ca/rg/x/cargo", "se/rd/../serde", "CA/RG/CARGO", "1/1", "ca/rg/", "config.json", "api/v1/crates"} {
		if name, ok := parseIndexPath(path); ok {
			t.Errorf("parseIndexPath(%q) = %q", path, name)
		}
	}
}

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "serde": true, "Serde_JSON-2": true, strings.Repeat("a", 64): true,
		"": false, strings.Repeat("a", 65): false, "1a": false, "_a": false, "-a": false, "a.b": false, "a b": false, "é": false, "a/b": false, "a\n": false,
	} {
		if got := stored.ValidName(name); got != want {
			t.Errorf("stored.ValidName(%q) = %t", name, got)
		}
	}
}

func TestValidVersion(t *testing.T) {
	for version, want := range map[string]bool{
		"0.0.0": true, "1.2.3": true, "1.0.0-alpha.1+b.001": true, "1.0.0--": true, "18446744073709551615.0.0": true,
		"": false, "1": false, "1.2": false, "01.2.3": false, "1.2.3-01": false, "1.2.3-": false, "1.2.3+": false, "v1.2.3": false, "1.2.3 ": false, "1.2.3\n": false,
		"18446744073709551616.0.0": false, "1.2.3-" + strings.Repeat("a", 128): false,
	} {
		if got := stored.ValidVersion(version); got != want {
			t.Errorf("stored.ValidVersion(%q) = %t", version, got)
		}
	}
}

func TestValidRequirement(t *testing.T) {
	for req, want := range map[string]bool{
		"*": true, "1": true, "^1.2.3": true, "~1.2": true, ">=1.2, <2": true, "= 1.2.3-rc.1+b": true, "1.*": true, "1.2.x": true, "1.*.*": true, " >= 1.0 , <2": true, "0.1.0-a.b": true, "1,": true,
		"": false, "1.2.3.4": false, "^*1": false, "latest": false, ">=": false, "1 || 2": false, "1 2": false, "01": false, "1.2-rc": false, ",": false, "git": false,
		strings.Repeat("1,", 32) + "1": false, "1." + strings.Repeat("1", 600): false,
	} {
		if got := validRequirement(req); got != want {
			t.Errorf("validRequirement(%q) = %t", req, got)
		}
	}
}

func FuzzParseIndexPath(f *testing.F) {
	for _, seed := range []string{"1/a", "2/ab", "3/a/abc", "se/rd/serde", "se//serde", "%2e/%2e/x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if name, ok := parseIndexPath(path); ok && stored.IndexPath(name) != path {
			t.Errorf("%q is the path of %q, whose path is %q", path, name, stored.IndexPath(name))
		}
	})
}
