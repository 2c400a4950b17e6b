package npmrc_test

import (
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/npm"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/npmrc"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/yarn"
)

func target(t interface {
	Helper()
	Fatal(...any)
}, address string, scopes ...string,
) login.Target {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	r := u.Path[strings.LastIndex(strings.TrimSuffix(u.Path, "/"), "/")+1 : len(u.Path)-1]
	return login.Target{
		Endpoint: u, Name: "acme-" + r, Domain: "acme", Owner: "111122223333", Repository: r, Region: "us-east-1",
		AWS: credential.AWS{Profile: "work"}, Scopes: scopes,
		Token: authtoken.Token{Username: "aws", Password: "ghct_" + r, Value: "ghct_" + r, Type: "Bearer"},
	}
}

func places(env map[string]string) login.Environment {
	return login.Environment{Home: "/home/ada", Dir: "/src/app", GOOS: "linux", Program: "/usr/bin/gatehouse", Getenv: func(name string) string { return env[name] }}
}

const lib = "https://acme-111122223333.d.codeartifact.us-east-1.amazonaws.com/npm/lib/"

func TestEdit(t *testing.T) {
	const key = "//acme-111122223333.d.codeartifact.us-east-1.amazonaws.com/npm/lib/"
	for _, c := range []struct {
		name   string
		tool   login.Tool
		text   string
		change func(*login.Target)
		want   string
		mode   fs.FileMode
	}{
		{"nothing there", npm.Tool(), "", nil, "registry=" + lib + "\n" + key + ":_authToken=ghct_lib\n", 0o600},
		{
			"scopes", npm.Tool(), "; mine\nregistry = https://registry.example/\n", func(t *login.Target) { t.Scopes = []string{"@a", "@b"} },
			"; mine\nregistry = https://registry.example/\n@a:registry = " + lib + "\n@b:registry = " + lib + "\n" + key + ":_authToken = ghct_lib\n", 0o600,
		},
		{"a variable", npm.Tool(), "", func(t *login.Target) { t.Variable = "LIB" }, "registry=" + lib + "\n" + key + ":_authToken=${LIB}\n", 0o644},
		{"instead", npm.Tool(), "registry=https://registry.example/ ; mine", nil, "registry=" + lib + " ; mine\n" + key + ":_authToken=ghct_lib", 0o600},
		{"there, without its slash", npm.Tool(), "registry=" + strings.TrimSuffix(lib, "/") + "\n", nil, "registry=" + strings.TrimSuffix(lib, "/") + "\n" + key + ":_authToken=ghct_lib\n", 0o600},
		{"Yarn 1", yarn.Classic(), "", nil, "registry=" + lib + "\n" + key + ":_authToken=ghct_lib\n" + key + ":always-auth=true\n", 0o600},
		{
			"beside, by a scope", npm.Tool(), "", func(t *login.Target) { t.Scopes, t.Placement = []string{"@a"}, login.Add },
			"@a:registry=" + lib + "\n" + key + ":_authToken=ghct_lib\n", 0o600,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := target(t, lib)
			if c.change != nil {
				c.change(&to)
			}
			edits, err := c.tool.Edits(to, places(nil))
			if err != nil || len(edits) != 1 || edits[0].Path != "/home/ada/.npmrc" || edits[0].Mode != c.mode {
				t.Fatalf("%+v, %v", edits, err)
			}
			got, err := edits[0].Apply([]byte(c.text))
			if err != nil || string(got) != c.want {
				t.Fatalf("%v\n got %q\nwant %q", err, got, c.want)
			}
			if again, err := edits[0].Apply(got); err != nil || string(again) != c.want {
				t.Errorf("again: %q, %v", again, err)
			}
		})
	}
}

// A token stays if something else comes from the same repository.
func TestEdit_Remove(t *testing.T) {
	edit := func(scopes ...string) login.Edit {
		edits, err := npm.Tool().Edits(target(t, lib, scopes...), places(nil))
		if err != nil {
			t.Fatal(err)
		}
		return edits[0]
	}
	text := []byte("# mine\n")
	for _, e := range []login.Edit{edit("@a"), edit("@b")} {
		var err error
		if text, err = e.Apply(text); err != nil {
			t.Fatal(err)
		}
	}
	text, err := edit("@a").Remove(text)
	if err != nil || strings.Contains(string(text), "@a") || !strings.Contains(string(text), "_authToken=ghct_lib") {
		t.Fatalf("%q, %v", text, err)
	}
	if text, err = edit("@b").Remove(text); err != nil || string(text) != "# mine\n" {
		t.Fatalf("%q, %v", text, err)
	}
	other := []byte("registry=https://registry.example/\n")
	if text, err = edit().Remove(other); err != nil || string(text) != string(other) {
		t.Fatalf("%q, %v", text, err)
	}
}

func TestAddress(t *testing.T) {
	for address, want := range map[string]string{
		"https://Registry.example:443/npm/lib/": "//registry.example/npm/lib/",
		"http://registry.example:80/npm/lib/":   "//registry.example/npm/lib/",
		"http://registry.example:443/npm/lib/":  "//registry.example:443/npm/lib/",
		"http://127.0.0.1:4283/npm/lib/":        "//127.0.0.1:4283/npm/lib/",
	} {
		if got := npmrc.Address(target(t, address)); got != want {
			t.Errorf("%s: %s", address, got)
		}
	}
}

func TestPath(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{nil, "/home/ada/.npmrc"},
		{map[string]string{"npm_config_userconfig": "/etc/a"}, "/etc/a"},
		{map[string]string{"NPM_CONFIG_USERCONFIG": "rc"}, "/src/app/rc"},
		{map[string]string{"NPM_CONFIG_USERCONFIG": "/a", "npm_config_userconfig": "/a"}, "/a"},
	} {
		if got, err := npmrc.Path(places(c.env)); err != nil || got != c.want {
			t.Errorf("%v: %s, %v", c.env, got, err)
		}
	}
	if _, err := npmrc.Path(places(map[string]string{"NPM_CONFIG_USERCONFIG": "/a", "npm_config_userconfig": "/b"})); err == nil || !strings.Contains(err.Error(), "unset one") {
		t.Error(err)
	}
}

func TestEdit_Errors(t *testing.T) {
	to := target(t, lib)
	to.Placement = login.Add
	if _, err := npm.Tool().Edits(to, places(nil)); err == nil || !strings.Contains(err.Error(), "--scope @NAME") {
		t.Error(err)
	}
	for _, scope := range []string{"acme", "@", "@a b", "@a\nregistry=x", "@a=b"} {
		if _, err := npm.Tool().Edits(target(t, lib, scope), places(nil)); err == nil || !strings.Contains(err.Error(), "is not a scope") {
			t.Errorf("%q: %v", scope, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	read := func(path string) ([]byte, error) {
		switch path {
		case "/src/app/.npmrc":
			return []byte("@acme:registry=https://project.example/\n"), nil
		case "/home/ada/.npmrc":
			return []byte("registry = " + lib + "\n@b:registry=https://project.example/\n//x/:registry=no\n[s]\nregistry=no\n"), nil
		}
		return nil, fs.ErrNotExist
	}
	got, err := npmrc.Addresses(places(map[string]string{"npm_config_registry": "https://environment.example/"}), read)
	if want := []string{lib, "https://environment.example/", "https://project.example/"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestNext(t *testing.T) {
	to := target(t, lib, "@acme")
	to.Variable = "LIB"
	want := `export LIB="$(gatehouse token codeartifact --domain acme --domain-owner 111122223333 --region us-east-1 --profile work)"` + "\nnpm install @acme/PACKAGE\n# Without LIB, npm and bun are refused, Yarn 1 stops, and pnpm ignores .npmrc and uses the public registry."
	if got := npm.Tool().Next(to); got != want {
		t.Errorf("%q", got)
	}
}
