package bun_test

import (
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/bun"
)

const lib = "https://registry.example/npm/lib/"

func target(t *testing.T, scopes ...string) login.Target {
	t.Helper()
	u, err := url.Parse(lib)
	if err != nil {
		t.Fatal(err)
	}
	return login.Target{Endpoint: u, Name: "acme-lib", Domain: "acme", Repository: "lib", Scopes: scopes, Token: authtoken.Token{Password: "ghct_lib"}}
}

func places(env map[string]string) login.Environment {
	return login.Environment{Home: "/home/ada", Dir: "/src/app", GOOS: "linux", Getenv: func(name string) string { return env[name] }}
}

func edits(t *testing.T, to login.Target, env map[string]string) map[string]login.Edit {
	t.Helper()
	all, err := bun.Tool().Edits(to, places(env))
	if err != nil {
		t.Fatal(err)
	}
	byPath := map[string]login.Edit{}
	for _, e := range all {
		byPath[e.Path] = e
	}
	return byPath
}

// The files that bun was observed to read.
func TestFiles(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want []string
	}{
		{nil, []string{"/home/ada/.bunfig.toml", "/home/ada/.npmrc"}},
		{map[string]string{"XDG_CONFIG_HOME": "/cfg"}, []string{"/cfg/.bunfig.toml", "/cfg/.npmrc", "/home/ada/.npmrc"}},
		{map[string]string{"XDG_CONFIG_HOME": "/cfg", "npm_config_userconfig": "/etc/npmrc"}, []string{"/cfg/.bunfig.toml", "/etc/npmrc"}},
	} {
		var got []string
		for path := range edits(t, target(t), c.env) {
			got = append(got, path)
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%v: %q", c.env, got)
		}
	}
	all := edits(t, target(t), map[string]string{"XDG_CONFIG_HOME": "/cfg"})
	for path, e := range all {
		text, err := e.Apply(nil)
		if there := path == "/home/ada/.npmrc"; err != nil || (text != nil) != there {
			t.Errorf("%s became %q, %v", path, text, err)
		}
	}
	text, err := all["/cfg/.npmrc"].Apply([]byte("fund=false\n"))
	if err != nil || !strings.Contains(string(text), "_authToken=ghct_lib") {
		t.Errorf("%q, %v", text, err)
	}
}

func TestBunfig(t *testing.T) {
	for _, c := range []struct {
		name       string
		scopes     []string
		text, want string
	}{
		{"no registry", nil, "[install]\nexact = true\n", "[install]\nexact = true\n"},
		{"an address", nil, "[install]\nregistry = \"https://other.example/\" # note\n", "[install]\nregistry = \"" + lib + "\" # note\n"},
		{
			"a table", nil, "[install.registry]\nurl = \"https://other.example/\"\nusername = \"u\"\npassword = \"p\"\n",
			"[install.registry]\nurl = \"" + lib + "\"\n",
		},
		{
			"a table in a line", nil, "[install]\nregistry = { url = \"https://other.example/\", token = \"$T\" }\n",
			"[install]\nregistry = { url = \"" + lib + "\" }\n",
		},
		{
			"scopes",
			[]string{"@a", "@b", "@c"},
			"[install]\nregistry = \"https://other.example/\"\n[install.scopes]\na = \"https://other.example/\"\n\"@b\" = { token = \"t\", url = \"https://other.example/\" }\n",
			"[install]\nregistry = \"https://other.example/\"\n[install.scopes]\na = \"" + lib + "\"\n\"@b\" = { url = \"" + lib + "\" }\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := edits(t, target(t, c.scopes...), nil)["/home/ada/.bunfig.toml"]
			got, err := e.Apply([]byte(c.text))
			if err != nil || string(got) != c.want {
				t.Fatalf("%v\n got %q\nwant %q", err, got, c.want)
			}
			if again, err := e.Apply(got); err != nil || string(again) != c.want {
				t.Errorf("again: %q, %v", again, err)
			}
			if got, err = e.Remove(got); err != nil || strings.Contains(string(got), lib) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	other := "[install]\nregistry = \"https://other.example/\"\n"
	if got, err := edits(t, target(t), nil)["/home/ada/.bunfig.toml"].Remove([]byte(other)); err != nil || string(got) != other {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAddresses(t *testing.T) {
	read := func(path string) ([]byte, error) {
		switch path {
		case "/src/app/bunfig.toml":
			return []byte("[install]\nregistry = \"https://project.example/\"\n"), nil
		case "/home/ada/.bunfig.toml":
			return []byte("[install.scopes]\na = { url = \"https://a.example/\" }\n"), nil
		case "/home/ada/.npmrc":
			return []byte("registry=" + lib + "\n"), nil
		}
		return nil, fs.ErrNotExist
	}
	got, err := bun.Tool().Addresses(places(nil), read)
	if want := []string{"https://a.example/", "https://project.example/", lib}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}
