package project_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/project"
)

// A service issues tokens and names addresses, in place of AWS.
type service struct {
	*httptest.Server
	tokens     atomic.Int64
	repository string // the address that it names, with %s for the format
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		q := r.URL.Query()
		var answer any
		switch {
		case r.Header.Get("X-Amz-Target") != "":
			s.tokens.Add(1)
			answer = map[string]any{"authorizationData": []any{map[string]any{"authorizationToken": "QVdTOnNlY3JldA==", "expiresAt": 4102444800, "proxyEndpoint": s.URL}}}
		case r.URL.Path == "/v1/authorization-token" && q.Get("domain") == "unknown":
			w.Header().Set("X-Amzn-Errortype", "ResourceNotFoundException")
			w.WriteHeader(http.StatusNotFound)
			answer = map[string]any{"message": "no such domain"}
		case r.URL.Path == "/v1/authorization-token":
			answer = map[string]any{"authorizationToken": fmt.Sprintf("token-%d", s.tokens.Add(1)), "expiration": 4102444800}
		default:
			answer = map[string]any{"repositoryEndpoint": fmt.Sprintf(s.repository, q.Get("domain")+"/"+q.Get("format")+"/"+q.Get("repository"))}
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(s.Close)
	s.repository = s.URL + "/codeartifact/us-east-1/111122223333/%s/"
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": s.URL, "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": filepath.Join(t.TempDir(), "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(t.TempDir(), "none"),
		"AWS_MAX_ATTEMPTS": "1",
	} {
		t.Setenv(name, value)
	}
	return s
}

func parse(t *testing.T, text string) project.Project {
	t.Helper()
	p, err := project.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Every repository is opened in each of its formats, with one call for each token
// that is another.
func TestOpen(t *testing.T) {
	s := newService(t)
	p := parse(t, `
[[repository]]
domain = "acme"
name = "lib"
formats = ["pypi", "npm"]
[[repository]]
domain = "acme"
name = "team_x.y"
formats = ["npm"]
scopes = ["@acme"]
[[repository]]
domain = "other"
name = "lib"
formats = ["maven"]
alias = "more"
duration = "15m"
[[registry]]
[[registry]]
id = "111122223333"
`)
	endpoints, err := p.Open(t.Context(), credential.AWS{}, authtoken.CacheDir(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range endpoints {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s %s %s", e.Name, e.Format, strings.TrimPrefix(e.Endpoint.String(), s.URL), e.Token.Password, strings.Join(e.Scopes, " "))))
		if token, err := e.Authorize(t.Context()); err != nil || token.Value != e.Token.Value {
			t.Errorf("%s: %v", e.Name, err)
		}
		one, other := e.Transport(), e.Transport()
		if e.Registry() != (e.Format == "") || one == other {
			t.Errorf("%s: registry %v, or a transport that is shared", e.Name, e.Registry())
		}
	}
	tokens := map[string]string{}
	for _, e := range endpoints {
		if e.Registry() {
			continue
		}
		if other, ok := tokens[e.Domain]; ok && other != e.Token.Password {
			t.Errorf("two tokens of %s", e.Domain)
		}
		tokens[e.Domain] = e.Token.Password
	}
	const base = "/codeartifact/us-east-1/111122223333/"
	want := []string{
		"acme-lib npm " + base + "acme/npm/lib/ " + tokens["acme"], "acme-lib pypi " + base + "acme/pypi/lib/ " + tokens["acme"],
		"acme-team-x-y npm " + base + "acme/npm/team_x.y/ " + tokens["acme"] + " @acme", "more maven " + base + "other/maven/lib/ " + tokens["other"],
		"ecr   secret", "ecr-2   secret",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if n := s.tokens.Load(); n != 4 {
		t.Errorf("%d calls for 4 tokens", n)
	}
}

// What the person chooses wins over the file.
func TestOpen_Chosen(t *testing.T) {
	s := newService(t)
	p := parse(t, "[[repository]]\ndomain=\"acme\"\nname=\"lib\"\nformats=[\"npm\"]\nregion=\"eu-west-1\"\nendpoint_url=\"http://127.0.0.1:1\"\n")
	endpoints, err := p.Open(t.Context(), credential.AWS{EndpointURL: s.URL, Region: "eu-north-1"}, authtoken.InMemory())
	if err != nil || endpoints[0].Region != "eu-north-1" || endpoints[0].AWS.EndpointURL != s.URL {
		t.Errorf("%+v, %v", endpoints, err)
	}
	if _, err := p.Open(t.Context(), credential.AWS{}, authtoken.InMemory()); err == nil || !strings.Contains(err.Error(), "http://127.0.0.1:1 cannot be reached") {
		t.Error(err)
	}
}

func TestOpenErrors(t *testing.T) {
	s := newService(t)
	unknown := parse(t, "[[repository]]\ndomain=\"unknown\"\nname=\"lib\"\nformats=[\"npm\"]\n")
	if _, err := unknown.Open(t.Context(), credential.AWS{}, authtoken.InMemory()); err == nil || !strings.Contains(err.Error(), `no domain "unknown"`) {
		t.Error(err)
	}
	// An issuer names an address with a user name or a query.
	known := parse(t, "[[repository]]\ndomain=\"acme\"\nname=\"lib\"\nformats=[\"npm\"]\n")
	s.repository = "http://user:secret@evil.example/%s/"
	if _, err := known.Open(t.Context(), credential.AWS{}, authtoken.InMemory()); err == nil || !strings.Contains(err.Error(), "not a plain http or https address") {
		t.Error(err)
	}
	if _, err := known.Open(t.Context(), credential.AWS{Profile: "nobody"}, authtoken.InMemory()); err == nil || !strings.Contains(err.Error(), `no AWS profile "nobody"`) {
		t.Error(err)
	}
}

// A token is not sent in the clear because an issuer that is reached by TLS says
// so.
func TestOpen_NoSecretInErrors(t *testing.T) {
	s := newService(t)
	secure := httptest.NewTLSServer(s.Config.Handler)
	t.Cleanup(secure.Close)
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	write(t, bundle, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})))
	t.Setenv("AWS_CA_BUNDLE", bundle)
	for _, text := range []string{"[[repository]]\ndomain=\"acme\"\nname=\"lib\"\nformats=[\"npm\"]\n", "[[registry]]\n"} {
		_, err := parse(t, text).Open(t.Context(), credential.AWS{EndpointURL: secure.URL}, authtoken.InMemory())
		if err == nil || !strings.Contains(err.Error(), "in the clear") {
			t.Error(err)
		}
	}
	s.repository = secure.URL + "/%s/"
	endpoints, err := parse(t, "[[repository]]\ndomain=\"acme\"\nname=\"lib\"\nformats=[\"npm\"]\n").Open(t.Context(), credential.AWS{EndpointURL: secure.URL}, authtoken.InMemory())
	if err != nil {
		t.Fatal(err)
	}
	// The bundle holds for the repositories too.
	res, err := (&http.Client{Transport: endpoints[0].Transport()}).Get(secure.URL)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
}
