package cargo_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/cargo/stored"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/cargo"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/upstreamtest"
)

const (
	connection = "public:crates-io"
	indexPath  = "/le/ft/left"
)

var (
	left = packages.PackageID{Format: packages.Cargo, Name: "left"}
	sum  = strings.Repeat("0a", 32)
)

// open returns a registry with a config.json, and a codec whose clock the test sets.
func open(t *testing.T, dl string) (*upstreamtest.Server, *source.Registry, *cargo.Codec, *time.Time) {
	t.Helper()
	s := upstreamtest.New(t)
	configure(s, dl)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := &source.Registry{Connection: connection, Client: s.Upstream(t, connection), Settings: source.Override{MaxDocument: 1 << 20}}
	return s, r, cargo.New(func() time.Time { return now }), &now
}

func configure(s *upstreamtest.Server, dl string) {
	s.Put("/config.json", upstreamtest.File{Body: []byte(`{"dl":"` + dl + `","api":"https://registry.example"}`)})
}

func putIndex(s *upstreamtest.Server, path, text string) {
	s.Put(path, upstreamtest.File{Body: []byte(text), Type: "text/plain"})
}

func version(name, version, rest string) string {
	return `{"name":"` + name + `","vers":"` + version + `","deps":[],"cksum":"` + sum + `","features":{},"yanked":false` + rest + "}\n"
}

func TestPackage(t *testing.T) {
	s, r, codec, _ := open(t, "https://files.example/crates")
	putIndex(s, indexPath, version("left", "1.0.0", "")+
		`{"name":"left","vers":"1.1.0+b","deps":[{"name":"r","req":">=1, <2","features":[],"optional":false,"default_features":true,"target":null,"kind":"dev","registry":null,"package":"right"}],`+
		`"cksum":"`+strings.ToUpper(sum)+`","features":{"a":["dep:r"]},"features2":{"b":[]},"yanked":true,"links":null,"v":2,"rust_version":"1.70","pubtime":"2025-01-02T03:04:05Z","future":{"z":1,"a":1.50}}`+"\n"+
		version("left", "v1", "")+strings.Replace(version("left", "1.2.0", ""), sum, "00", 1))
	p, validator, err := codec.Package(t.Context(), r, left, "")
	if err != nil {
		t.Fatal(err)
	}
	// Left out are a version that is not Semantic Versioning and one without a checksum.
	if p.Name != "left" || len(p.Versions) != 2 {
		t.Fatalf("the package is %+v", p)
	}
	one, two := p.Versions[0], p.Versions[1]
	want := packages.RemoteAsset{Name: "left-1.0.0.crate", URL: "https://files.example/crates/left/1.0.0/download", SHA256: sum}
	if a := one.Assets[0]; a.Name != want.Name || a.URL != want.URL || a.SHA256 != want.SHA256 || one.Status != packages.Published || !one.Published.IsZero() {
		t.Errorf("the first version is %+v", one)
	}
	if two.Status != packages.Unlisted || two.Assets[0].SHA256 != sum || !two.Published.Equal(time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("the second version is %+v", two)
	}
	m, err := stored.Decode(two.Metadata)
	if err != nil {
		t.Fatal(err)
	}
	const line = `{"name":"left","vers":"1.1.0+b","deps":[{"name":"r","req":">=1, <2","features":[],"optional":false,"default_features":true,"target":null,"kind":"dev","registry":null,"package":"right"}],` +
		`"features":{"a":["dep:r"]},"features2":{"b":[]},"links":null,"v":2,"rust_version":"1.70","pubtime":"2025-01-02T03:04:05Z","future":{"z":1,"a":1.50}}`
	if string(m.Index) != line || !m.HasTime {
		t.Errorf("the line is\n%s, want\n%s", m.Index, line)
	}
	d := codec.Describe(left, two.Metadata)
	if d.DisplayName != "left" || len(d.Dependencies) != 1 || d.Dependencies[0] != (packages.Dependency{Package: "right", Type: "dev", VersionRequirement: ">=1, <2"}) {
		t.Errorf("the description is %+v", d)
	}
	if _, _, err := codec.Package(t.Context(), r, left, validator); !errors.Is(err, source.ErrNotModified) {
		t.Errorf("asked again: %v", err)
	}
	if n := s.Count("/config.json"); n != 1 {
		t.Errorf("config.json was read %d times", n)
	}
}

func TestPackage_Download(t *testing.T) {
	for dl, want := range map[string]string{
		"https://f.example/a":                                      "https://f.example/a/Serde_JSON/1.0.0+b/download",
		"https://f.example/a/":                                     "https://f.example/a/Serde_JSON/1.0.0+b/download",
		"https://f.example/{crate}-{version}.crate?x=1":            "https://f.example/Serde_JSON-1.0.0+b.crate?x=1",
		"https://f.example/{prefix}/{lowerprefix}/{crate}":         "https://f.example/Se/rd/se/rd/Serde_JSON",
		"https://f.example/{sha256-checksum}":                      "https://f.example/" + sum,
		"http://{crate}.example/{version}/{sha256-checksum}.crate": "http://Serde_JSON.example/1.0.0+b/" + sum + ".crate",
	} {
		s, r, codec, _ := open(t, dl)
		putIndex(s, "/se/rd/serde_json", version("Serde_JSON", "1.0.0+b", ""))
		p, _, err := codec.Package(t.Context(), r, packages.PackageID{Format: packages.Cargo, Name: "serde_json"}, "")
		if err != nil {
			t.Fatalf("%s: %v", dl, err)
		}
		if a := p.Versions[0].Assets[0]; p.Name != "Serde_JSON" || a.URL != want || a.Name != "Serde_JSON-1.0.0+b.crate" {
			t.Errorf("%s: %+v", dl, a)
		}
	}
}

// After the files have moved, an answer that is still the same has other addresses.
func TestPackage_DownloadMoves(t *testing.T) {
	s, r, codec, now := open(t, "https://old.example")
	putIndex(s, indexPath, version("left", "1.0.0", ""))
	_, validator, err := codec.Package(t.Context(), r, left, "")
	if err != nil {
		t.Fatal(err)
	}
	configure(s, "https://new.example")
	*now = now.Add(time.Hour)
	p, _, err := codec.Package(t.Context(), r, left, validator)
	if err != nil || p.Versions[0].Assets[0].URL != "https://new.example/left/1.0.0/download" {
		t.Fatalf("%+v, %v", p, err)
	}
	// While config.json cannot be read, the last one is used.
	s.Fail("/config.json", upstreamtest.Status(500))
	*now = now.Add(time.Hour)
	if p, _, err := codec.Package(t.Context(), r, left, ""); err != nil || p.Versions[0].Assets[0].URL != "https://new.example/left/1.0.0/download" {
		t.Fatalf("%+v, %v", p, err)
	}
}

func TestPackage_Missing(t *testing.T) {
	s, r, codec, _ := open(t, "https://files.example")
	putIndex(s, "/em/pt/empty", "\n")
	s.Fail("/la/we/lawyer", upstreamtest.Status(http.StatusUnavailableForLegalReasons))
	for _, name := range []string{"left", "empty", "lawyer", "../left", "a/b", ""} {
		if _, _, err := codec.Package(t.Context(), r, packages.PackageID{Format: packages.Cargo, Name: name}, ""); !errors.Is(err, packages.ErrNoRemotePackage) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, q := range s.Requests() {
		if strings.Contains(q.Path, "..") || strings.Contains(q.Path, "a/b") {
			t.Errorf("asked for %s", q.Path)
		}
	}
}

// Nothing that is wrong is taken for an answer, and no fault for a crate that is missing.
func TestPackage_Faults(t *testing.T) {
	good := version("left", "1.0.0", "")
	for name, prepare := range map[string]func(*upstreamtest.Server){
		"another crate":      func(s *upstreamtest.Server) { putIndex(s, indexPath, version("evil", "1.0.0", "")) },
		"not JSON":           func(s *upstreamtest.Server) { putIndex(s, indexPath, good+"x\n") },
		"not an object":      func(s *upstreamtest.Server) { putIndex(s, indexPath, good+"[]\n") },
		"two objects":        func(s *upstreamtest.Server) { putIndex(s, indexPath, "{}{}\n") },
		"one name twice":     func(s *upstreamtest.Server) { putIndex(s, indexPath, `{"name":"left","name":"evil"}`) },
		"ends in the middle": func(s *upstreamtest.Server) { putIndex(s, indexPath, good+good[:40]) },
		"too large":          func(s *upstreamtest.Server) { putIndex(s, indexPath, strings.Repeat(good, 10_000)) },
		"shorter":            func(s *upstreamtest.Server) { s.Fail(indexPath, upstreamtest.Shorter(5)) },
		"cut":                func(s *upstreamtest.Server) { s.Fail(indexPath, upstreamtest.Cut(20)) },
		"500":                func(s *upstreamtest.Server) { s.Fail(indexPath, upstreamtest.Status(500)) },
		"403":                func(s *upstreamtest.Server) { s.Fail(indexPath, upstreamtest.Status(403)) },
		"429":                func(s *upstreamtest.Server) { s.Fail(indexPath, upstreamtest.Throttle(429, "1")) },
		"HTML":               func(s *upstreamtest.Server) { s.Fail(indexPath, upstreamtest.HTML()) },
		"bomb":               func(s *upstreamtest.Server) { s.Fail(indexPath, upstreamtest.Bomb(8<<20)) },
		"redirect loop":      func(s *upstreamtest.Server) { s.Fail("", upstreamtest.RedirectLoop()) },
		"no config.json":     func(s *upstreamtest.Server) { s.Remove("/config.json") },
		"config.json fails":  func(s *upstreamtest.Server) { s.Fail("/config.json", upstreamtest.Status(500)) },
		"config.json is HTML": func(s *upstreamtest.Server) {
			s.Fail("/config.json", upstreamtest.HTML())
		},
		"config.json is not JSON": func(s *upstreamtest.Server) {
			s.Put("/config.json", upstreamtest.File{Body: []byte("dl")})
		},
		"no dl":                func(s *upstreamtest.Server) { configure(s, "") },
		"dl with a password":   func(s *upstreamtest.Server) { configure(s, "https://a:b@files.example") },
		"dl is a file":         func(s *upstreamtest.Server) { configure(s, "file:///etc/passwd") },
		"dl is not an address": func(s *upstreamtest.Server) { configure(s, "../crates") },
	} {
		t.Run(name, func(t *testing.T) {
			s, r, codec, _ := open(t, "https://files.example")
			putIndex(s, indexPath, good)
			prepare(s)
			p, _, err := codec.Package(t.Context(), r, left, "")
			bad := (*source.BadAnswer)(nil)
			if err == nil || errors.Is(err, packages.ErrNoRemotePackage) || !errors.As(err, &bad) && egress.KindOf(err) == "" {
				t.Fatalf("%+v, %v", p, err)
			}
			s.Heal()
			configure(s, "https://files.example")
			putIndex(s, indexPath, good)
			if name == "429" {
				return // the pause lasts
			}
			if _, _, err := codec.Package(t.Context(), r, left, ""); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func FuzzPackage(f *testing.F) {
	f.Add(version("left", "1.0.0", ""))
	f.Add(version("left", "1.0.0", `,"pubtime":"2025-01-02T03:04:05Z","v":2,"features2":{"a":["dep:b"]}`) + version("left", "1.1.0", ""))
	f.Add("{}\n{}")
	f.Fuzz(func(t *testing.T, text string) {
		r := &source.Registry{Connection: connection, Client: fixed{"config.json": `{"dl":"https://files.example"}`, "le/ft/left": text}}
		codec := cargo.New(time.Now)
		p, _, err := codec.Package(t.Context(), r, left, "")
		if err != nil {
			return
		}
		for _, v := range p.Versions {
			if len(v.Assets) != 1 || len(v.Assets[0].SHA256) != 64 || !strings.HasPrefix(v.Assets[0].URL, "https://files.example/") {
				t.Fatalf("the version is %+v", v)
			}
			m, err := stored.Decode(v.Metadata)
			if err != nil || !json.Valid(m.Index) || strings.ContainsAny(string(m.Index), "\n") {
				t.Fatalf("the metadata are %s: %v", v.Metadata, err)
			}
			codec.Describe(left, v.Metadata)
		}
	})
}
