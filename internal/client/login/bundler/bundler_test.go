package bundler_test

import (
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/bundler"
)

const (
	onePath = "http://127.0.0.1:4283/codeartifact/us-east-1/000000000001/acme/ruby/lib/"
	awsHost = "https://acme-co-111122223333.d.codeartifact.eu-west-1.amazonaws.com/ruby/lib/"
	mirror  = "http://aws:to.k-e_n@127.0.0.1:4283/codeartifact/us-east-1/000000000001/acme/ruby/lib/"
	pathKey = "BUNDLE_HTTP://127__0__0__1:4283/CODEARTIFACT/US___EAST___1/000000000001/ACME/RUBY/LIB/"
	awsKey  = "BUNDLE_ACME___CO___111122223333__D__CODEARTIFACT__EU___WEST___1__AMAZONAWS__COM"
)

func target(t testing.TB, address string, placement login.Placement) login.Target {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return login.Target{Endpoint: u, Name: "acme-lib", Placement: placement, Token: authtoken.Token{Username: "aws", Password: "to.k-e_n", Value: "to.k-e_n", Type: "Bearer"}}
}

func edit(t testing.TB, target login.Target, env map[string]string) login.Edit {
	t.Helper()
	edits, err := bundler.Tool().Edits(target, places(env))
	if err != nil || len(edits) != 1 || edits[0].Mode != 0o600 {
		t.Fatalf("%+v, %v", edits, err)
	}
	return edits[0]
}

func places(env map[string]string) login.Environment {
	return login.Environment{Home: "/home/ada", Dir: "/src", GOOS: "linux", Getenv: func(name string) string { return env[name] }}
}

func TestApply(t *testing.T) {
	for _, c := range []struct {
		name, address string
		placement     login.Placement
		in, want      string
	}{
		{"no file", onePath, login.Replace, "", "BUNDLE_MIRROR__ALL: " + mirror + "\n"},
		{"beside", onePath, login.Add, "", pathKey + ": aws:to.k-e_n\n"},
		{"AWS", awsHost, login.Add, "---\nBUNDLE_JOBS: \"4\"\n", "---\nBUNDLE_JOBS: \"4\"\n" + awsKey + ": aws:to.k-e_n\n"},
		{"another token", awsHost, login.Add, awsKey + ": \"aws:old\"\nBUNDLE_JOBS: \"4\"\n", awsKey + ": \"aws:to.k-e_n\"\nBUNDLE_JOBS: \"4\"\n"},
		{"another mirror", onePath, login.Replace, "BUNDLE_MIRROR__ALL: \"https://gems.example/\"\n", "BUNDLE_MIRROR__ALL: \"" + mirror + "\"\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := edit(t, target(t, c.address, c.placement), nil)
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

func TestRemove_KeepsOthers(t *testing.T) {
	const text = "BUNDLE_MIRROR__ALL: https://gems.example/\nBUNDLE_GEMS__EXAMPLE: ada:secret\n"
	for _, c := range []struct {
		placement login.Placement
		in, want  string
	}{
		{login.Replace, text, text},
		{login.Add, text, text},
		{login.Add, text + awsKey + ": aws:newer\n", text},
		{login.Replace, "BUNDLE_MIRROR__ALL: " + strings.Replace(awsHost, "//", "//aws:newer@", 1) + "\nBUNDLE_JOBS: \"4\"\n", "BUNDLE_JOBS: \"4\"\n"},
	} {
		e := edit(t, target(t, awsHost, c.placement), nil)
		if out, err := e.Remove([]byte(c.in)); err != nil || string(out) != c.want {
			t.Errorf("%s, %v; want %s", out, err, c.want)
		}
		if _, err := e.Apply([]byte("a: b\n\tc: d\n")); err == nil || !strings.HasPrefix(err.Error(), "line 2: ") {
			t.Errorf("a broken file: %v", err)
		}
	}
}

// A token with characters that are special in addresses reaches the server
// unchanged.
func TestEscaping(t *testing.T) {
	tg := target(t, awsHost, login.Replace)
	tg.Token.Password = "a+b/c=="
	out, err := edit(t, tg, nil).Apply(nil)
	if err != nil || !strings.Contains(string(out), "https://aws:a%2Bb%2Fc%3D%3D@acme-") {
		t.Errorf("%s, %v", out, err)
	}
}

// The variables of exec have the same names as the settings of login, over
// which they take precedence.
func TestRenew(t *testing.T) {
	fresh := authtoken.Token{Username: "aws", Password: "fresh"}
	for _, address := range []string{onePath, awsHost} {
		for placement, value := range map[login.Placement]string{
			login.Replace: strings.Replace(address, "//", "//aws:fresh@", 1),
			login.Add:     "aws:fresh",
		} {
			tg := target(t, address, placement)
			text, err := edit(t, tg, nil).Apply([]byte("BUNDLE_JOBS: \"4\"\n"))
			if err != nil {
				t.Fatal(err)
			}
			got, err := bundler.Renew(text, tg.Endpoint, fresh)
			if err != nil || len(got) != 1 || got[0].Value != value || !strings.Contains(string(text), "\n"+got[0].Name+": ") {
				t.Errorf("%s: %+v, %v; want %s", text, got, err, value)
			}
			other := target(t, strings.Replace(address, "acme", "other", 1), placement)
			if got, err := bundler.Renew(text, other.Endpoint, fresh); err != nil || len(got) != 0 {
				t.Errorf("of another domain: %+v, %v", got, err)
			}
		}
	}
	if got := bundler.HostKey(target(t, onePath, login.Add).Endpoint); got != "BUNDLE_127__0__0__1" {
		t.Error(got)
	}
}

func TestFile(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{nil, "/home/ada/.bundle/config"},
		{map[string]string{"BUNDLE_USER_HOME": "/b"}, "/b/config"},
		{map[string]string{"BUNDLE_USER_HOME": "/b", "BUNDLE_USER_CONFIG": "/c/bundle"}, "/c/bundle"},
		{map[string]string{"BUNDLE_CONFIG": "bundle.yml", "BUNDLE_USER_CONFIG": "/c/bundle"}, "/src/bundle.yml"},
	} {
		if got := edit(t, target(t, awsHost, login.Replace), c.env).Path; got != c.want {
			t.Errorf("%v: %s, want %s", c.env, got, c.want)
		}
	}
}

func TestAddresses(t *testing.T) {
	read := func(path string) ([]byte, error) {
		if path != "/home/ada/.bundle/config" {
			return nil, fs.ErrNotExist
		}
		return []byte("---\nBUNDLE_JOBS: \"4\"\nBUNDLE_GEMS__EXAMPLE: \"ada:secret\"\n" + pathKey + ": \"aws:x\"\n" + awsKey + ": \"aws:x\"\nBUNDLE_MIRROR__ALL: \"" + mirror + "\"\n"), nil
	}
	want := []string{onePath, "https://acme-co-111122223333.d.codeartifact.eu-west-1.amazonaws.com/"}
	if got, err := bundler.Tool().Addresses(places(nil), read); err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if got, err := bundler.Tool().Addresses(places(map[string]string{"BUNDLE_USER_HOME": "/none"}), read); err != nil || got != nil {
		t.Errorf("no file: %q, %v", got, err)
	}
}

func TestNext(t *testing.T) {
	if got := bundler.Tool().Next(target(t, awsHost, login.Replace)); got != "bundle install" {
		t.Error(got)
	}
	if got := bundler.Tool().Next(target(t, awsHost, login.Add)); !strings.Contains(got, `source "`+awsHost+`"`) {
		t.Error(got)
	}
}

// Login and logout leave a person's configuration as it was.
func TestEdits_RoundTrip(t *testing.T) {
	line := rapid.SampledFrom([]string{"BUNDLE_JOBS: \"4\"", "BUNDLE_PATH: vendor/bundle # here", "BUNDLE_GEMS__EXAMPLE: \"ada:secret\"", "# a note", ""})
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfNDistinct(line, 0, 4, rapid.ID).Draw(t, "lines")
		text := strings.Join(lines, "\n")
		if len(lines) > 0 {
			text = "---\n" + text + rapid.SampledFrom([]string{"", "\n"}).Draw(t, "end")
		}
		if rapid.Bool().Draw(t, "CRLF") {
			text = strings.ReplaceAll(text, "\n", "\r\n")
		}
		address := rapid.SampledFrom([]string{onePath, awsHost}).Draw(t, "address")
		placement := rapid.SampledFrom([]login.Placement{login.Replace, login.Add}).Draw(t, "placement")
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		edits, err := bundler.Tool().Edits(login.Target{Endpoint: u, Placement: placement, Token: authtoken.Token{Username: "aws", Password: "token"}}, places(nil))
		if err != nil {
			t.Fatal(err)
		}
		out, err := edits[0].Apply([]byte(text))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if back, err := edits[0].Remove(out); err != nil || string(back) != text {
			t.Fatalf("%q became %q and then %q, %v", text, out, back, err)
		}
	})
}
