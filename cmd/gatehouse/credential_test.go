package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// uv writes --mode creds after the address of the index.
func TestKeyring_FlagsAfterTheService(t *testing.T) {
	endpoint := startEndpoint(t, nil)
	t.Setenv("AWS_ENDPOINT_URL", endpoint)
	index := endpoint + "/codeartifact/us-east-1/111122223333/acme/pypi/lib/simple/"
	for _, line := range []string{"keyring get " + index + " --mode creds", "keyring --mode creds get " + index} {
		var out, messages bytes.Buffer
		if code := run(t.Context(), arguments(strings.Fields(line)), strings.NewReader(""), &out, &messages); code != 0 || out.String() != "aws\nsecret\n" {
			t.Errorf("%s: %d, %q, %s", line, code, out.String(), messages.String())
		}
	}
}

// A user name that pip and uv take out of an address is not a flag, whoever wrote
// the address. A flag could choose where the token is sent.
func TestKeyring_NoFlagFromAnAddress(t *testing.T) {
	var asked []string
	endpoint := startEndpoint(t, &asked)
	const host = "acme-111122223333.d.codeartifact.us-east-1.evil.example"
	for _, c := range []struct{ flag, configured string }{
		{"--hosts=" + host, endpoint},
		{"--endpoint-url=" + endpoint, "https://127.0.0.1:1"},
	} {
		t.Setenv("AWS_ENDPOINT_URL", c.configured)
		for _, request := range []string{"keyring get", "keyring --mode=creds --output=json get"} {
			asked = nil
			var out, messages bytes.Buffer
			args := arguments(append(strings.Fields(request), "https://"+host+"/pypi/lib/simple/", c.flag))
			if code := run(t.Context(), args, strings.NewReader(""), &out, &messages); code != exitFailed || out.Len() > 0 {
				t.Errorf("%q: %d, %s%s", args, code, out.String(), messages.String())
			}
			if c.configured != endpoint && len(asked) > 0 {
				t.Errorf("%q: an endpoint of the address's choice was asked for %q", args, asked)
			}
		}
	}
}

// startEndpoint starts a server that has a token for everybody, and sets the
// environment of somebody with credentials for it. It records the paths that are
// asked for.
func startEndpoint(t *testing.T, asked *[]string) string {
	t.Helper()
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked != nil {
			*asked = append(*asked, r.URL.Path)
		}
		fmt.Fprint(w, `{"authorizationToken":"secret","expiration":4102444800,"repositoryEndpoint":"https://gate.example/"}`)
	}))
	t.Cleanup(endpoint.Close)
	home := t.TempDir()
	for name, value := range map[string]string{
		"HOME": home, "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": home, "AWS_MAX_ATTEMPTS": "1",
		"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
	return endpoint.URL
}
