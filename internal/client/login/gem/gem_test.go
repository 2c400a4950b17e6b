package gem_test

import (
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/gem"
)

const (
	endpoint = "https://acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/ruby/lib/"
	ours     = "https://aws:to.k-e_n@acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/ruby/lib/"
	old      = "https://aws:older@acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/ruby/lib/"
)

func target(t testing.TB, placement login.Placement) login.Target {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return login.Target{Endpoint: u, Name: "acme-lib", Placement: placement, Token: authtoken.Token{Username: "aws", Password: "to.k-e_n", Value: "to.k-e_n", Type: "Bearer"}}
}

func places(env map[string]string) login.Environment {
	return login.Environment{Home: "/home/ada", Dir: "/src", GOOS: "linux", Getenv: func(name string) string { return env[name] }}
}

// edits returns the edits of the sources, of the keys, and of the keys if
// ~/.gem exists.
func edits(t testing.TB, placement login.Placement) (rc, keys, old login.Edit) {
	t.Helper()
	e, err := gem.Tool().Edits(target(t, placement), places(nil))
	if err != nil || len(e) != 3 {
		t.Fatalf("%+v, %v", e, err)
	}
	return e[0], e[1], e[2]
}

func TestFiles(t *testing.T) {
	e, err := gem.Tool().Edits(target(t, login.Replace), places(map[string]string{"XDG_DATA_HOME": "/data", "XDG_CONFIG_HOME": "/cfg"}))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"/home/ada/.gemrc", "/data/gem/credentials", "/home/ada/.gem/credentials"} {
		if e[i].Path != want || e[i].Mode != 0o600 { // gem refuses keys in a file of any other mode
			t.Errorf("%s, %o; want %s", e[i].Path, e[i].Mode, want)
		}
	}
	if _, own, _ := edits(t, login.Replace); own.Path != "/home/ada/.local/share/gem/credentials" {
		t.Error(own.Path)
	}
}

func TestSources(t *testing.T) {
	for _, c := range []struct {
		name      string
		placement login.Placement
		in, want  string
	}{
		{"no file", login.Replace, "", ":sources:\n  - " + ours + "\n"},
		{"instead", login.Replace, "---\n:sources:\n- https://gems.example/\n- https://other.example/\ngem: --no-document\n", "---\n:sources:\n- " + ours + "\ngem: --no-document\n"},
		{"beside", login.Add, "---\n:sources:\n  - https://gems.example/ # first\ngem: --no-document\n", "---\n:sources:\n  - https://gems.example/ # first\n  - " + ours + "\ngem: --no-document\n"},
		{"another token instead", login.Replace, ":sources:\n- " + old + "\n", ":sources:\n- " + ours + "\n"},
		{"another token beside", login.Add, ":sources:\n- " + old + "\n- https://gems.example/\n", ":sources:\n- https://gems.example/\n- " + ours + "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rc, _, _ := edits(t, c.placement)
			out, err := rc.Apply([]byte(c.in))
			if err != nil || string(out) != c.want {
				t.Fatalf("%s, %v; want %s", out, err, c.want)
			}
			if again, err := rc.Apply(out); err != nil || string(again) != c.want {
				t.Errorf("a second time: %s, %v", again, err)
			}
		})
	}
}

// A list with only the repository would replace gem's default source instead of
// being added to it.
func TestApply_AddToDefaultSources(t *testing.T) {
	rc, _, _ := edits(t, login.Add)
	for _, text := range []string{"", "gem: --no-document\n"} {
		if out, err := rc.Apply([]byte(text)); err == nil || !strings.Contains(err.Error(), "gem sources --add") {
			t.Errorf("%q, %v", out, err)
		}
	}
}

func TestKeys(t *testing.T) {
	_, keys, old := edits(t, login.Replace)
	// gem looks for exactly what --host says.
	const line = "https://acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/ruby/lib: \"Bearer to.k-e_n\"\n" +
		"https://acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/ruby/lib/: \"Bearer to.k-e_n\"\n"
	out, err := keys.Apply(nil)
	if err != nil || string(out) != line {
		t.Errorf("%s, %v", out, err)
	}
	const others = "---\n:rubygems_api_key: rubygems_0123\nhttps://gems.example: xyz\n"
	for _, e := range []login.Edit{keys, old} {
		out, err := e.Apply([]byte(others))
		if err != nil || string(out) != others+line {
			t.Errorf("%s, %v", out, err)
		}
		if back, err := e.Remove(out); err != nil || string(back) != others {
			t.Errorf("back to %s, %v", back, err)
		}
	}
	if out, err := old.Apply(nil); err != nil || out != nil {
		t.Errorf("~/.gem/credentials was made: %q, %v", out, err)
	}
}

// A token with characters that are special in addresses reaches the server
// unchanged.
func TestEscaping(t *testing.T) {
	tg := target(t, login.Replace)
	tg.Token.Password = "a+b/c=="
	e, err := gem.Tool().Edits(tg, places(nil))
	if err != nil {
		t.Fatal(err)
	}
	out, err := e[0].Apply(nil)
	if err != nil || !strings.Contains(string(out), "https://aws:a%2Bb%2Fc%3D%3D@acme-") {
		t.Errorf("%s, %v", out, err)
	}
	if back, err := e[0].Remove(out); err != nil || len(back) != 0 {
		t.Errorf("back to %q, %v", back, err)
	}
}

func TestAddresses(t *testing.T) {
	files := map[string]string{
		"/home/ada/.gemrc":                       ":sources:\n- https://gems.example/\n- " + old + "\n",
		"/home/ada/.local/share/gem/credentials": ":mine: abc\n" + strings.TrimSuffix(endpoint, "/") + ": Bearer x\nhttps://push.example: y\n",
	}
	read := func(path string) ([]byte, error) {
		if text, ok := files[path]; ok {
			return []byte(text), nil
		}
		return nil, fs.ErrNotExist
	}
	want := []string{endpoint, "https://gems.example/", "https://push.example/"}
	if got, err := gem.Tool().Addresses(places(nil), read); err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	files["/home/ada/.gemrc"] = "a: b\n\tc: d\n"
	if _, err := gem.Tool().Addresses(places(nil), read); err == nil || !strings.Contains(err.Error(), "/home/ada/.gemrc: line 2: ") {
		t.Errorf("a broken file: %v", err)
	}
}

func TestNext(t *testing.T) {
	want := "gem install GEM\ngem push --host https://acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/ruby/lib GEM-VERSION.gem"
	if got := gem.Tool().Next(target(t, login.Replace)); got != want {
		t.Error(got)
	}
}

// Login and logout leave a configuration as it was if the repository is added.
// If it replaces other sources, the whole file is restored.
func TestEdits_RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		b.WriteString(rapid.SampledFrom([]string{"", "---\n", "# mine\n"}).Draw(t, "head"))
		other := rapid.SampledFrom([]string{"gem: --no-document\n", ":verbose: true\n", ":ssl_ca_cert: /etc/ca.pem # here\n"})
		b.WriteString(strings.Join(rapid.SliceOfNDistinct(other, 0, 2, rapid.ID).Draw(t, "before"), ""))
		b.WriteString(":sources:\n")
		indent := rapid.SampledFrom([]string{"", "  "}).Draw(t, "indent")
		for _, source := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"https://a.example/", "\"https://b.example/gems/\"", "https://ada:x@c.example/"}), 1, 3, rapid.ID).Draw(t, "sources") {
			b.WriteString(indent + "- " + source + "\n")
		}
		b.WriteString(rapid.SampledFrom([]string{"", ":backtrace: false\n", "# end"}).Draw(t, "tail"))
		text := b.String()
		u, err := url.Parse(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		e, err := gem.Tool().Edits(login.Target{Endpoint: u, Placement: login.Add, Token: authtoken.Token{Username: "aws", Password: "token"}}, places(nil))
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
