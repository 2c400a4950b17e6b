package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

func TestRead_OIDC(t *testing.T) {
	write := func(text string) *config.Config {
		t.Helper()
		path := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c := config.Default()
		if err := c.Read(path); err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := write("oidc:\n  allow_networks: [10.0.0.0/8, \"fd00::/8\"]\n  allow_loopback_http: true\n")
	networks, err := c.OIDC.Networks()
	if err != nil || len(networks) != 2 || networks[0].String() != "10.0.0.0/8" || !c.OIDC.AllowLoopbackHTTP || c.Validate() != nil {
		t.Errorf("%v, %v, %v", networks, err, c.Validate())
	}
	for _, text := range []string{"10.0.0.0", "10.0.0.1/8", "issuer.example", ""} {
		err := write("oidc:\n  allow_networks: [\"" + text + "\"]\n").Validate()
		if err == nil || !strings.Contains(err.Error(), "oidc.allow_networks") {
			t.Errorf("the network %q: %v", text, err)
		}
	}
	if pool, err := (config.OIDC{}).Authorities(); pool != nil || err != nil {
		t.Errorf("without an authority: %v, %v", pool, err)
	}
	empty := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{empty, empty + ".missing"} {
		if _, err := (config.OIDC{CA: path}).Authorities(); err == nil || !strings.Contains(err.Error(), "oidc.ca") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestTrustedPublishing(t *testing.T) {
	const arn = "arn:aws:codeartifact:us-east-1:000000000001:domain/acme"
	domains, err := config.TrustedPublishing{Domains: []string{arn}}.Parse()
	if err != nil || len(domains) != 1 || domains[0].Name != "acme" || domains[0].Owner != "000000000001" || domains[0].Region != "us-east-1" {
		t.Errorf("%v, %v", domains, err)
	}
	for _, text := range []string{"", "acme", strings.Replace(arn, "domain/acme", "repository/acme/lib", 1), strings.Replace(arn, "acme", "A*", 1), strings.Replace(arn, "us-east-1", "", 1), strings.Replace(arn, "000000000001", "1", 1)} {
		c := config.Default()
		c.TrustedPublishing.Domains = []string{text}
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "trusted_publishing.domains") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
