package endpoint_test

import (
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
)

func addresses(t testing.TB, base, suffix string) *endpoint.Addresses {
	t.Helper()
	a, err := endpoint.New(base, suffix)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAddresses_OneHost(t *testing.T) {
	a := addresses(t, "http://127.0.0.1:4283", "")
	r := endpoint.Registry{Account: "000000000001", Region: "us-east-1"}
	if got := a.RegistryHost(r); got != "127.0.0.1:4283" {
		t.Errorf("RegistryHost = %q", got)
	}
	if got := a.PackageURL(endpoint.Domain{Name: "d", Owner: "000000000001", Region: "us-east-1"}, "npm", "r"); got != "http://127.0.0.1:4283/codeartifact/us-east-1/000000000001/d/npm/r/" {
		t.Errorf("PackageURL = %q", got)
	}
	if _, ok := a.ParseRegistryHost("000000000001.dkr.ecr.us-east-1.amazonaws.com"); ok {
		t.Error("a host of AWS was parsed as a host of this server")
	}
}

func TestAddresses_AWSHosts(t *testing.T) {
	a := addresses(t, "https://gatehouse.example:8443", "aws.example")
	r := endpoint.Registry{Account: "000000000001", Region: "eu-west-1"}
	if got := a.RegistryURL(r); got != "https://000000000001.dkr.ecr.eu-west-1.aws.example:8443" {
		t.Errorf("RegistryURL = %q", got)
	}
	d := endpoint.Domain{Name: "my-domain", Owner: "000000000001", Region: "eu-west-1"}
	if got := a.PackageURL(d, "pypi", "r"); got != "https://my-domain-000000000001.d.codeartifact.eu-west-1.aws.example:8443/pypi/r/" {
		t.Errorf("PackageURL = %q", got)
	}
	if got, ok := a.ParseRegistryHost("000000000001.DKR.ecr.eu-west-1.AWS.example"); !ok || got != r {
		t.Errorf("hosts are compared without case and port: %+v %v", got, ok)
	}
	for _, bad := range []string{"", "aws.example", "1.dkr.ecr.eu-west-1.aws.example", "000000000001.dkr.ecr..aws.example", "000000000001.dkr.ecr.eu-west-1.aws.example.evil", "x000000000001.dkr.ecr.eu-west-1.aws.example", "000000000001.dkr.ecr.eu.west.aws.example"} {
		if r, ok := a.ParseRegistryHost(bad); ok {
			t.Errorf("ParseRegistryHost(%q) = %+v", bad, r)
		}
		if d, ok := a.ParseDomainHost(bad); ok {
			t.Errorf("ParseDomainHost(%q) = %+v", bad, d)
		}
	}
}

func TestAddresses_ParseInvertsConstruct(t *testing.T) {
	a := addresses(t, "http://gatehouse.example:8080", "Aws.Example.")
	rapid.Check(t, func(t *rapid.T) {
		region := rapid.StringMatching(`[a-z]{2}-[a-z]{4,9}-[1-9]`).Draw(t, "region")
		account := rapid.StringMatching(`[0-9]{12}`).Draw(t, "account")
		r := endpoint.Registry{Account: account, Region: region}
		if got, ok := a.ParseRegistryHost(a.RegistryHost(r)); !ok || got != r {
			t.Fatalf("ParseRegistryHost(%q) = %+v, %v", a.RegistryHost(r), got, ok)
		}
		d := endpoint.Domain{Name: rapid.StringMatching(`[a-z][a-z0-9-]{0,10}[a-z0-9]`).Draw(t, "domain"), Owner: account, Region: region}
		u, err := url.Parse(a.PackageURL(d, "npm", "r"))
		if err != nil || !strings.HasSuffix(u.Path, "/npm/r/") {
			t.Fatalf("PackageURL = %v, %v", u, err)
		}
		if got, ok := a.ParseDomainHost(u.Host); !ok || got != d {
			t.Fatalf("ParseDomainHost(%q) = %+v, %v", u.Host, got, ok)
		}
	})
}

func TestAddresses_Serves(t *testing.T) {
	a := addresses(t, "https://gatehouse.example:8080", "aws.example")
	for name, want := range map[string]bool{
		"GATEHOUSE.example": true, "localhost": true, "x.aws.example": true,
		"evil.example": false, "aws.example.evil": false, "": false,
	} {
		if a.Serves(name) != want {
			t.Errorf("Serves(%q) = %v", name, !want)
		}
	}
}

func TestNew_InvalidAddress(t *testing.T) {
	for _, bad := range []string{"", "127.0.0.1:4283", "ftp://h", "http://", "http://h/path", "http://u:p@h", "http://h?x=1"} {
		if _, err := endpoint.New(bad, ""); err == nil {
			t.Errorf("New(%q) succeeded", bad)
		}
	}
}

func FuzzParseHost(f *testing.F) {
	f.Add("000000000001.dkr.ecr.us-east-1.aws.example:443")
	f.Add("d-000000000001.d.codeartifact.us-east-1.aws.example")
	a := addresses(f, "https://gatehouse.example", "aws.example")
	f.Fuzz(func(t *testing.T, host string) {
		if r, ok := a.ParseRegistryHost(host); ok {
			if again, ok := a.ParseRegistryHost(a.RegistryHost(r)); !ok || again != r {
				t.Fatalf("%q parsed to %+v, which constructs another host", host, r)
			}
		}
		if d, ok := a.ParseDomainHost(host); ok && len(d.Owner) != 12 {
			t.Fatalf("%q parsed to %+v", host, d)
		}
	})
}
