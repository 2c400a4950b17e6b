package npm_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/npm"
)

// An answer is what a registry says.
type answer struct {
	body  string
	asked []egress.Request
}

func (a *answer) Base() string { return "https://registry.example/npm/" }

func (a *answer) Do(_ context.Context, r egress.Request) (*egress.Response, error) {
	a.asked = append(a.asked, r)
	h := http.Header{"Etag": {`"one"`}}
	return &egress.Response{Status: http.StatusOK, Header: h, URL: a.Base() + r.URL, Length: -1, Body: io.NopCloser(strings.NewReader(a.body))}, nil
}

var leftPad = packages.PackageID{Format: packages.NPM, Name: "left-pad"}

const (
	sha1   = "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"
	sha512 = "H0D8ktokFpR1CXnubPWC8tXX0o4YM13gWrxU0FYM1MC/HxlgNSRUlpYWTbDTfdBkzJlvvrLTdKIzC3ARp3Wq3g=="
)

func TestPackage(t *testing.T) {
	a := &answer{body: `{"_id":"left-pad","name":"left-pad","description":"pads","readme":"# pads","dist-tags":{"latest":"1.0.0","next":"2.0.0-rc.1"},
		"versions":{
			"1.0.0":{"name":"left-pad","version":"1.0.0","readme":"long","scripts":{"install":"x"},"deprecated":"old",
				"dist":{"tarball":"../files/left-pad-1.0.0.tgz","shasum":"` + sha1 + `","integrity":"sha512-` + sha512 + `","unpackedSize":7,"signatures":[{"keyid":"k","sig":"s"}]}},
			"2.0.0-rc.1":{"name":"left-pad","version":"2.0.0-rc.1","dist":{"tarball":"https://cdn.example/2.tgz","shasum":"` + sha1 + `"}},
			"2.0.0":{"name":"left-pad","version":"2.0.0","dist":{"tarball":"https://cdn.example/3.tgz"}},
			"v3":{"name":"left-pad","version":"v3","dist":{"tarball":"https://cdn.example/3.tgz","shasum":"` + sha1 + `"}},
			"4.0.0":{"name":"left-pad","version":"4.0.1","dist":{"tarball":"https://cdn.example/3.tgz","shasum":"` + sha1 + `"}}},
		"time":{"created":"2014-03-14T22:40:29.559Z","modified":"2024-01-01T00:00:00.000Z","1.0.0":"2014-03-14T22:40:29.559Z"}}`}
	p, validator, err := npm.Codec{}.Package(t.Context(), &source.Registry{Connection: "public:npmjs", Client: a, Settings: source.Override{MaxDocument: 1 << 20}}, leftPad, `{"etag":"\"zero\"","form":1}`)
	if err != nil {
		t.Fatal(err)
	}
	if validator != `{"etag":"\"one\"","form":1}` || a.asked[0].URL != "left-pad" || a.asked[0].Header.Get("If-None-Match") != `"zero"` {
		t.Errorf("the validator is %s, the request %+v", validator, a.asked[0])
	}
	if p.Tags["next"] != "2.0.0-rc.1" || !p.Created.Equal(time.Date(2014, 3, 14, 22, 40, 29, 559e6, time.UTC)) || !strings.Contains(string(p.Attributes), "# pads") {
		t.Errorf("the package is %+v", p)
	}
	// Left out are a version without hashes, one that is not Semantic Versioning, and one
	// whose object is another's.
	if len(p.Versions) != 2 {
		t.Fatalf("%d versions", len(p.Versions))
	}
	v := p.Versions[0]
	want := packages.RemoteAsset{Name: "package.tgz", URL: "https://registry.example/files/left-pad-1.0.0.tgz", SHA1: sha1}
	got := v.Assets[0]
	if len(got.SHA512) != 128 || got.Name != want.Name || got.URL != want.URL || got.SHA1 != want.SHA1 || !v.Published.Equal(p.Created) {
		t.Errorf("the version is %+v", v)
	}
	for text, wanted := range map[string]bool{
		`"hasInstallScript":true`: true, `"deprecated":"old"`: true, `"unpackedSize":7`: true, `"signatures"`: true,
		"registry.example": false, "long": false, "shasum": false,
	} {
		if bytes.Contains(v.Metadata, []byte(text)) != wanted {
			t.Errorf("the metadata have %q: %v", text, !wanted)
		}
	}
}

// A document that a release kept which did not read attestations is read again, although the
// registry has not changed it.
func TestPackage_KeptWithoutAttestations(t *testing.T) {
	a := &answer{body: `{"name":"left-pad","versions":{"1.0.0":{"name":"left-pad","version":"1.0.0","dist":{"tarball":"x.tgz","shasum":"` + sha1 + `","attestations":{"url":"y"}}}}}`}
	p, _, err := npm.Codec{}.Package(t.Context(), &source.Registry{Client: a}, leftPad, `{"etag":"\"zero\"","lastModified":"x"}`)
	if err != nil {
		t.Fatal(err)
	}
	if h := a.asked[0].Header; h.Get("If-None-Match") != "" || h.Get("If-Modified-Since") != "" {
		t.Errorf("the registry was asked whether it has changed: %v", h)
	}
	if !bytes.Contains(p.Versions[0].Metadata, []byte(`"attestations"`)) {
		t.Errorf("the metadata are %s", p.Versions[0].Metadata)
	}
}

// That a registry knows of a script counts, also if the scripts that it lists have none: it
// may be the build of a native addon.
func TestPackage_InstallScript(t *testing.T) {
	a := &answer{body: `{"name":"left-pad","versions":{"1.0.0":{"name":"left-pad","version":"1.0.0","scripts":{"test":"x"},"hasInstallScript":true,"dist":{"tarball":"x.tgz","shasum":"` + sha1 + `"}}}}`}
	p, _, err := npm.Codec{}.Package(t.Context(), &source.Registry{Client: a}, leftPad, "")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(p.Versions[0].Metadata, []byte(`"hasInstallScript":true`)) {
		t.Errorf("the metadata are %s", p.Versions[0].Metadata)
	}
}

func TestPackage_Scope(t *testing.T) {
	a := &answer{body: `{"name":"@acme/ui","versions":{}}`}
	id := packages.PackageID{Format: packages.NPM, Namespace: "acme", Name: "ui"}
	if _, _, err := (npm.Codec{}).Package(t.Context(), &source.Registry{Client: a}, id, ""); !errors.Is(err, packages.ErrNoRemotePackage) {
		t.Errorf("a package without versions: %v", err)
	}
	if a.asked[0].URL != "@acme%2fui" {
		t.Errorf("asked for %s", a.asked[0].URL)
	}
}

func TestPackage_Bad(t *testing.T) {
	for _, body := range []string{
		``, `null`, `[]`, `"x"`, `{`, `{}`, `{"name":"right-pad"}`, `{"name":"left-pad","versions":[]} x`,
		`{"name":"left-pad","versions":{"1.0.0":{}}}{}`, `{"name":"left-pad","dist-tags":7}`, `<html>`,
	} {
		_, _, err := npm.Codec{}.Package(t.Context(), &source.Registry{Client: &answer{body: body}}, leftPad, "")
		if bad := (*source.BadAnswer)(nil); !errors.As(err, &bad) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func FuzzPackage(f *testing.F) {
	f.Add(`{"name":"left-pad","versions":{"1.0.0":{"version":"1.0.0","dist":{"tarball":"x","shasum":"` + sha1 + `"}}},"time":{"1.0.0":"2014-03-14T22:40:29.559Z"}}`)
	f.Fuzz(func(t *testing.T, body string) {
		p, _, err := npm.Codec{}.Package(t.Context(), &source.Registry{Client: &answer{body: body}}, leftPad, "")
		if err != nil {
			return
		}
		for _, v := range p.Versions {
			if len(v.Assets) != 1 || v.Assets[0].SHA1+v.Assets[0].SHA256+v.Assets[0].SHA512 == "" || !strings.Contains(v.Assets[0].URL, "://") {
				t.Fatalf("the version is %+v", v)
			}
			npm.Codec{}.Describe(leftPad, v.Metadata)
		}
	})
}
