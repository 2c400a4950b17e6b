package npm_test

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func TestAuth_TokenForms(t *testing.T) {
	s, app := start(t)
	publish(t, s, app, "lib", "1.0.0", "latest", []byte("x"))
	token := s.Token(formatstest.Reader, formatstest.Domain)
	for _, header := range []string{
		"Bearer " + token, token,
		"Basic " + base64.StdEncoding.EncodeToString([]byte("aws:"+token)),
		"Basic " + base64.StdEncoding.EncodeToString([]byte("AWS:"+token)),
	} {
		want(t, 200, s.Do("", "GET", app+"lib", "", "Authorization: "+header))
	}
}

func TestAuth_NoToken(t *testing.T) {
	s, app := start(t)
	publish(t, s, app, "lib", "1.0.0", "latest", []byte("x"))
	body := encode(t, document("lib", "2.0.0", "latest", []byte("y")))
	for _, c := range []struct{ method, path string }{
		{"GET", ""},
		{"GET", "lib"},
		{"HEAD", "lib"},
		{"GET", "lib/1.0.0"},
		{"GET", "lib/-/lib-1.0.0.tgz"},
		{"PUT", "lib"},
		{"GET", "none"},
		{"PUT", "lib/-rev/1"},
		{"DELETE", "lib/-rev/1"},
		{"DELETE", "lib/-/lib-1.0.0.tgz/-rev/1"},
		{"GET", "-/package/lib/dist-tags"},
		{"PUT", "-/package/lib/dist-tags/x"},
		{"DELETE", "-/package/lib/dist-tags/x"},
		{"GET", "-/ping"},
		{"GET", "-/whoami"},
		{"GET", "-/v1/search"},
		{"POST", "-/npm/v1/security/advisories/bulk"},
		{"PATCH", "x"},
		{"GET", "@@@"},
	} {
		r := want(t, 401, s.Do("", c.method, app+c.path, body))
		if got := r.Header["Www-Authenticate"]; !slices.Equal(got, []string{`Bearer realm="acme/app"`, `Basic realm="acme/app"`}) {
			t.Errorf("%s %s: WWW-Authenticate: %s", c.method, c.path, got)
		}
	}
	for _, header := range []string{"Bearer x", "Basic !", "Digest x", s.Token(formatstest.Admin, formatstest.Domain) + "x"} {
		r := want(t, 401, s.Do("", "GET", app+"lib", "", "Authorization: "+header), `"error"`)
		if !strings.Contains(r.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
			t.Errorf("%q: WWW-Authenticate: %s", header, r.Header.Get("WWW-Authenticate"))
		}
	}
	want(t, 404, s.Do(formatstest.Admin, "GET", app+"lib/2.0.0", ""))
}

// A caller without permission gets the error before the body is read.
func TestPublish_BodyNotReadIfDenied(t *testing.T) {
	s, app := start(t)
	publish(t, s, app, "lib", "1.0.0", "latest", []byte("x"))
	want(t, 403, s.Do(formatstest.Reader, "PUT", app+"lib", "{"), "PublishPackageVersion")
	for _, request := range []string{"PUT lib/-rev/1-x", "PUT -/package/lib/dist-tags/beta", "PUT -/package/lib/dist-tags", "POST -/package/lib/dist-tags"} {
		method, path, _ := strings.Cut(request, " ")
		want(t, 403, s.Do(formatstest.Reader, method, app+path, "{"), "is not authorized")
		want(t, 400, s.Do(formatstest.Admin, method, app+path, "{"))
	}
	want(t, 400, s.Do(formatstest.Admin, "PUT", app+"lib", "{"))
}

func TestAuth_ExpiredToken(t *testing.T) {
	s, app := start(t)
	token := "Authorization: Bearer " + s.Token(formatstest.Admin, formatstest.Domain)
	want(t, 200, s.Do("", "GET", app+"-/ping", "", token))
	s.Advance(12*time.Hour + time.Second)
	r := want(t, 401, s.Do("", "GET", app+"-/ping", "", token),
		"expired", "aws codeartifact login --tool npm --domain acme --domain-owner 000000000001 --repository app --region us-east-1")
	for _, header := range []string{"Npm-Notice", "WWW-Authenticate"} {
		if got := r.Header.Get(header); !strings.Contains(got, "expired") {
			t.Errorf("%s: %s", header, got)
		}
	}
	// A client that sends a large body before it reads gets the answer too.
	big := encode(t, document("lib", "1.0.0", "latest", make([]byte, 8<<20)))
	want(t, 401, s.Do("", "PUT", app+"lib", big, token), "expired")
}

func TestAuth_TokenOfAnotherDomain(t *testing.T) {
	s, app := start(t)
	for _, d := range []packages.DomainID{
		{Owner: formatstest.Account, Region: formatstest.Region, Name: "other"},
		{Owner: "000000000002", Region: formatstest.Region, Name: "acme"},
	} {
		want(t, 403, s.Do("", "GET", app+"-/ping", "", "Authorization: Bearer "+s.Token(formatstest.Admin, d)), "Get a token for this domain", d.Name)
	}
	elsewhere := strings.Replace(app, formatstest.Region, "eu-west-1", 1)
	want(t, 403, s.Do(formatstest.Admin, "GET", elsewhere+"-/ping", ""), "us-east-1", "eu-west-1")
}

func TestAuth_DeniedByIAM(t *testing.T) {
	s, app := start(t)
	publish(t, s, app, "lib", "1.0.0", "latest", []byte("x"))
	next := encode(t, document("lib", "2.0.0", "latest", []byte("y")))
	objects := s.Objects()
	want(t, 403, s.Do(formatstest.Reader, "PUT", app+"lib", next),
		"User: arn:aws:iam::000000000001:user/reader is not authorized to perform: codeartifact:PublishPackageVersion on resource: arn:aws:codeartifact:us-east-1:000000000001:package/acme/app/npm//lib")
	if n := s.Objects(); n != objects {
		t.Errorf("%d objects are left behind", n-objects)
	}
	want(t, 201, s.Do(formatstest.Publisher, "PUT", app+"lib", next))
	for _, path := range []string{"lib", "lib/1.0.0", "lib/-/lib-1.0.0.tgz", "none", "-/v1/search", "-/package/lib/dist-tags"} {
		want(t, 403, s.Do(formatstest.Publisher, "GET", app+path, ""), "codeartifact:ReadFromRepository")
	}
	want(t, 404, s.Do(formatstest.Reader, "GET", strings.Replace(app, "/app/", "/none/", 1)+"lib", ""))
}

func TestAudit_Operation(t *testing.T) {
	s, app := start(t)
	for _, c := range []struct {
		user               formatstest.User
		method, path, body string
		name, code         string
	}{
		{formatstest.Admin, "PUT", "@team%2flib", encode(t, document("@team/lib", "1.0.0", "latest", []byte("x"))), "PublishPackageVersion", ""},
		{formatstest.Reader, "GET", "@team%2flib", "", "ReadFromRepository", ""},
		{formatstest.Reader, "GET", "@team/lib/-/lib-1.0.0.tgz", "", "ReadFromRepository", ""},
		{formatstest.Reader, "PUT", "-/package/@team%2flib/dist-tags/next", `"1.0.0"`, "PutPackageMetadata", "AccessDenied"},
		{formatstest.Admin, "DELETE", "@team/lib/-rev/1-x", "", "DeletePackage", "RevisionMismatch"},
		{"", "GET", "@team%2flib", "", "ReadFromRepository", "MissingAuthenticationToken"},
	} {
		s.Do(c.user, c.method, app+c.path, c.body)
		r := s.Record()
		if r.EventSource != "codeartifact.amazonaws.com" || r.EventName != c.name || r.ErrorCode != c.code {
			t.Errorf("%s %s: %s %s %s", c.method, c.path, r.EventSource, r.EventName, r.ErrorCode)
		}
		params, _ := r.RequestParameters.(map[string]string)
		if params["domainName"] != "acme" || params["repositoryName"] != "app" || c.user != "" && (params["package"] != "lib" || params["namespace"] != "team") {
			t.Errorf("%s %s: parameters %v", c.method, c.path, params)
		}
		if c.user != "" && !strings.HasSuffix(r.UserIdentity.ARN, "user/"+string(c.user)) {
			t.Errorf("%s %s: by %s", c.method, c.path, r.UserIdentity.ARN)
		}
	}
}

func TestHandler_NotAnEndpoint(t *testing.T) {
	s, app := start(t)
	for _, address := range []string{s.URL + "/codeartifact/", s.URL + "/", strings.Replace(app, "/npm/", "/maven/", 1), strings.Replace(app, "/acme/", "/ACME/", 1)} {
		if r := s.Do(formatstest.Admin, http.MethodGet, address, ""); r.StatusCode != 404 || r.Body == "" {
			t.Errorf("%s: %d %q", address, r.StatusCode, r.Body)
		}
	}
}
