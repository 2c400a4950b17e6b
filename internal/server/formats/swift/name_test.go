package swift

import (
	"archive/zip"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for scope, want := range map[string]bool{"a": true, "Acme-1": true, strings.Repeat("a", 39): true, "": false, "-a": false, "a-": false, "a--b": false, "a_b": false, "a.b": false, strings.Repeat("a", 40): false} {
		if validScope(scope) != want {
			t.Errorf("validScope(%q) = %t", scope, !want)
		}
	}
	for name, want := range map[string]bool{"LinkedList": true, "a-b_c": true, "a_": false, "a-_b": false, "": false, "a.b": false, "é": false, strings.Repeat("a", 101): false} {
		if validName(name) != want {
			t.Errorf("validName(%q) = %t", name, !want)
		}
	}
}

func TestNormalURL(t *testing.T) {
	for address, want := range map[string]string{
		"https://Git.Example/acme/List.git": "git.example/acme/List", "git@git.example:acme/List.git": "git.example/acme/List", "ssh://git@git.example:22/acme/List/": "git.example/acme/List",
		"http://git.example/acme/List": "git.example/acme/List", "": "", "acme/List": "", "https://": "",
	} {
		if got := normalURL(address); got != want {
			t.Errorf("normalURL(%q) = %q, want %q", address, got, want)
		}
	}
}

func TestReadToolsVersion(t *testing.T) {
	for text, want := range map[string]string{"// swift-tools-version:5.9\n": "5.9", "//swift-tools-version: 6.0.1;(x)": "6.0.1", "// Swift-Tools-Version:5": "5", "import X\n// swift-tools-version:5.9": "", "": ""} {
		if got := readToolsVersion([]byte(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func FuzzParseRoute(f *testing.F) {
	for _, seed := range []string{"acme/List", "acme/List/1.0.0.zip", "acme/List/1.0.0/Package.swift", "identifiers", "a/b/1.0.0-x.json", "%2e/%2e"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, escaped string) {
		kind, rt := parseRoute(escaped)
		if rt.name != "" && (!validScope(rt.scope) || !validName(rt.name)) || kind == "" && rt.name != "" {
			t.Errorf("%q is %s %+v", escaped, kind, rt)
		}
	})
}

func FuzzReadManifests(f *testing.F) {
	f.Add("PK")
	var b strings.Builder
	z := zip.NewWriter(&b)
	for _, name := range []string{"acme.Sample/", "acme.Sample/Package.swift", "acme.Sample/Package@swift-6.0.swift"} {
		if _, err := z.Create(name); err != nil {
			f.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(b.String())
	f.Fuzz(func(t *testing.T, content string) {
		found, err := readManifests(t.Context(), strings.NewReader(content), int64(len(content)))
		if err == nil && len(found) == 0 {
			t.Error("no manifest and no error")
		}
	})
}

func FuzzNormalURL(f *testing.F) {
	f.Add("git@git.example:acme/List.git")
	f.Fuzz(func(t *testing.T, address string) { normalURL(address) })
}
