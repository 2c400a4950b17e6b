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

func TestValidate_Keyring(t *testing.T) {
	key := config.KeyringWrapping{KeyFile: "/k", Timeout: time.Second}
	for name, c := range map[string]struct {
		keyring  string
		wrapping config.KeyringWrapping
		want     string // "" is valid
	}{
		"a file":                     {"file:///etc/keyring.json", config.KeyringWrapping{Timeout: time.Second}, ""},
		"the database":               {"database", key, ""},
		"the database, by commands":  {"database", config.KeyringWrapping{Wrap: []string{"a"}, Unwrap: []string{"b"}, Timeout: time.Second}, ""},
		"from commands to a key":     {"", config.KeyringWrapping{KeyFile: "/k", Unwrap: []string{"b"}, Timeout: time.Second}, ""},
		"the database, not wrapped":  {"database", config.KeyringWrapping{Timeout: time.Second}, "must be wrapped"},
		"a relative file":            {"file:keyring.json", key, "neither"},
		"a path":                     {"/etc/keyring.json", key, "neither"},
		"a file of another machine":  {"file://host/etc/keyring.json", key, "neither"},
		"wrap without unwrap":        {"", config.KeyringWrapping{Wrap: []string{"a"}, Timeout: time.Second}, "needs unwrap"},
		"unwrap without any wrapper": {"", config.KeyringWrapping{Unwrap: []string{"a"}, Timeout: time.Second}, "needs wrap"},
		"a command without a name":   {"", config.KeyringWrapping{Wrap: []string{""}, Unwrap: []string{"b"}, Timeout: time.Second}, "a program"},
		"no timeout":                 {"", config.KeyringWrapping{}, "more than zero"},
	} {
		cfg := config.Default()
		cfg.Keyring, cfg.KeyringWrapping = c.keyring, c.wrapping
		err := cfg.Validate()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
