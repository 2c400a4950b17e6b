package pip_test

import (
	"io/fs"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/login"
	"github.com/gatehouse-registry/gatehouse/internal/login/pip"
)

const (
	repository = "https://acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/pypi/lib/"
	index      = "https://aws@acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/pypi/lib/simple/"
)

func target(t *testing.T, address string, placement login.Placement) login.Target {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return login.Target{Endpoint: u, Name: "acme-lib", Placement: placement}
}

func places(env map[string]string) login.Places {
	return login.Places{Home: "/home/p", Dir: "/work", GOOS: "linux", Getenv: func(name string) string { return env[name] }}
}

func edit(t *testing.T, to login.Target) login.Edit {
	t.Helper()
	edits, err := pip.Tool().Edits(to, places(nil))
	if err != nil || len(edits) != 1 {
		t.Fatalf("%d edits, %v", len(edits), err)
	}
	return edits[0]
}

func TestLogin(t *testing.T) {
	for name, c := range map[string]struct {
		address       string
		placement     login.Placement
		before, after string
	}{
		"without a file": {repository, login.Instead, "", "[global]\nindex-url = " + index + "\nkeyring-provider = subprocess\n"},
		"in place of another": {
			repository, login.Instead,
			"# mine\n[global]\nindex_url: https://registry.example/simple/\ntimeout = 5\n",
			"# mine\n[global]\nindex_url: " + index + "\ntimeout = 5\nkeyring-provider = subprocess\n",
		},
		"beside another": {
			repository, login.Beside,
			"[global]\nindex-url = https://registry.example/simple/\n",
			"[global]\nindex-url = https://registry.example/simple/\nextra-index-url = " + index + "\nkeyring-provider = subprocess\n",
		},
		"beside several": {
			repository, login.Beside,
			"[global]\nextra-index-url =\n    https://a.example/\n    https://b.example/\nkeyring-provider = import\n",
			"[global]\nextra-index-url =\n    https://a.example/\n    https://b.example/\n    " + index + "\nkeyring-provider = subprocess\n",
		},
		"without TLS": {
			"http://gate.example:4283/codeartifact/eu-west-1/111122223333/acme/pypi/lib/", login.Instead, "",
			"[global]\nindex-url = http://aws@gate.example:4283/codeartifact/eu-west-1/111122223333/acme/pypi/lib/simple/\ntrusted-host = gate.example:4283\nkeyring-provider = subprocess\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := edit(t, target(t, c.address, c.placement))
			got, err := e.Apply([]byte(c.before))
			if err != nil || string(got) != c.after {
				t.Fatalf("got:\n%s%v\nwant:\n%s", got, err, c.after)
			}
			again, err := e.Apply(got)
			if err != nil || string(again) != c.after {
				t.Fatalf("again:\n%s%v", again, err)
			}
			left, err := e.Remove(got)
			if err != nil || strings.Contains(string(left), "aws@") || strings.Contains(string(left), "subprocess") || strings.Contains(string(left), "trusted") {
				t.Fatalf("left:\n%s%v", left, err)
			}
			for line := range strings.Lines(c.before) {
				if !strings.Contains(line, "registry.example") && !strings.Contains(line, "import") && !strings.Contains(string(left), line) {
					t.Errorf("%q is gone:\n%s", line, left)
				}
			}
		})
	}
}

func TestRemoveKeepsWhatAnotherLoginNeeds(t *testing.T) {
	other := strings.Replace(index, "/lib/", "/other/", 1)
	text := "[global]\nindex-url = " + other + "\nextra-index-url = " + index + "\nkeyring-provider = subprocess\n"
	got, err := edit(t, target(t, repository, login.Beside)).Remove([]byte(text))
	if want := "[global]\nindex-url = " + other + "\nkeyring-provider = subprocess\n"; err != nil || string(got) != want {
		t.Errorf("got:\n%s%v", got, err)
	}
}

func TestFile(t *testing.T) {
	for want, p := range map[string]login.Places{
		"/home/p/.config/pip/pip.conf":                   places(nil),
		"/xdg/pip/pip.conf":                              places(map[string]string{"XDG_CONFIG_HOME": "/xdg"}),
		"/etc/my.conf":                                   places(map[string]string{"PIP_CONFIG_FILE": "/etc/my.conf"}),
		"/work/my.conf":                                  places(map[string]string{"PIP_CONFIG_FILE": "my.conf"}),
		"/home/p/AppData/Roaming/pip/pip.ini":            {Home: "/home/p", GOOS: "windows", Getenv: func(string) string { return "" }},
		filepath.Join("/nobody", ".config/pip/pip.conf"): {Home: "/nobody", GOOS: "darwin", Getenv: func(string) string { return "" }},
	} {
		edits, err := pip.Tool().Edits(target(t, repository, login.Instead), p)
		if err != nil || edits[0].Path != want {
			t.Errorf("%v, %v; want %s", edits, err, want)
		}
	}
	if _, err := pip.Tool().Edits(target(t, repository, login.Instead), places(map[string]string{"PIP_CONFIG_FILE": "/dev/null"})); err == nil {
		t.Error("a configuration that is turned off was changed")
	}
}

func TestAddresses(t *testing.T) {
	files := map[string]string{
		"/home/p/.config/pip/pip.conf": "[global]\nindex-url = " + index + "\n[install]\nextra-index-url = https://me:secret@a.example/simple\n  relative/path\n",
		"/home/p/.pip/pip.conf":        "[global]\nindex-url = https://old.example/\n",
	}
	read := func(path string) ([]byte, error) {
		if text, ok := files[path]; ok {
			return []byte(text), nil
		}
		return nil, fs.ErrNotExist
	}
	got, err := pip.Tool().Addresses(places(map[string]string{"PIP_INDEX_URL": "https://env.example/"}), read)
	want := []string{index, "https://env.example/", "https://me@a.example/simple", "https://old.example/"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	files["/home/p/.pip/pip.conf"] = "index-url\n"
	if _, err := pip.Tool().Addresses(places(nil), read); err == nil || !strings.Contains(err.Error(), "/home/p/.pip/pip.conf: line 1") {
		t.Errorf("%v", err)
	}
}
