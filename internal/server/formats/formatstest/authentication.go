package formatstest

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func testAuthenticationForms(t *testing.T, x *sample) {
	x.published(x.app, x.Version(0), "one")
	token := x.Token(Reader, Domain)
	headers := map[string]string{
		"as it is":          "Authorization: " + token,
		"bearer":            "Authorization: Bearer " + token,
		"basic, aws":        "Authorization: " + basic("aws", token),
		"basic, other user": "Authorization: " + basic("someone", token),
	}
	name := x.protocol.Authentication().TokenHeader
	if name != "" {
		headers[name] = name + ": " + token
	}
	for what, header := range headers {
		c := x.Document
		c.Headers = append(slices.Clone(c.Headers), header)
		if r := x.call("", x.app, c); r.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %.300s", what, r.StatusCode, r.Body)
		}
	}
}

func testChallenges(t *testing.T, x *sample) {
	x.published(x.app, x.Version(0), "one")
	challenges := x.protocol.Authentication().Challenges
	for _, info := range x.protocol.Routes() {
		for _, sent := range []string{"", "Authorization: Bearer x", "Authorization: " + basic("aws", "x"), "Authorization: Digest x"} {
			c := x.example(info)
			if sent != "" {
				c.Headers = append(slices.Clone(c.Headers), sent)
			}
			r := x.call("", x.app, c)
			if r.StatusCode != http.StatusUnauthorized {
				t.Fatalf("%s %s with %q: %d", c.Method, c.Path, sent, r.StatusCode)
			}
			lines := r.Header["Www-Authenticate"]
			if len(lines) != len(challenges) {
				t.Fatalf("%s %s with %q: the challenges are %q", c.Method, c.Path, sent, lines)
			}
			for _, line := range lines {
				// A comma before a scheme would be a second challenge on the line.
				if strings.Contains(line, ", Basic ") || strings.Contains(line, ", Bearer ") {
					t.Fatalf("two challenges are on one line: %q", line)
				}
			}
		}
	}
}

func testTokenScope(t *testing.T, x *sample) {
	x.published(x.app, x.Version(0), "one")
	for _, d := range []packages.DomainID{
		{Owner: Account, Region: Region, Name: "other"},
		{Owner: "000000000002", Region: Region, Name: Domain.Name},
		{Owner: Account, Region: "eu-west-1", Name: Domain.Name},
	} {
		c := x.Document
		c.Headers = append(slices.Clone(c.Headers), "Authorization: Bearer "+x.Token(Admin, d))
		r := x.call("", x.app, c)
		if d.Region != Region && r.StatusCode == http.StatusUnauthorized {
			continue // of a region that the server does not have
		}
		if r.StatusCode != http.StatusForbidden {
			t.Errorf("a token for %v: %d %.300s", d, r.StatusCode, r.Body)
		}
	}
}

func testExpiredToken(t *testing.T, x *sample) {
	x.published(x.app, x.Version(0), "one")
	token := "Authorization: Bearer " + x.Token(Admin, Domain)
	x.Advance(12*time.Hour + time.Second)
	for _, c := range append([]Call{x.Document}, x.Publish(t, x.Version(1), "two")...) {
		c.Headers = append(slices.Clone(c.Headers), token)
		r := x.call("", x.app, c)
		text := r.Body
		for _, values := range r.Header {
			text += " " + strings.Join(values, " ")
		}
		if r.StatusCode != http.StatusUnauthorized || !strings.Contains(text, "expired") || !strings.Contains(text, " login --tool ") {
			t.Errorf("%s %s: %d, without a word about how to log in again: %.500s", c.Method, c.Path, r.StatusCode, text)
		}
	}
	x.listed(x.app, x.Version(1), false)
}

// Refusals have the form that the clients read, whatever their reason is.
func testRefusals(t *testing.T, x *sample) {
	x.published(x.app, x.Version(0), "one")
	for _, c := range []struct {
		user   User
		call   Call
		status int
		text   string
	}{
		{"", x.Document, http.StatusUnauthorized, "no authorization token"},
		{Stranger, x.Document, http.StatusForbidden, "is not authorized to perform: codeartifact:ReadFromRepository"},
		{Stranger, x.Publish(t, x.Version(1), "two")[0], http.StatusForbidden, "is not authorized to perform: codeartifact:"},
		{Reader, Call{Method: "GET", Path: x.Asset(x.Version(3))}, http.StatusNotFound, "ot found"},
		{Admin, Call{Method: "GET", Path: "@@@/@@@/@@@"}, http.StatusNotFound, ""},
	} {
		r := x.call(c.user, x.app, c.call)
		if r.StatusCode != c.status {
			t.Errorf("%s %s as %q: %d, want %d: %.300s", c.call.Method, c.call.Path, c.user, r.StatusCode, c.status, r.Body)
			continue
		}
		if message := x.Refusal(t, r); message == "" || !strings.Contains(message, c.text) {
			t.Errorf("%s %s as %q: the message is %q", c.call.Method, c.call.Path, c.user, message)
		}
		if cache := r.Header.Get("Cache-Control"); cache != "no-store" {
			t.Errorf("%s %s as %q: Cache-Control is %q", c.call.Method, c.call.Path, c.user, cache)
		}
	}
}

// A caller without the permission of a route is refused, and nothing happens.
func testRoutePermissions(t *testing.T, x *sample) {
	x.published(x.app, x.Version(0), "one")
	before, objects := x.document(x.app), x.Objects()
	for _, info := range x.protocol.Routes() {
		if info.Action == "" {
			continue
		}
		if !slices.Contains(actions, info.Action) {
			t.Fatalf("%s: the action %s is not in the list of formatstest", info.Kind, info.Action)
		}
		for _, u := range []User{Stranger, Without(info.Action)} {
			c := x.example(info)
			x.Forget()
			r := x.call(u, x.app, c)
			if r.StatusCode != http.StatusForbidden {
				t.Errorf("%s %s as %s: %d, want 403: %.300s", c.Method, c.Path, u, r.StatusCode, r.Body)
			}
			if record := x.Record(); record.ErrorCode != "AccessDenied" {
				t.Errorf("%s %s as %s: the record's error is %q", c.Method, c.Path, u, record.ErrorCode)
			}
		}
		if info.Action == "ReadFromRepository" {
			c := x.example(info)
			if r := x.call(Publisher, x.app, c); r.StatusCode != http.StatusForbidden {
				t.Errorf("%s %s as %s: %d", c.Method, c.Path, Publisher, r.StatusCode)
			}
			if r := x.call(Reader, x.app, c); r.StatusCode == http.StatusForbidden {
				t.Errorf("%s %s as %s: %d %.300s", c.Method, c.Path, Reader, r.StatusCode, r.Body)
			}
		}
	}
	if after := x.document(x.app); after != before || x.Objects() != objects {
		t.Error("a refused request changed something")
	}
}

// The audit record of each route names its action, and the action was authorized.
func testRouteRecords(t *testing.T, x *sample) {
	x.published(x.app, x.Version(0), "one")
	for _, info := range x.protocol.Routes() {
		c := x.example(info)
		x.Forget()
		r := x.call(Reader, x.app, c)
		record := x.Record()
		if r.StatusCode >= 500 && r.StatusCode != http.StatusNotImplemented || r.StatusCode == http.StatusMethodNotAllowed {
			t.Errorf("%s %s: %d %.300s", c.Method, c.Path, r.StatusCode, r.Body)
		}
		params, _ := record.RequestParameters.(audit.Params)
		if params.Get("domainName") != Domain.Name || params.Get("repositoryName") != App.Name || params.Get("packageFormat") != string(x.Package.Format) {
			t.Errorf("%s %s: the record's parameters are %v", c.Method, c.Path, params)
		}
		if record.UserIdentity.UserName != string(Reader) {
			t.Errorf("%s %s: the record's identity is %+v", c.Method, c.Path, record.UserIdentity)
		}
		if info.Action != "" && (record.EventSource != "codeartifact.amazonaws.com" || record.EventName != info.Action) {
			t.Errorf("%s %s: the record names %s %s, not %s", c.Method, c.Path, record.EventSource, record.EventName, info.Action)
		}
	}
}

func testOtherMethods(t *testing.T, x *sample) {
	methods := map[string][]string{}
	for _, info := range x.protocol.Routes() {
		methods[info.Example] = append(methods[info.Example], info.Method)
	}
	for path, have := range methods {
		if slices.Contains(have, "") {
			continue
		}
		r := x.call(Admin, x.app, Call{Method: "PATCH", Path: path})
		if r.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("PATCH %s: %d", path, r.StatusCode)
		}
		for _, m := range have {
			if !strings.Contains(r.Header.Get("Allow"), m) {
				t.Errorf("PATCH %s: Allow is %q, without %s", path, r.Header.Get("Allow"), m)
			}
		}
	}
}
