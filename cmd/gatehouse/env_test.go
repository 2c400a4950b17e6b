package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The variables that override a profile do not survive: with one of them, the
// first command of the README asks AWS, or signs with somebody's own keys.
func TestEnv_RemovesWhatOverridesTheProfile(t *testing.T) {
	data := writeProfile(t)
	code, script, stderr := execute(t, "env", "--data", data)
	if code != 0 {
		t.Fatal(stderr)
	}
	for _, shell := range []string{"sh", "bash"} {
		cmd := exec.Command(shell, "-euc", script+"env | grep -e ^AWS_ -e ^GATEHOUSE_ | sort")
		for _, name := range []string{
			"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_DEFAULT_PROFILE",
			"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ECR", "AWS_ENDPOINT_URL_STS", "AWS_CA_BUNDLE", "AWS_USE_FIPS_ENDPOINT", "AWS_PROFILE",
			"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "GATEHOUSE_PROFILE", "AWS_PAGER",
		} {
			cmd.Env = append(cmd.Env, name+"=other")
		}
		cmd.Env = append(cmd.Env, "PATH=/usr/bin:/bin")
		out, err := cmd.CombinedOutput()
		want := "AWS_CONFIG_FILE=" + filepath.Join(data, "aws/config") + "\nAWS_PAGER=other\nAWS_PROFILE=gatehouse\nAWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(data, "aws/credentials") + "\n"
		if err != nil || string(out) != want {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
	}
}

func TestEnv_Keys(t *testing.T) {
	data := writeProfile(t)
	for name, text := range map[string]string{
		"config":      "[profile gatehouse]\nregion = eu-west-1\nendpoint_url = https://gatehouse.example\n",
		"credentials": "[gatehouse]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = a secret\n",
	} {
		if err := os.WriteFile(filepath.Join(data, "aws", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, script, stderr := execute(t, "env", "--keys", "--data", data)
	if code != 0 {
		t.Fatal(stderr)
	}
	cmd := exec.Command("sh", "-euc", script+"env | grep -e ^AWS_ | sort")
	cmd.Env = []string{"AWS_PROFILE=other", "AWS_CONFIG_FILE=other", "AWS_SESSION_TOKEN=other", "PATH=/usr/bin:/bin"}
	out, err := cmd.CombinedOutput()
	if want := "AWS_ACCESS_KEY_ID=AKIAEXAMPLE\nAWS_DEFAULT_REGION=eu-west-1\nAWS_ENDPOINT_URL=https://gatehouse.example\nAWS_REGION=eu-west-1\nAWS_SECRET_ACCESS_KEY=a secret\n"; err != nil || string(out) != want {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestEnv_OtherShells(t *testing.T) {
	data := writeProfile(t)
	for shell, want := range map[string][]string{
		"fish":       {"set -e AWS_ACCESS_KEY_ID ", "\nset -gx AWS_PROFILE 'gatehouse'\n"},
		"powershell": {"Remove-Item -ErrorAction SilentlyContinue -LiteralPath 'Env:AWS_ACCESS_KEY_ID', ", "\n${env:AWS_PROFILE} = 'gatehouse'\n"},
	} {
		_, script, stderr := execute(t, "env", "--data", data, "--shell", shell)
		for _, part := range want {
			if !strings.Contains(script, part) {
				t.Errorf("%s lacks %q: %s%s", shell, part, script, stderr)
			}
		}
	}
}

func TestEnv_JSON(t *testing.T) {
	_, text, _ := execute(t, "env", "--data", writeProfile(t), "-o", "json")
	var answer struct {
		Set   map[string]string
		Unset []string
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.Set["AWS_PROFILE"] != "gatehouse" || !slices.Contains(answer.Unset, "AWS_ENDPOINT_URL") {
		t.Errorf("%s: %v", text, err)
	}
}
