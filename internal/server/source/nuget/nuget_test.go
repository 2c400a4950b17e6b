package nuget_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/nuget"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/upstreamtest"
)

// documents are what a registry answers, by address.
type documents map[string]string

const base = "https://index.example/v3/"

func (documents) Base() string { return base }

func (d documents) Do(_ context.Context, r egress.Request) (*egress.Response, error) {
	address := r.URL
	if !strings.Contains(address, "://") {
		address = base + address
	}
	body, ok := d[address]
	if !ok {
		return nil, &egress.Error{Kind: egress.Answered, Status: http.StatusNotFound, Message: "not found"}
	}
	return &egress.Response{Status: http.StatusOK, Header: http.Header{}, URL: address, Length: -1, Body: io.NopCloser(strings.NewReader(body))}, nil
}

const serviceIndex = `{"version":"3.0.0","resources":[
	{"@id":"https://reg.example/old","@type":"RegistrationsBaseUrl"},
	{"@id":"https://reg.example/semver2/","@type":["RegistrationsBaseUrl/3.6.0","RegistrationsBaseUrl/Versioned"]},
	{"@id":"https://files.example/flat","@type":"PackageBaseAddress/3.0.0"}]}`

var acmeLib = packages.PackageID{Format: packages.NuGet, Name: "acme.lib"}

func registry(d documents) *source.Registry {
	return &source.Registry{Connection: "public:nuget-org", Client: d, Settings: source.Override{MaxDocument: 1 << 20}}
}

// withRegistration returns a registry whose package has these pages.
func withRegistration(pages string) documents {
	return documents{base + "index.json": serviceIndex, "https://reg.example/semver2/acme.lib/index.json": `{"count":1,"items":[` + pages + `]}`}
}

func TestPackage(t *testing.T) {
	hash := base64.StdEncoding.EncodeToString(make([]byte, 64))
	d := withRegistration(`{"@id":"x","items":[
		{"catalogEntry":{"@id":"https://catalog.example/1.json","id":"Acme.Lib","version":"1.0.0.0+build","authors":["Ann","Ben"],"tags":"one two","description":"A library","listed":true,
			"published":"2025-01-02T03:04:05.67+00:00","projectUrl":"javascript:x","dependencyGroups":[{"targetFramework":"net8.0","dependencies":[{"id":"Other.Lib","range":"[1.0.0, )"},{"id":"not valid!"}]}],
			"deprecation":{"reasons":["Legacy"],"message":"old","alternatePackage":{"id":"New.Lib","range":"*"}},"vulnerabilities":[{"advisoryUrl":"https://advisories.example/1","severity":2}]},
		 "packageContent":"https://files.example/acme.1.nupkg"},
		{"catalogEntry":{"id":"acme.LIB","version":"1.1.0-Beta.1","published":"1900-01-01T00:00:00+00:00","packageHash":"` + hash + `","packageHashAlgorithm":"SHA512","packageSize":7}},
		{"catalogEntry":{"id":"Acme.Lib","version":"not a version"}}]}`)
	p, _, err := nuget.New(nuget.Config{}).Package(t.Context(), registry(d), acmeLib, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Versions) != 2 {
		t.Fatalf("%d versions: %+v", len(p.Versions), p.Versions)
	}
	one, two := p.Versions[0], p.Versions[1]
	const want = `{"id":"Acme.Lib","version":"1.0.0.0+build","authors":"Ann, Ben","description":"A library","tags":["one","two"],` +
		`"dependencyGroups":[{"targetFramework":"net8.0","dependencies":[{"id":"Other.Lib","range":"[1.0.0, )"}]}],` +
		`"deprecation":{"reasons":["Legacy"],"message":"old","alternatePackage":{"id":"New.Lib","range":"*"}},"vulnerabilities":[{"advisoryUrl":"https://advisories.example/1","severity":"2"}]}`
	if one.Version != "1.0.0" || one.Status != packages.Published || !one.Published.Equal(time.Date(2025, 1, 2, 3, 4, 5, 670_000_000, time.UTC)) || string(one.Metadata) != want {
		t.Errorf("the first version is %+v\n%s, want\n%s", one, one.Metadata, want)
	}
	if a := one.Assets[0]; a.Name != "acme.lib.1.0.0.nupkg" || a.URL != "https://files.example/acme.1.nupkg" || a.SHA512 != "" || a.About != "https://catalog.example/1.json" {
		t.Errorf("its file is %+v", a)
	}
	if two.Version != "1.1.0-Beta.1" || two.Status != packages.Unlisted || !two.Published.IsZero() {
		t.Errorf("the second version is %+v", two)
	}
	if a := two.Assets[0]; a.URL != "https://files.example/flat/acme.lib/1.1.0-beta.1/acme.lib.1.1.0-beta.1.nupkg" || len(a.SHA512) != 128 || a.Size != 7 || a.About != "" {
		t.Errorf("its file is %+v", a)
	}
}

// leaf is a leaf of a registration.
func leaf(version string) string {
	return `{"catalogEntry":{"id":"acme.lib","version":"` + version + `","listed":true},"packageContent":"https://files.example/` + version + `"}`
}

func TestPackage_Pages(t *testing.T) {
	d := withRegistration(`{"@id":"page/1.json"},{"@id":"https://other.example/2.json","items":null},{"@id":"none","items":[` + leaf("3.0.0") + `]}`)
	d["https://reg.example/semver2/acme.lib/page/1.json"] = `{"items":[` + leaf("1.0.0") + `]}`
	d["https://other.example/2.json"] = `{"items":[` + leaf("2.0.0") + `,` + leaf("2.1.0") + `]}`
	p, _, err := nuget.New(nuget.Config{}).Package(t.Context(), registry(d), acmeLib, "")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range p.Versions {
		got = append(got, v.Version)
	}
	if strings.Join(got, " ") != "1.0.0 2.0.0 2.1.0 3.0.0" {
		t.Errorf("the versions are %v", got)
	}
	// A page that is missing is not a package with fewer versions.
	delete(d, "https://other.example/2.json")
	_, _, err = nuget.New(nuget.Config{}).Package(t.Context(), registry(d), acmeLib, "")
	if bad := (*source.BadAnswer)(nil); !errors.As(err, &bad) {
		t.Errorf("without a page: %v", err)
	}
}

func TestPackage_Bad(t *testing.T) {
	for name, d := range map[string]documents{
		"no service index":   {},
		"no registrations":   {base + "index.json": `{"resources":[{"@id":"https://a.example/","@type":"SearchQueryService"}]}`},
		"not JSON":           withRegistration(`{`),
		"another package":    withRegistration(`{"items":[` + strings.ReplaceAll(leaf("1.0.0"), "acme.lib", "evil") + `]}`),
		"page without an id": withRegistration(`{"count":3}`),
		"page of a page":     {base + "index.json": serviceIndex, "https://reg.example/semver2/acme.lib/index.json": `{"items":[{"@id":"index.json"}]}`},
		"many pages":         withRegistration(strings.Repeat(`{"@id":"a"},`, 1001) + `{"@id":"a"}`),
	} {
		_, _, err := nuget.New(nuget.Config{}).Package(t.Context(), registry(d), acmeLib, "")
		if bad := (*source.BadAnswer)(nil); !errors.As(err, &bad) && name != "page of a page" || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, d := range map[string]documents{"no registration": {base + "index.json": serviceIndex}, "no versions": withRegistration(`{"items":[]}`)} {
		if _, _, err := nuget.New(nuget.Config{}).Package(t.Context(), registry(d), acmeLib, ""); !errors.Is(err, packages.ErrNoRemotePackage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The service index is read once an hour. One that cannot be read any more is used on.
func TestPackage_ServiceIndex(t *testing.T) {
	r := upstreamtest.New(t)
	put := func(folder string) {
		r.Put("/index.json", upstreamtest.File{Type: "application/json", Body: fmt.Appendf(nil, `{"resources":[{"@id":"%s/%s/","@type":"RegistrationsBaseUrl/3.6.0"}]}`, r.URL, folder)})
	}
	for _, folder := range []string{"a", "b"} {
		r.Put("/"+folder+"/acme.lib/index.json", upstreamtest.File{Type: "application/json", Body: []byte(`{"items":[{"items":[` + leaf("1.0.0") + `]}]}`)})
	}
	put("a")
	now := time.Now()
	c := nuget.New(nuget.Config{Now: func() time.Time { return now }})
	ask := func() {
		t.Helper()
		if _, _, err := c.Package(t.Context(), &source.Registry{Connection: "x", Client: r.Upstream(t, "x"), Settings: source.Override{MaxDocument: 1 << 20}}, acmeLib, ""); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		ask()
	}
	put("b")
	now = now.Add(59 * time.Minute)
	ask()
	if n := r.Count("/index.json"); n != 1 {
		t.Errorf("%d questions for the service index within an hour", n)
	}
	now = now.Add(2 * time.Minute)
	ask()
	if r.Count("/index.json") != 2 || r.Count("/b/acme.lib/index.json") != 1 {
		t.Errorf("after an hour: %d questions, %d to the new place", r.Count("/index.json"), r.Count("/b/acme.lib/index.json"))
	}
	r.Fail("/index.json", upstreamtest.Status(500))
	now = now.Add(2 * time.Hour)
	ask()
}

// A page can change without its index if that tells no times.
func TestPackage_Revalidation(t *testing.T) {
	r := upstreamtest.New(t)
	put := func(path, body string) {
		r.Put(path, upstreamtest.File{Type: "application/json", Body: []byte(body)})
	}
	put("/index.json", `{"resources":[{"@id":"`+r.URL+`/reg/","@type":"RegistrationsBaseUrl/3.6.0"}]}`)
	put("/reg/acme.lib/index.json", `{"items":[{"@id":"1.json"},{"@id":"2.json","commitTimeStamp":"2025-01-01T00:00:00Z"}]}`)
	put("/reg/acme.lib/1.json", `{"items":[`+leaf("1.0.0")+`]}`)
	put("/reg/acme.lib/2.json", `{"items":[`+leaf("2.0.0")+`]}`)
	c := nuget.New(nuget.Config{})
	up := &source.Registry{Connection: "x", Client: r.Upstream(t, "x"), Settings: source.Override{MaxDocument: 1 << 20}}
	_, validator, err := c.Package(t.Context(), up, acmeLib, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Package(t.Context(), up, acmeLib, validator); !errors.Is(err, source.ErrNotModified) {
		t.Fatalf("unchanged: %v", err)
	}
	if n := r.Count("/reg/acme.lib/2.json"); n != 1 {
		t.Errorf("a page whose time the index tells was asked for %d times", n)
	}
	put("/reg/acme.lib/1.json", `{"items":[`+leaf("1.0.0")+`,`+leaf("1.1.0")+`]}`)
	p, _, err := c.Package(t.Context(), up, acmeLib, validator)
	if err != nil || len(p.Versions) != 3 {
		t.Fatalf("after a page has changed: %+v, %v", p, err)
	}
}

func FuzzPackage(f *testing.F) {
	f.Add(`{"items":[` + leaf("1.0.0") + `,` + leaf("1.0-rc.1+x") + `]}`)
	f.Add(`{"items":[{"catalogEntry":{"id":"acme.lib","version":"1","authors":[1,"a"],"tags":null,"deprecation":{"reasons":"x"},"vulnerabilities":[{}]},"packageContent":7}]}`)
	f.Fuzz(func(t *testing.T, page string) {
		p, _, err := nuget.New(nuget.Config{}).Package(t.Context(), registry(withRegistration(page)), acmeLib, "")
		if err != nil {
			return
		}
		for _, v := range p.Versions {
			if a := v.Assets[0]; !strings.Contains(a.URL, "://") || !strings.HasPrefix(a.Name, "acme.lib.") || !json.Valid(v.Metadata) {
				t.Fatalf("the version is %+v", v)
			}
		}
	})
}
