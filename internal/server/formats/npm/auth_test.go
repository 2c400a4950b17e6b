package npm_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
)

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
		params, _ := r.RequestParameters.(audit.Params)
		if params.Get("domainName") != "acme" || params.Get("repositoryName") != "app" || c.user != "" && (params.Get("package") != "lib" || params.Get("namespace") != "team") {
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
