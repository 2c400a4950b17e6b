package formats_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// An echo answers every request of a caller with a token.
type echo struct{ authentication formats.Authentication }

func (echo) Serve(w http.ResponseWriter, r *formats.Request) error {
	_, err := fmt.Fprint(w, r.Rest)
	return err
}

func (echo) WriteError(w http.ResponseWriter, _ *formats.Request, status int, e *fault.Error) {
	http.Error(w, e.Message, status)
}

func (echo) LoginTool(*http.Request) string { return "npm" }

func (e echo) Authentication() formats.Authentication { return e.authentication }

func (echo) Routes() []formats.RouteInfo { return nil }

func startEcho(t *testing.T, a formats.Authentication) (s *formatstest.Server, url string) {
	s = formatstest.Start(t, func(*packages.Service) map[packages.Format]formats.Protocol {
		return map[packages.Format]formats.Protocol{packages.NPM: echo{a}}
	})
	return s, s.Endpoint(formatstest.App, packages.NPM)
}

func TestAuthentication_Challenges(t *testing.T) {
	cargo := func(_ *formats.Request, reason string) string { return `Cargo login_url="x"` + reason }
	for what, c := range map[string]struct {
		challenges []formats.Challenge
		want       []string
	}{
		"both":   {formats.BearerOrBasic().Challenges, []string{`Bearer realm="acme/app"`, `Basic realm="acme/app"`}},
		"bearer": {[]formats.Challenge{formats.BearerChallenge}, []string{`Bearer realm="acme/app"`}},
		"own":    {[]formats.Challenge{cargo}, []string{`Cargo login_url="x"`}},
	} {
		s, url := startEcho(t, formats.Authentication{Challenges: c.challenges})
		r := s.Do("", "GET", url, "")
		if got := r.Header["Www-Authenticate"]; r.StatusCode != 401 || !slices.Equal(got, c.want) {
			t.Errorf("%s: %d, %q", what, r.StatusCode, got)
		}
		r = s.Do("", "GET", url, "", "Authorization: Bearer x")
		if got := r.Header["Www-Authenticate"]; len(got) != len(c.want) || !strings.Contains(got[0], "aws codeartifact login --tool npm") {
			t.Errorf("%s with a bad token: %q", what, got)
		}
	}
}

func TestAuthentication_TokenHeader(t *testing.T) {
	a := formats.BearerOrBasic()
	a.TokenHeader = "X-NuGet-ApiKey"
	s, url := startEcho(t, a)
	token := s.Token(formatstest.Reader, formatstest.Domain)
	for _, c := range []struct {
		key, authorization string
		status             int
	}{
		{token, "", 200},
		{"anything", "Bearer " + token, 200},
		{token, "Bearer x", 401}, // the header of HTTP counts
		{"anything", "", 401},
	} {
		headers := []string{"X-NuGet-ApiKey: " + c.key}
		if c.authorization != "" {
			headers = append(headers, "Authorization: "+c.authorization)
		}
		r := s.Do("", "GET", url+"x", "", headers...)
		if r.StatusCode != c.status {
			t.Errorf("key %q, Authorization %q: %d %s", c.key, c.authorization, r.StatusCode, r.Body)
		}
		if c.status == 401 && !strings.Contains(r.Header.Get("WWW-Authenticate"), "invalid_token") {
			t.Error(r.Header["Www-Authenticate"])
		}
	}
	// A format without such a header does not look at it.
	s, url = startEcho(t, formats.BearerOrBasic())
	if r := s.Do("", "GET", url, "", "X-NuGet-ApiKey: "+s.Token(formatstest.Reader, formatstest.Domain)); r.StatusCode != 401 {
		t.Error(r.StatusCode)
	}
}
