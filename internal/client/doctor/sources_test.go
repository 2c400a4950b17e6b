package doctor_test

import (
	"encoding/base64"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
)

// A variable that overrides the profile is named if it is the cause, with the line
// that removes it.
func TestChecks_NameTheVariable(t *testing.T) {
	b := newFixture(t)
	b.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	b.want("endpoint", "error http://127.0.0.1:1 cannot be reached: check endpoint_url and that it runs; the address is from AWS_ENDPOINT_URL | unset AWS_ENDPOINT_URL")
	b.setenv("AWS_ENDPOINT_URL", "")

	b.setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
	b.setenv("AWS_SECRET_ACCESS_KEY", "other")
	b.want("credentials", "ok from AWS_ACCESS_KEY_ID, AKIAOTHER; it overrides the profile ci")
	b.failure = "InvalidClientTokenId"
	b.want("caller", "error the endpoint does not know this access key: the profile belongs to another endpoint, or the key was deleted; the key is from AWS_ACCESS_KEY_ID, which overrides the profile ci | unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY")
	b.setenv("AWS_ACCESS_KEY_ID", "")
	b.setenv("AWS_SECRET_ACCESS_KEY", "")

	b.setenv("AWS_REGION", "eu-west-1")
	b.failure = "SignatureDoesNotMatch"
	b.want("caller", "error the endpoint does not accept the signature: check the secret access key, the region (eu-west-1) and this machine's clock; the region is from AWS_REGION | export AWS_REGION=us-east-1")
}

func TestChecks_NameTheVariable_CABundle(t *testing.T) {
	b := newFixture(t)
	s := httptest.NewUnstartedServer(http.HandlerFunc(b.serve))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	b.set(s.URL)
	own := b.write("own.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	b.write("config", "[profile ci]\nregion = us-east-1\nendpoint_url = "+s.URL+"\nca_bundle = "+own+"\n")
	b.setenv("AWS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")
	b.want("endpoint", "error the certificate of URL is not trusted: set AWS_CA_BUNDLE, or ca_bundle in the profile, to its authority's; AWS_CA_BUNDLE is /etc/ssl/certs/ca-certificates.crt | unset AWS_CA_BUNDLE")
}

// What is said about a tool agrees with what its configuration holds.
func TestChecks_HeldOrAsked(t *testing.T) {
	b := newFixture(t)
	host := strings.TrimPrefix(b.url, "http://")
	auth := base64.StdEncoding.EncodeToString([]byte("AWS:ghet_0123456789abcdef0123456789"))
	path := b.tool(login.Tool{Name: "docker", Helper: "docker-credential-gatehouse"}, true, "")
	b.m.Tools[0].Addresses = func(_ login.Environment, read login.ReadFile) ([]string, error) {
		_, err := read(path)
		return []string{host}, err
	}
	for text, want := range map[string]string{
		`{"auths":{"` + host + `":{"auth":"` + auth + `"}}}`:                                             "ok docker HOST, with a token in its configuration",
		`{"auths":{"https://` + host + `/v2/":{"auth":"` + auth + `"}}}`:                                 "ok docker HOST, with a token in its configuration",
		`{"auths":{"` + host + `":{"auth":"` + auth + `"}},"credHelpers":{"` + host + `":"gatehouse"}}`:  "ok docker HOST, asks a helper for a token when it needs one",
		`{"auths":{"other.example":{"auth":"` + auth + `"}},"credHelpers":{"` + host + `":"gatehouse"}}`: "ok docker HOST, asks a helper for a token when it needs one",
		`{"auths":{"` + host + `":{}},"credsStore":"desktop"}`:                                           "ok docker HOST, by another credential helper",
		`{"credsStore":"gatehouse"}`:                                                                     "ok docker HOST, asks a helper for a token when it needs one",
	} {
		b.write("etc/docker", text)
		b.want("tool", want)
	}
}

// A token that gatehouse login has written is a token that a file holds.
func TestChecks_TokenOfALogin(t *testing.T) {
	b := newFixture(t)
	path := b.tool(login.Tool{Name: "npm", Format: "npm", Secret: login.Stored}, true, b.url+repository("npm")+" ghct_0123456789abcdef0123456789")
	endpoint, err := url.Parse(b.url + repository("npm"))
	if err != nil {
		t.Fatal(err)
	}
	b.logins = []login.Recorded{{Tool: "npm", Files: []string{path}, Target: login.Target{Endpoint: endpoint, Domain: "acme", Repository: "lib"}, Expires: time.Unix(4102444800, 0)}}
	b.want("files", "ok npm DIR/etc/npm holds the token of gatehouse login: see login")
}
