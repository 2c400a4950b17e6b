package pnpm_test

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/pnpm"
)

func target(profile string) login.Target {
	return login.Target{
		Endpoint: &url.URL{Scheme: "https", Host: "registry.example", Path: "/npm/lib/"},
		Name:     "acme-lib", Domain: "acme", Owner: "111122223333", Repository: "lib", Region: "us-east-1",
		AWS: credential.AWS{Profile: profile}, Duration: 15 * time.Minute,
	}
}

func places(goos string, env map[string]string) login.Environment {
	return login.Environment{Home: "/home/ada", Dir: "/src", GOOS: goos, Program: "/opt/bin/gatehouse", Getenv: func(name string) string { return env[name] }}
}

func edits(t interface {
	Helper()
	Fatal(...any)
}, to login.Target, p login.Environment,
) []login.Edit {
	t.Helper()
	e, err := pnpm.Tool().Edits(to, p)
	if err != nil {
		t.Fatal(err)
	}
	if len(e) != 2 {
		t.Fatal(len(e))
	}
	return e
}

func TestHelper(t *testing.T) {
	e := edits(t, target("work"), places("linux", map[string]string{"XDG_DATA_HOME": "/data"}))
	if !strings.HasPrefix(e[0].Path, "/data/gatehouse/pnpm/acme-lib-") || e[0].Mode != 0o700 {
		t.Errorf("%s, %o", e[0].Path, e[0].Mode)
	}
	npmrc, err := e[1].Apply([]byte("# mine\n"))
	if want := "# mine\nregistry=https://registry.example/npm/lib/\n//registry.example/npm/lib/:tokenHelper=" + e[0].Path + "\n"; err != nil || string(npmrc) != want {
		t.Errorf("%q, %v", npmrc, err)
	}
	script, err := e[0].Apply(nil)
	if want := "exec /opt/bin/gatehouse token codeartifact --domain acme --domain-owner 111122223333 --region us-east-1 --profile work --duration 900 --format authorization\n"; err != nil || !strings.HasSuffix(string(script), want) {
		t.Errorf("%q, %v", script, err)
	}
	elsewhere := target("work")
	elsewhere.Endpoint = &url.URL{Scheme: "https", Host: "other.example", Path: "/npm/lib/"}
	if other := edits(t, elsewhere, places("linux", map[string]string{"XDG_DATA_HOME": "/data"})); other[0].Path == e[0].Path {
		t.Errorf("two endpoints have one helper: %s", other[0].Path)
	}
}

// Whatever a profile's name is, the program gets that name, and nothing else is
// run.
func TestHelper_Arguments(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "it's a program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nprintf '%s\\0' \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	helper := filepath.Join(dir, "helper")
	rapid.Check(t, func(rt *rapid.T) {
		profile := rapid.StringMatching(`[ -~]{1,20}`).Draw(rt, "profile")
		p := places("linux", nil)
		p.Program = program
		text, err := edits(rt, target(profile), p)[0].Apply(nil)
		if err != nil {
			rt.Fatal(err)
		}
		if err := os.WriteFile(helper, text, 0o700); err != nil {
			rt.Fatal(err)
		}
		out, err := exec.Command("/bin/sh", helper).Output()
		if err != nil {
			rt.Fatal(err)
		}
		want := append(target(profile).TokenArguments(), "--format", "authorization")
		if got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); !slices.Equal(got, want) {
			rt.Fatalf("%q", got)
		}
	})
}

func TestHelper_Windows(t *testing.T) {
	p := places("windows", nil)
	p.Home, p.Program = `C:\Users\ada`, `C:\Program Files\gatehouse.exe`
	e := edits(t, target("100%"), p)
	if !strings.HasSuffix(e[0].Path, ".cmd") {
		t.Error(e[0].Path)
	}
	text, err := e[0].Apply(nil)
	if err != nil || !strings.HasSuffix(string(text), "\r\n@\"C:\\Program Files\\gatehouse.exe\" \"token\" \"codeartifact\" \"--domain\" \"acme\" \"--domain-owner\" \"111122223333\" \"--region\" \"us-east-1\" \"--profile\" \"100%%\" \"--duration\" \"900\" \"--format\" \"authorization\"\r\n") {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := pnpm.Tool().Edits(target(`a" & calc "`), p); err == nil {
		t.Error("a quote in a script of cmd")
	}
}

func TestHelper_SpecialPath(t *testing.T) {
	for _, dir := range []string{"/home/ada lovelace", "/home/$(id)", "/home/a;b", "/home/a'b", "/home/a#b"} {
		p := places("linux", nil)
		p.Home = dir
		if _, err := pnpm.Tool().Edits(target(""), p); err == nil || !strings.Contains(err.Error(), "set XDG_DATA_HOME") {
			t.Errorf("%s: %v", dir, err)
		}
	}
	p := places("linux", map[string]string{"XDG_DATA_HOME": "/data/ada"})
	p.Home = "/home/ada lovelace"
	edits(t, target(""), p)
}
