package cargo

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/cargo/stored"
)

func TestNewIndexEntry(t *testing.T) {
	p, err := decodePublication([]byte(sent))
	if err != nil {
		t.Fatal(err)
	}
	text, err := encode(p.about(), newIndexEntry(p, "https://registry.example/cargo/lib/"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := stored.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"name":"left","vers":"0.1.0","deps":[` +
		`{"name":"other","req":"^1.2","features":["std"],"optional":true,"default_features":false,"target":"cfg(unix)","kind":"normal","package":"right"},` +
		`{"name":"check","req":"*","features":[],"optional":false,"default_features":true,"target":null,"kind":"dev","registry":"sparse+https://crates.example/index/"}],` +
		`"features":{"slow":[]},"features2":{"both":["slow","other?/x"],"default":["fast"],"fast":["dep:other"]},"rust_version":"1.70","v":2}`
	if string(m.Index) != want {
		t.Errorf("%s\nwant %s", m.Index, want)
	}
	if m.About.Description != "a <left> crate" || m.About.License != "MIT OR Apache-2.0" {
		t.Errorf("%+v", m.About)
	}
}

// A dependency on the registry itself has no registry in the index, whatever spelling
// of its address the client knows. One on another registry keeps it.
func TestNewIndexEntry_Registry(t *testing.T) {
	const endpoint = "https://registry.example/cargo/lib/"
	for registry, want := range map[string]string{
		"": "", "sparse+" + endpoint: "", endpoint: "", "sparse+https://registry.example/cargo/other/": "sparse+https://registry.example/cargo/other/",
		"https://git.example/index": "https://git.example/index",
	} {
		e := newIndexEntry(&publication{Dependencies: []sentDependency{{Name: "a", Registry: registry}}}, endpoint)
		if got := e.Dependencies[0].Registry; got != want {
			t.Errorf("%q is in the index as %q, want %q", registry, got, want)
		}
	}
}

func TestNewIndexEntry_Minimal(t *testing.T) {
	text, err := encode(stored.About{}, newIndexEntry(&publication{Name: "a", Version: "1.0.0", Dependencies: []sentDependency{{Name: "b", Requirement: "1", Kind: "normal"}}}, ""))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"name":"a","vers":"1.0.0","deps":[{"name":"b","req":"1","features":[],"optional":false,"default_features":false,"target":null,"kind":"normal"}],"features":{}}`
	if m, err := stored.Decode(text); err != nil || string(m.Index) != want {
		t.Errorf("%s, %v", m.Index, err)
	}
}

func TestSplitFeatures(t *testing.T) {
	for name, c := range map[string]struct {
		in     string
		recent string
	}{
		"old ones":       {`{"a":["b"],"b":["c/d"],"default":["a"]}`, ""},
		"dep:":           {`{"a":["dep:x"],"b":[]}`, "a"},
		"weak":           {`{"a":["x?/y"],"b":[]}`, "a"},
		"those above it": {`{"a":["b"],"b":["c"],"c":["dep:x"],"d":["e"],"e":[]}`, "a b c"},
		"in a circle":    {`{"a":["b"],"b":["a","dep:x"]}`, "a b"},
	} {
		var all map[string][]string
		if err := json.Unmarshal([]byte(c.in), &all); err != nil {
			t.Fatal(err)
		}
		old, recent := splitFeatures(all)
		if got := strings.Join(slices.Sorted(maps.Keys(recent)), " "); got != c.recent {
			t.Errorf("%s: %s, want %s", name, got, c.recent)
		}
		maps.Copy(old, recent)
		if !maps.EqualFunc(old, all, slices.Equal) {
			t.Errorf("%s: %v and %v together are not %v", name, old, recent, all)
		}
	}
}
