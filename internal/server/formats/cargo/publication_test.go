package cargo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/cargo/stored"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// The JSON that cargo 1.95 sent for a crate with a renamed, optional and platform's
// dependency, a development dependency on another registry, and features.
const sent = `{"name":"left","vers":"0.1.0","deps":[` +
	`{"optional":true,"default_features":false,"name":"right","features":["std"],"version_req":"^1.2","target":"cfg(unix)","kind":"normal","explicit_name_in_toml":"other"},` +
	`{"optional":false,"default_features":true,"name":"check","features":[],"version_req":"*","target":null,"kind":"dev","registry":"sparse+https://crates.example/index/"}],` +
	`"features":{"default":["fast"],"fast":["dep:other"],"slow":[],"both":["slow","other?/x"]},"authors":[],"description":"a <left> crate","documentation":null,` +
	`"homepage":"https://left.example","readme":"# Left\n","readme_file":"README.md","keywords":["side"],"categories":[],"license":"MIT OR Apache-2.0",` +
	`"license_file":null,"repository":"https://git.example/left","badges":{},"links":null,"rust_version":"1.70"}`

// length is n as it is before a part of the body.
func length(n int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(n)) }

func TestReadPublication(t *testing.T) {
	body := io.MultiReader(bytes.NewReader(length(len(sent))), strings.NewReader(sent+"rest"))
	p, err := readPublication(body)
	if err != nil {
		t.Fatal(err)
	}
	if rest, _ := io.ReadAll(body); string(rest) != "rest" {
		t.Errorf("it read too much: %q is left", rest)
	}
	d := p.describe()
	if d.DisplayName != "left" || d.Summary != "a <left> crate" || d.HomePage != "https://left.example" || d.SourceCodeRepository != "https://git.example/left" ||
		d.Readme != "# Left\n" || len(d.Licenses) != 1 || d.Licenses[0].Name != "MIT OR Apache-2.0" || len(d.Dependencies) != 2 {
		t.Fatalf("%+v", d)
	}
	if d := d.Dependencies[0]; d.Package != "right" || d.Type != "normal" || d.VersionRequirement != "^1.2" {
		t.Errorf("%+v", d)
	}
	if text := p.searchText(); text != "a <left> crate side" {
		t.Errorf("search text %q", text)
	}
}

func TestReadPublication_Invalid(t *testing.T) {
	change := func(old, new string) string { return strings.Replace(sent, old, new, 1) }
	for name, c := range map[string]struct{ text, code string }{
		"not JSON":         {"{", "InvalidMetadata"},
		"another type":     {change(`"vers":"0.1.0"`, `"vers":1`), "InvalidMetadata"},
		"a member twice":   {change(`"vers":"0.1.0"`, `"vers":"0.1.0","vers":"0.2.0"`), "InvalidMetadata"},
		"not UTF-8":        {change("a <left> crate", "\xff"), "InvalidMetadata"},
		"text after it":    {sent + "{}", "InvalidMetadata"},
		"deep":             {change(`"badges":{}`, `"badges":`+strings.Repeat("[", 100_000)), "InvalidMetadata"},
		"no name":          {change(`"name":"left"`, `"name":null`), "InvalidName"},
		"a path":           {change(`"name":"left"`, `"name":"../left"`), "InvalidName"},
		"a short version":  {change(`"vers":"0.1.0"`, `"vers":"0.1"`), "InvalidVersion"},
		"a requirement":    {change(`^1.2`, `latest`), "InvalidDependency"},
		"a kind":           {change(`"kind":"dev"`, `"kind":"peer"`), "InvalidDependency"},
		"a dependency":     {change(`"name":"right"`, `"name":"a/b"`), "InvalidName"},
		"a renaming":       {change(`"explicit_name_in_toml":"other"`, `"explicit_name_in_toml":"a b"`), "InvalidDependency"},
		"a feature":        {change(`"slow":[]`, `"a/b":[]`), "InvalidFeature"},
		"too many":         {change(`"deps":[`, `"deps":[`+strings.Repeat(`{"name":"a","version_req":"1","kind":"dev"},`, maxDependencies)), "TooManyDependencies"},
		"too many keyword": {change(`"keywords":[`, `"keywords":["x"`+strings.Repeat(`,"x"`, maxKeywords)+`,`), "TooManyKeywords"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readPublication(io.MultiReader(bytes.NewReader(length(len(c.text))), strings.NewReader(c.text)))
			if !fault.Is(err, c.code) {
				t.Errorf("%v, want %s", err, c.code)
			}
		})
	}
}

func TestReadPublication_Lengths(t *testing.T) {
	for name, c := range map[string]struct {
		body io.Reader
		code string
	}{
		"empty":          {strings.NewReader(""), "IncompleteBody"},
		"a short length": {strings.NewReader("abc"), "IncompleteBody"},
		"4 GiB":          {io.MultiReader(strings.NewReader("\xff\xff\xff\xff"), iotest.ErrReader(errors.New("it was read"))), "MetadataTooLarge"},
		"ends early":     {io.MultiReader(bytes.NewReader(length(100)), strings.NewReader("{}")), "IncompleteBody"},
		"breaks":         {io.MultiReader(bytes.NewReader(length(100)), iotest.ErrReader(io.ErrUnexpectedEOF)), "IncompleteBody"},
		"no memory":      {io.MultiReader(bytes.NewReader(length(100)), iotest.ErrReader(fault.New(fault.Unavailable, "ServiceUnavailable", "busy"))), "ServiceUnavailable"},
	} {
		if _, err := readPublication(c.body); !fault.Is(err, c.code) {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
}

func FuzzReadPublication(f *testing.F) {
	f.Add(append(length(len(sent)), sent...))
	f.Add(append(length(2), "{}"...))
	f.Add(append(length(3), "{}"...))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := readPublication(bytes.NewReader(body))
		if err != nil {
			if e := fault.From(err); e.Kind == fault.Internal {
				t.Fatalf("the fault of a client is an internal error: %v", err)
			}
			return
		}
		// What is accepted is a line of the index that cargo can read.
		text, err := encode(p.about(), newIndexEntry(p, "https://registry.example/"))
		if err != nil {
			t.Fatal(err)
		}
		m, err := stored.Decode(text)
		if err != nil || bytes.ContainsRune(m.Index, '\n') || !bytes.HasSuffix(m.Index, []byte("}")) {
			t.Fatalf("%s: %v", text, err)
		}
	})
}
