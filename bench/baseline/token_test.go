package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const secret = "a secret access key"

// request returns a token request, signed by the SDK's signer.
func request(t *testing.T, url, secret, body string, at time.Time) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url+"/token?domain=bench", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "Service.GetAuthorizationToken")
	sum := sha256.Sum256([]byte(body))
	credentials := aws.Credentials{AccessKeyID: "AKIABASELINE", SecretAccessKey: secret}
	if err := v4.NewSigner().SignHTTP(t.Context(), credentials, r, hex.EncodeToString(sum[:]), "ecr", "us-east-1", at); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTokenHandler(t *testing.T) {
	s := httptest.NewServer(newTokenHandler(secret))
	defer s.Close()
	other := request(t, s.URL, secret, "{}", time.Now())
	other.Header.Set("X-Amz-Target", "Service.DeleteEverything")
	for _, c := range []struct {
		name    string
		request *http.Request
		want    int
	}{
		{"signed", request(t, s.URL, secret, "{}", time.Now()), http.StatusOK},
		{"signed again, with the cached key", request(t, s.URL, secret, "", time.Now()), http.StatusOK},
		{"another secret", request(t, s.URL, "guessed", "{}", time.Now()), http.StatusForbidden},
		{"an hour old", request(t, s.URL, secret, "{}", time.Now().Add(-time.Hour)), http.StatusForbidden},
		{"changed after signing", other, http.StatusForbidden},
	} {
		answer, err := http.DefaultClient.Do(c.request)
		if err != nil {
			t.Fatal(err)
		}
		var token struct{ AuthorizationToken string }
		decoding := json.NewDecoder(answer.Body).Decode(&token)
		answer.Body.Close()
		if answer.StatusCode != c.want {
			t.Errorf("%s: status %d, want %d", c.name, answer.StatusCode, c.want)
		}
		if answer.StatusCode == http.StatusOK && (decoding != nil || len(token.AuthorizationToken) < 64) {
			t.Errorf("%s: token %q, error %v", c.name, token.AuthorizationToken, decoding)
		}
	}
}
