package redact_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/redact"
)

func TestConfig(t *testing.T) {
	for text, want := range map[string]string{
		"//h/:_authToken=abc":                             "//h/:_authToken=****",
		"//h/:_password = \"abc\"":                        "//h/:_password = \"****\"",
		"//h/:_auth=${TOKEN}":                             "//h/:_auth=${TOKEN}",
		"//h/:tokenHelper=/opt/gatehouse":                 "//h/:tokenHelper=/opt/gatehouse",
		"always-auth=true":                                "always-auth=true",
		"index-url = https://aws:abc@h/simple":            "index-url = https://aws:****@h/simple",
		"index-url = https://aws@h/simple":                "index-url = https://aws@h/simple",
		"machine h login aws password abc":                "machine h login aws password ****",
		"<password>abc</password>":                        "<password>****</password>",
		"<password>${env.X}</password>":                   "<password>${env.X}</password>",
		`<add key="ClearTextPassword" value="abc" />`:     `<add key="ClearTextPassword" value="****" />`,
		`<add key="ClearTextPassword" value="%TOKEN%" />`: `<add key="ClearTextPassword" value="%TOKEN%" />`,
		`"auth": "abc",`:                                  `"auth": "****",`,
		`npmAuthToken: "abc"`:                             `npmAuthToken: "****"`,
		"+token = 'abc'":                                  "+token = '****'",
		":h: Basic " + strings.Repeat("Ab1", 20):          ":h: Basic ****",
		"sha of a word that is long but plain":            "sha of a word that is long but plain",
		"# " + strings.Repeat("-", 60):                    "# " + strings.Repeat("-", 60),
	} {
		if got := redact.Config(text); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func TestConfig_KnownSecrets(t *testing.T) {
	if got := redact.Config("user = hunter2\n", "", "hunter2"); got != "user = ****\n" {
		t.Error(got)
	}
}
