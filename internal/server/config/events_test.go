package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestValidate_Events(t *testing.T) {
	for text, want := range map[string]string{
		"events: {keep: 30s}": "events.keep", "events: {max: 10}": "events.max", "events: {allow_networks: [10.0.0.1/8]}": "events.allow_networks",
		"events: {webhooks: {Big: {url: https://a.example, secret_env: S}}}":                                 "cannot be a name",
		"events: {webhooks: {a: {secret_env: S}}}":                                                           "events.webhooks.a.url",
		"events: {webhooks: {a: {url: ftp://a.example, secret_env: S}}}":                                     "is not an address",
		"events: {webhooks: {a: {url: http://a.example, secret_env: S}}}":                                    "is not https",
		"events: {webhooks: {a: {url: http://127.0.0.1:1, secret_env: S}}}":                                  "is this machine",
		"events: {allow_loopback_http: true, webhooks: {a: {url: http://127.0.0.1:1/x?y=z, secret_env: S}}}": "",
		"events: {webhooks: {a: {url: https://u:p4ss@a.example, secret_env: S}}}":                            "must not have a user",
		"events: {webhooks: {a: {url: https://a.example}}}":                                                  "secret_file or secret_env",
		"events: {webhooks: {a: {url: https://a.example, secret_env: S, secret_file: s}}}":                   "secret_file or secret_env",
		"events: {webhooks: {a: {url: https://a.example?k=v, secret_env: S, domains: [acme]}}}":              "",
	} {
		c, err := read(t, text)
		if err != nil {
			t.Fatal(err)
		}
		err = c.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "p4ss") {
			t.Errorf("the error has the password: %v", err)
		}
	}
}

func TestEvents_Secrets(t *testing.T) {
	const one, two = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	file := filepath.Join(t.TempDir(), "secret")
	c, err := read(t, "events: {webhooks: {a: {url: https://a.example, secret_file: "+file+"}, b: {url: https://b.example, secret_env: GATEHOUSE_TEST_SECRET}}}")
	if err != nil {
		t.Fatal(err)
	}
	hooks := c.Events.Hooks()
	if len(hooks) != 2 || hooks[0].Name != "a" || hooks[1].Name != "b" {
		t.Fatalf("%+v", hooks)
	}
	for content, want := range map[string]struct {
		secrets int
		wrong   string
	}{
		one:                           {1, ""},
		one + "\n" + two + "\n":       {2, ""},
		"":                            {0, "there is no secret"},
		"secret":                      {0, "whsec_"},
		"whsec_short":                 {0, "base64"},
		"whsec_AAAA":                  {0, "24 to 64 bytes"},
		one + "\nwhsec_A8j!topsecret": {0, "base64"},
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("GATEHOUSE_TEST_SECRET", content)
		for _, h := range hooks { // read anew each time
			got, err := h.Secrets()
			if len(got) != want.secrets || want.wrong == "" && err != nil || want.wrong != "" && (err == nil || !strings.Contains(err.Error(), want.wrong)) {
				t.Errorf("%q: %d secrets, %v", content, len(got), err)
			}
			if err != nil && strings.Contains(err.Error(), "topsecret") {
				t.Errorf("the error has the secret: %v", err)
			}
		}
		if wrong := c.Events.CheckSecrets(); (len(wrong) == 0) != (want.wrong == "") {
			t.Errorf("%q: %v", content, wrong)
		}
	}
}
