package cargo_test

import (
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/cargo"
)

const endpoint = "https://acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/cargo/lib/"

const registry = `[registries.acme-lib]
index = "sparse+` + endpoint + `"
credential-provider = ["/opt/gate house/gatehouse"]
`

const instead = registry + `
[registry]
default = "acme-lib"

[source.crates-io]
replace-with = "acme-lib"
`

func target(t testing.TB, placement login.Placement) login.Target {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return login.Target{Endpoint: u, Name: "acme-lib", Placement: placement}
}

func places(env map[string]string) login.Environment {
	return login.Environment{Home: "/home/ada", Dir: "/src", GOOS: "linux", Program: "/opt/gate house/gatehouse", Getenv: func(name string) string { return env[name] }}
}

func edits(t testing.TB, placement login.Placement, env map[string]string) (config, old login.Edit) {
	t.Helper()
	e, err := cargo.Tool().Edits(target(t, placement), places(env))
	if err != nil || len(e) != 2 {
		t.Fatalf("%+v, %v", e, err)
	}
	return e[0], e[1]
}

func TestApply(t *testing.T) {
	for _, c := range []struct {
		name      string
		placement login.Placement
		in, want  string
	}{
		{"no file", login.Replace, "", instead},
		{"beside", login.Add, "[net]\nretry = 3 # times\n", "[net]\nretry = 3 # times\n\n" + registry},
		{
			"another default", login.Replace, "[registry]\ndefault = \"corp\" # ours\n\n[registries]\ncorp.index = \"sparse+https://crates.example/\"\n",
			"[registry]\ndefault = \"acme-lib\" # ours\n\n[registries]\ncorp.index = \"sparse+https://crates.example/\"\n\n" + registry + "\n[source.crates-io]\nreplace-with = \"acme-lib\"\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, _ := edits(t, c.placement, nil)
			out, err := e.Apply([]byte(c.in))
			if err != nil || string(out) != c.want {
				t.Fatalf("%s, %v; want %s", out, err, c.want)
			}
			if again, err := e.Apply(out); err != nil || string(again) != c.want {
				t.Errorf("a second time: %s, %v", again, err)
			}
		})
	}
}

// What a person has changed since stays.
func TestRemove_KeepsOthers(t *testing.T) {
	e, _ := edits(t, login.Replace, nil)
	mine := strings.NewReplacer(`default = "acme-lib"`, `default = "corp"`, `["/opt/gate house/gatehouse"]`, `["cargo:token"]`).Replace(instead)
	want := "[registries.acme-lib]\ncredential-provider = [\"cargo:token\"]\n\n[registry]\ndefault = \"corp\"\n"
	if out, err := e.Remove([]byte(mine)); err != nil || strings.TrimRight(string(out), "\n")+"\n" != want {
		t.Errorf("%s, %v; want %s", out, err, want)
	}
	if _, err := e.Apply([]byte("[net]\nretry = =\n")); err == nil || !strings.HasPrefix(err.Error(), "line 2: ") {
		t.Errorf("a broken file: %v", err)
	}
}

// If there is a file with the old name, cargo reads it instead of the new one.
func TestFiles(t *testing.T) {
	config, old := edits(t, login.Replace, map[string]string{"CARGO_HOME": "cargo"})
	if config.Path != "/src/cargo/config.toml" || old.Path != "/src/cargo/config" || config.Mode != 0o644 {
		t.Errorf("%s, %s", config.Path, old.Path)
	}
	config, old = edits(t, login.Replace, nil)
	if config.Path != "/home/ada/.cargo/config.toml" || old.Path != "/home/ada/.cargo/config" {
		t.Errorf("%s, %s", config.Path, old.Path)
	}
	if out, err := old.Apply(nil); out != nil || err != nil {
		t.Errorf("the old one was made: %q, %v", out, err)
	}
	if out, err := old.Apply([]byte{}); string(out) != instead || err != nil {
		t.Errorf("the old one: %q, %v", out, err)
	}
}

func TestAddresses(t *testing.T) {
	files := map[string]string{"/home/ada/.cargo/config.toml": instead + "\n[registries]\ncorp.index = \"https://git.example/index\"\nother.token = \"x\"\n"}
	read := func(path string) ([]byte, error) {
		if text, ok := files[path]; ok {
			return []byte(text), nil
		}
		return nil, fs.ErrNotExist
	}
	want := []string{endpoint, "https://git.example/index"}
	if got, err := cargo.Tool().Addresses(places(nil), read); err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	files["/home/ada/.cargo/config"] = "registries = "
	if _, err := cargo.Tool().Addresses(places(nil), read); err == nil || !strings.Contains(err.Error(), "/home/ada/.cargo/config: line 1: ") {
		t.Errorf("a broken file: %v", err)
	}
	if got, err := cargo.Tool().Addresses(places(map[string]string{"CARGO_HOME": "/none"}), read); err != nil || got != nil {
		t.Errorf("no file: %q, %v", got, err)
	}
}

func TestNext(t *testing.T) {
	if got := cargo.Tool().Next(target(t, login.Replace)); got != "cargo add CRATE\ncargo publish" {
		t.Error(got)
	}
	if got := cargo.Tool().Next(target(t, login.Add)); got != "cargo add CRATE --registry acme-lib\ncargo publish --registry acme-lib" {
		t.Error(got)
	}
}

// Login and logout leave a person's configuration as it was.
func TestEdits_RoundTrip(t *testing.T) {
	tables := rapid.SampledFrom([]string{
		"[net]\nretry = 3\n", "[build] # here\njobs = 4\n", "[registries.corp]\nindex = \"sparse+https://crates.example/\"\n",
		"[alias]\nb = \"build\"\n", "# a note\n", "[source.vendored]\ndirectory = \"vendor\"\n",
	})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfNDistinct(tables, 0, 6, rapid.ID).Draw(t, "tables"), rapid.SampledFrom([]string{"", "\n"}).Draw(t, "between"))
		if rapid.Bool().Draw(t, "CRLF") {
			text = strings.ReplaceAll(text, "\n", "\r\n")
		}
		u, err := url.Parse(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		placement := rapid.SampledFrom([]login.Placement{login.Replace, login.Add}).Draw(t, "placement")
		e, err := cargo.Tool().Edits(login.Target{Endpoint: u, Name: "acme-lib", Placement: placement}, places(nil))
		if err != nil {
			t.Fatal(err)
		}
		out, err := e[0].Apply([]byte(text))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if back, err := e[0].Remove(out); err != nil || string(back) != text {
			t.Fatalf("%q became %q and then %q, %v", text, out, back, err)
		}
	})
}
