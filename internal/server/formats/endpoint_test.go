package formats_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func anyEndpoint(t *rapid.T) formats.RepositoryEndpoint {
	d := packages.DomainID{
		Owner:  rapid.StringMatching(`[0-9]{12}`).Draw(t, "owner"),
		Region: rapid.StringMatching(`[a-z]{2}-[a-z]{3,9}-[1-9]`).Draw(t, "region"),
		Name:   rapid.StringMatching(`[a-z][a-z0-9-]{0,30}[a-z0-9]`).Draw(t, "domain"),
	}
	return formats.RepositoryEndpoint{
		Repository: d.Repository(rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._-]{1,40}`).Draw(t, "repository")),
		Format:     packages.Format(rapid.SampledFrom([]string{"npm", "pypi", "maven"}).Draw(t, "format")),
	}
}

// What the addresses construct, this package parses, in both forms.
func TestParsePath_RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyEndpoint(t)
		rest := rapid.StringMatching(`[a-z@%2f/-]{0,20}`).Draw(t, "rest")
		d := endpoint.Domain{Name: want.Repository.Domain.Name, Owner: want.Repository.Domain.Owner, Region: want.Repository.Domain.Region}
		for _, suffix := range []string{"", "aws.registry.example"} {
			addresses, err := endpoint.New("http://registry.example:4283", suffix)
			if err != nil {
				t.Fatal(err)
			}
			url := addresses.PackageURL(d, string(want.Format), want.Repository.Name)
			host, path, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
			path = "/" + path
			parse := func() (formats.RepositoryEndpoint, string, string, bool) { return formats.ParsePath(path + rest) }
			if suffix != "" {
				parse = func() (formats.RepositoryEndpoint, string, string, bool) {
					parsed, ok := addresses.ParseDomainHost(host)
					if !ok {
						t.Fatalf("the host %s is not parsed", host)
					}
					return formats.ParseHostPath(parsed, path+rest)
				}
			}
			got, prefix, gotRest, ok := parse()
			if !ok || got != want || prefix != path || gotRest != rest {
				t.Fatalf("%s%s: parsed %+v %q %q %v", url, rest, got, prefix, gotRest, ok)
			}
		}
	})
}

func TestParsePath_NotAnEndpoint(t *testing.T) {
	for _, path := range []string{
		"", "/", "/codeartifact", "/codeartifact/", "/codeartifact/us-east-1/000000000001/acme", "/codeartifact/us-east-1/000000000001/acme/npm",
		"/codeartifact/us-east-1/1/acme/npm/repo/", "/codeartifact/us-east-1/000000000001/Acme/npm/repo/",
		"/codeartifact/us-east-1/000000000001/acme/npm//x", "/codeartifact/us-east-1/000000000001/acme/../repo/",
		"/codeartifact/us-east-1/000000000001/acme/npm/re%2fpo/", "/v2/",
	} {
		if e, _, _, ok := formats.ParsePath(path); ok {
			t.Errorf("%q was parsed as %+v", path, e)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	f.Add("/codeartifact/us-east-1/000000000001/acme/npm/tools/@scope%2fname")
	f.Add("/codeartifact/us-east-1/000000000001/acme/pypi/tools/simple/x/")
	f.Add("/codeartifact/////")
	f.Fuzz(func(t *testing.T, path string) {
		e, prefix, rest, ok := formats.ParsePath(path)
		if !ok {
			return
		}
		if e.Path() != prefix || prefix+rest != path && prefix != path+"/" {
			t.Fatalf("%q is not %q + %q", path, prefix, rest)
		}
	})
}
