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

// A user name that pip and uv take out of an address is no flag, whoever wrote
// the address: it would choose where the token goes.
func TestKeyringTakesNoFlagFromAnAddress(t *testing.T) {
	var asked []string
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
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
	const host = "acme-111122223333.d.codeartifact.us-east-1.evil.example"
	for _, c := range []struct{ flag, configured string }{
		{"--hosts=" + host, endpoint.URL},
		{"--endpoint-url=" + endpoint.URL, "https://127.0.0.1:1"},
	} {
		t.Setenv("AWS_ENDPOINT_URL", c.configured)
		for _, request := range []string{"keyring get", "keyring --mode=creds --output=json get"} {
			asked = nil
			var out, messages bytes.Buffer
			args := arguments(append(strings.Fields(request), "https://"+host+"/pypi/lib/simple/", c.flag))
			if code := run(t.Context(), args, strings.NewReader(""), &out, &messages); code != exitFailed || out.Len() > 0 {
				t.Errorf("%q: %d, %s%s", args, code, out.String(), messages.String())
			}
			if c.configured != endpoint.URL && len(asked) > 0 {
				t.Errorf("%q: an endpoint of the address's choice was asked for %q", args, asked)
			}
		}
	}
}
