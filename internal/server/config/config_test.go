package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

func read(t *testing.T, text string) (*config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gatehouse.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	return c, c.Read(path)
}

func TestDefault_Valid(t *testing.T) {
	if err := config.Default().Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestRead_KeepsOtherSettings(t *testing.T) {
	c, err := read(t, "listen: 0.0.0.0:80\nregions: [eu-west-1]\ntls: {}\ndrain_timeout: 5s\nlog: {level: warn}\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if c.Listen != "0.0.0.0:80" || c.TLS == nil || c.DrainTimeout != 5*time.Second || c.Log.Level != "warn" || c.Log.Format != "text" || c.Account != "000000000001" {
		t.Fatalf("config = %+v", c)
	}
	for _, empty := range []string{"", "# nothing\n"} {
		if c, err := read(t, empty); err != nil || c.Validate() != nil {
			t.Fatalf("%q changes nothing: %v, %+v", empty, err, c)
		}
	}
	if _, err := read(t, "region: us-east-1\n---\nregion: eu-west-1\n"); err == nil {
		t.Fatal("a second document was ignored")
	}
}

func TestRead_DurationWithoutUnit(t *testing.T) {
	_, err := read(t, "limits:\n  idle: 5\n")
	if err == nil || !strings.Contains(err.Error(), `line 2: "5" is not a duration, such as 30s`) {
		t.Errorf("the message does not say what a duration is: %v", err)
	}
}

func TestRead_ErrorShowsLine(t *testing.T) {
	for _, text := range []string{"listen: x:1\nlisten_on: y\n", "account: [1]\n", "a: b: c\n", "listen: [\n"} {
		_, err := read(t, text)
		if err == nil {
			t.Errorf("%q was accepted", text)
			continue
		}
		if !strings.Contains(err.Error(), "|") || !strings.Contains(err.Error(), "gatehouse.yaml") {
			t.Errorf("%q: the message shows neither file nor line: %v", text, err)
		}
	}
	if err := config.Default().Read(filepath.Join(t.TempDir(), "none.yaml")); err == nil {
		t.Error("a missing file was accepted")
	}
	if _, err := read(t, strings.Repeat("#", 2<<20)); err == nil {
		t.Error("a huge file was accepted")
	}
}

func TestValidate_NamesSetting(t *testing.T) {
	for setting, spoil := range map[string]func(*config.Config){
		"data":            func(c *config.Config) { c.Data = "" },
		"listen":          func(c *config.Config) { c.Listen = "4283" },
		"url":             func(c *config.Config) { c.URL = "example" },
		"account":         func(c *config.Config) { c.Account = "1234-5678-9012" },
		"accounts":        func(c *config.Config) { c.Accounts = []string{c.Account} },
		"region":          func(c *config.Config) { c.Regions = []string{"mars"} },
		"tls":             func(c *config.Config) { c.TLS = &config.TLS{Certificate: "c.pem"} },
		"log.format":      func(c *config.Config) { c.Log.Format = "xml" },
		"log.level":       func(c *config.Config) { c.Log.Level = "loud" },
		"drain_timeout":   func(c *config.Config) { c.DrainTimeout = 0 },
		"upload_expiry":   func(c *config.Config) { c.UploadExpiry = time.Minute },
		"unsigned_target": func(c *config.Config) { c.UnsignedTarget = "sometimes" },
	} {
		c := config.Default()
		spoil(c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), setting+": ") {
			t.Errorf("%s: err = %v", setting, err)
		}
	}
}
