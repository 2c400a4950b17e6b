package egress_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/upstreamtest"
)

func writeSecret(t *testing.T, path, secret string, modified time.Time) {
	t.Helper()
	if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, modified, modified); err != nil {
		t.Fatal(err)
	}
}

func TestUpstream_CredentialSchemes(t *testing.T) {
	s := upstreamtest.New(t)
	s.Put("/doc", upstreamtest.File{Body: []byte("here")})
	t.Setenv("UPSTREAM_SECRET", "hunter2\n")
	for name, c := range map[string]struct {
		credential   egress.Credential
		header, want string
	}{
		"basic":  {egress.Credential{Scheme: egress.Basic, User: "u", Env: "UPSTREAM_SECRET"}, "Authorization", "Basic dTpodW50ZXIy"},
		"bearer": {egress.Credential{Scheme: egress.Bearer, Env: "UPSTREAM_SECRET"}, "Authorization", "Bearer hunter2"},
		"token":  {egress.Credential{Scheme: egress.Token, Env: "UPSTREAM_SECRET"}, "Authorization", "hunter2"},
		"header": {egress.Credential{Scheme: egress.Header, Header: "X-Api-Key", Env: "UPSTREAM_SECRET"}, "X-Api-Key", "hunter2"},
		"none":   {egress.Credential{}, "Authorization", ""},
	} {
		s.Forget()
		config := s.Config("own")
		config.Credential = c.credential
		if _, _, err := get(t, newUpstream(t, config, egress.Services{}), egress.Request{URL: "doc"}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := s.Requests()[0].Header.Get(c.header); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A credential that rotates is read again. One that cannot be read is not left out.
func TestUpstream_CredentialFile(t *testing.T) {
	s := upstreamtest.New(t)
	s.Put("/doc", upstreamtest.File{Body: []byte("here")})
	path := filepath.Join(t.TempDir(), "secret")
	config := s.Config("own")
	config.Credential = egress.Credential{Scheme: egress.Bearer, File: path}
	u := newUpstream(t, config, egress.Services{})
	fails := func(says string) {
		t.Helper()
		s.Forget()
		_, _, err := get(t, u, egress.Request{URL: "doc"})
		if egress.KindOf(err) != egress.NoCredential || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") || s.Count("") != 0 {
			t.Errorf("%v, %d requests", err, s.Count(""))
		}
	}
	fails("no such file")
	now := time.Now()
	for i, secret := range []string{"first", "other"} {
		writeSecret(t, path, secret, now.Add(time.Duration(i)*time.Second))
		s.Forget()
		if _, _, err := get(t, u, egress.Request{URL: "doc"}); err != nil || s.Requests()[0].Header.Get("Authorization") != "Bearer "+secret {
			t.Errorf("%s: %v, %v", secret, err, s.Requests())
		}
	}
	writeSecret(t, path, " \n", now.Add(2*time.Second))
	fails("is empty")
	writeSecret(t, path, "hunter2\nsecond line", now.Add(3*time.Second))
	fails("more than one line")
}

// The credential goes to the upstream's own address and to hosts that the configuration
// names, and nowhere else.
func TestUpstream_CredentialStaysHome(t *testing.T) {
	t.Setenv("UPSTREAM_SECRET", "hunter2")
	for _, scheme := range []egress.Credential{{Scheme: egress.Bearer, Env: "UPSTREAM_SECRET"}, {Scheme: egress.Header, Header: "X-Api-Key", Env: "UPSTREAM_SECRET"}} {
		for _, named := range []bool{false, true} {
			s, files := upstreamtest.New(t), upstreamtest.New(t)
			files.Put("/a.whl", upstreamtest.File{Body: []byte("wheel")})
			s.Fail("/moved", upstreamtest.Redirect(files.URL+"/a.whl"))
			s.Fail("/user", upstreamtest.Redirect(strings.Replace(files.URL, "://", "://someone:else@", 1)+"/a.whl"))
			config := s.Config("own", files)
			config.Credential = scheme
			if named {
				config.Credential.Hosts = []string{files.Host()}
			}
			var log bytes.Buffer
			u := newUpstream(t, config, egress.Services{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
			for _, url := range []string{"moved", "user", files.URL + "/a.whl", strings.Replace(files.URL, "://", "://someone:else@", 1) + "/a.whl"} {
				if body, _, err := get(t, u, egress.Request{URL: url}); body != "wheel" || err != nil {
					t.Errorf("%s: %q, %v", url, body, err)
				}
			}
			name := http.CanonicalHeaderKey(scheme.Header)
			if name == "" {
				name = "Authorization"
			}
			if s.Requests()[0].Header.Get(name) == "" {
				t.Error("the upstream did not get the credential")
			}
			for _, r := range files.Requests() {
				if (r.Header.Get(name) != "") != named || strings.Contains(r.Header.Get("Authorization"), "Basic") || r.Header.Get("Referer") != "" || name != "Authorization" && r.Header.Get("Authorization") != "" {
					t.Errorf("named %v: the file host got %v", named, r.Header)
				}
			}
			if strings.Contains(log.String(), "hunter2") || strings.Contains(log.String(), "someone") {
				t.Errorf("the log has the credential:\n%s", log.String())
			}
		}
	}
}

func TestCredential_Validate(t *testing.T) {
	for says, c := range map[string]egress.Credential{
		`scheme "digest" is not`:         {Scheme: "digest", Env: "A"},
		`scheme "" is not`:               {Env: "A"},
		"either a file or":               {Scheme: egress.Bearer},
		"either a file or an":            {Scheme: egress.Bearer, File: "f", Env: "A"},
		"needs a user":                   {Scheme: egress.Basic, Env: "A"},
		"without a colon":                {Scheme: egress.Basic, User: "a:b", Env: "A"},
		"a user belongs":                 {Scheme: egress.Bearer, User: "a", Env: "A"},
		"a header belongs":               {Scheme: egress.Bearer, Header: "X", Env: "A"},
		"the name of a header":           {Scheme: egress.Header, Header: "a b", Env: "A"},
		"accept-encoding cannot":         {Scheme: egress.Header, Header: "accept-encoding", Env: "A"},
		"hosts need":                     {Hosts: []string{"a"}},
		`"https://a" is not HOST`:        {Scheme: egress.Bearer, Env: "A", Hosts: []string{"https://a"}},
		`"a/b" is not HOST or HOST:PORT`: {Scheme: egress.Bearer, Env: "A", Hosts: []string{"a/b"}},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want %s", c, err, says)
		}
	}
}
