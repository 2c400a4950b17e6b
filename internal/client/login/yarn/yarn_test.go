package yarn_test

import (
	"encoding/json"
	"io/fs"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/yarn"
)

func target(t *testing.T, address string, scopes ...string) login.Target {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return login.Target{Endpoint: u, Name: "acme-REGISTRY", Domain: "acme", Repository: "REGISTRY", Region: "us-east-1", Scopes: scopes}
}

func places() login.Environment {
	return login.Environment{Home: "/home/ada", Dir: "/src/app", GOOS: "linux", Program: `/opt/"bin"/gatehouse`, Getenv: func(string) string { return "" }}
}

func edits(t *testing.T, to login.Target) (plugin, rc login.Edit) {
	t.Helper()
	e, err := yarn.Tool().Edits(to, places())
	if err != nil || len(e) != 2 || e[1].Path != "/home/ada/.yarnrc.yml" {
		t.Fatalf("%+v, %v", e, err)
	}
	return e[0], e[1]
}

const lib = "https://registry.example/npm/lib/"

func TestConfiguration(t *testing.T) {
	for _, c := range []struct {
		name, address string
		scopes        []string
		text, want    string
	}{
		{
			"nothing there", lib, nil, "",
			"npmRegistryServer: https://registry.example/npm/lib\nnpmRegistries:\n  //registry.example/npm/lib:\n    npmAlwaysAuth: true\nplugins:\n  - PLUGIN\n",
		},
		{
			"a scope", lib,
			[]string{"@acme"},
			"npmScopes:\n  acme:\n    npmAuthToken: theirs\n    npmMinimalAgeGate: 0 # note\n",
			"npmScopes:\n  acme:\n    npmMinimalAgeGate: 0 # note\n    npmRegistryServer: https://registry.example/npm/lib\n    npmPublishRegistry: https://registry.example/npm/lib\nnpmPreapprovedPackages:\n  - \"@acme/*\"\nnpmRegistries:\n  //registry.example/npm/lib:\n    npmAlwaysAuth: true\nplugins:\n  - PLUGIN\n",
		},
		{
			"a registry with its scheme", lib, nil, "npmRegistryServer: \"https://registry.example/npm/lib/\"\nnpmRegistries:\n  \"https://registry.example/npm/lib/\":\n    npmAlwaysAuth: false\nplugins: [a.cjs]\n",
			"npmRegistryServer: \"https://registry.example/npm/lib/\"\nnpmRegistries:\n  \"https://registry.example/npm/lib/\":\n    npmAlwaysAuth: true\nplugins: [a.cjs, PLUGIN]\n",
		},
		{
			"without TLS", "http://127.0.0.1:4283/npm/lib/", nil, "unsafeHttpWhitelist:\n  - localhost\n",
			"unsafeHttpWhitelist:\n  - localhost\n  - \"127.0.0.1\"\nnpmRegistryServer: http://127.0.0.1:4283/npm/lib\nnpmRegistries:\n  //127.0.0.1:4283/npm/lib:\n    npmAlwaysAuth: true\nplugins:\n  - PLUGIN\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			plugin, rc := edits(t, target(t, c.address, c.scopes...))
			want := strings.ReplaceAll(c.want, "PLUGIN", plugin.Path)
			got, err := rc.Apply([]byte(c.text))
			if err != nil || string(got) != want {
				t.Fatalf("%v\n got %q\nwant %q", err, got, want)
			}
			if again, err := rc.Apply(got); err != nil || string(again) != want {
				t.Errorf("again: %q, %v", again, err)
			}
			// What somebody else has added stays, and login's own lines go.
			if got, err = rc.Remove(append(got, "enableTelemetry: false\n"...)); err != nil {
				t.Fatal(err)
			}
			for _, ours := range []string{plugin.Path, "npm/lib", "npmAlwaysAuth", "127.0.0.1", "@acme"} {
				if strings.Contains(string(got), ours) {
					t.Errorf("%s is left in %q", ours, got)
				}
			}
			if !strings.HasSuffix(string(got), "enableTelemetry: false\n") {
				t.Errorf("%q", got)
			}
		})
	}
}

// What the login of another scope needs stays.
func TestRemove_OneOfTwoScopes(t *testing.T) {
	_, a := edits(t, target(t, "http://127.0.0.1:4283/npm/lib/", "@a"))
	_, b := edits(t, target(t, "http://127.0.0.1:4283/npm/lib/", "@b"))
	_, c := edits(t, target(t, "http://127.0.0.1:4283/npm/team/", "@c"))
	only, err := b.Apply(nil)
	if err != nil {
		t.Fatal(err)
	}
	text := only
	for _, step := range []func([]byte) ([]byte, error){a.Apply, c.Apply, a.Remove, c.Remove} {
		if text, err = step(text); err != nil {
			t.Fatal(err)
		}
	}
	if string(text) != string(only) {
		t.Errorf("%q became %q", only, text)
	}
}

// Only the scopes of the repository pass Yarn's age gate. Without a scope, public
// packages may come through it, so login says how to name one's own.
func TestAgeGate(t *testing.T) {
	_, rc := edits(t, target(t, lib, "@acme", "@team"))
	text, err := rc.Apply([]byte("npmPreapprovedPackages: [lodash]\n"))
	if err != nil || !strings.HasPrefix(string(text), `npmPreapprovedPackages: [lodash, "@acme/*", "@team/*"]`) {
		t.Errorf("%q, %v", text, err)
	}
	_, rc = edits(t, target(t, lib))
	if text, err = rc.Apply(nil); err != nil || strings.Contains(string(text), "npmPreapprovedPackages") || strings.Contains(string(text), "AgeGate") {
		t.Errorf("%q, %v", text, err)
	}
	next := yarn.Tool().Next
	if got := next(target(t, lib)); !strings.Contains(got, "npmPreapprovedPackages") {
		t.Error(got)
	}
	if got := next(target(t, lib, "@acme")); strings.Contains(got, "npmPreapprovedPackages") {
		t.Error(got)
	}
}

func TestPlugin(t *testing.T) {
	plugin, _ := edits(t, target(t, lib))
	if !strings.HasPrefix(plugin.Path, "/home/ada/.local/share/gatehouse/yarn/acme-REGISTRY-") || !strings.HasSuffix(plugin.Path, ".cjs") || plugin.Mode != 0o600 {
		t.Errorf("%s, %o", plugin.Path, plugin.Mode)
	}
	text, err := plugin.Apply(nil)
	if err != nil {
		t.Fatal(err)
	}
	literal := regexp.MustCompile(`const \[program, \.\.\.args\] = (.*);`).FindSubmatch(text)
	var command []string
	if literal == nil || json.Unmarshal(literal[1], &command) != nil {
		t.Fatalf("%s", text)
	}
	if want := []string{`/opt/"bin"/gatehouse`, "token", "codeartifact", "--domain", "acme", "--region", "us-east-1", "--format", "authorization"}; !slices.Equal(command, want) {
		t.Errorf("%q", command)
	}
	for _, line := range []string{`const registry = "https://registry.example/npm/lib";`, `name: "@gatehouse/acme-REGISTRY-`} {
		if !strings.Contains(string(text), line) {
			t.Errorf("no %s in\n%s", line, text)
		}
	}
}

func TestEdits_Errors(t *testing.T) {
	to := target(t, lib)
	to.Placement = login.Add
	if _, err := yarn.Tool().Edits(to, places()); err == nil || !strings.Contains(err.Error(), "--scope") {
		t.Error(err)
	}
	_, rc := edits(t, target(t, lib))
	if _, err := rc.Apply([]byte("a: b\nnpmRegistries: [x]\n")); err == nil || !strings.HasPrefix(err.Error(), "line 2: ") {
		t.Error(err)
	}
}

func TestAddresses(t *testing.T) {
	read := func(path string) ([]byte, error) {
		switch path {
		case "/src/app/.yarnrc.yml":
			return []byte("npmRegistryServer: https://project.example\n"), nil
		case "/home/ada/.yarnrc.yml":
			return []byte("npmScopes:\n  a:\n    npmRegistryServer: https://a.example\n    npmPublishRegistry: https://project.example\n"), nil
		}
		return nil, fs.ErrNotExist
	}
	got, err := yarn.Tool().Addresses(places(), read)
	if want := []string{"https://a.example", "https://project.example"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}
