package swift_test

import (
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/swift"
)

const (
	address  = "https://acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/swift/lib/"
	settings = "/home/ada/.swiftpm/configuration/registries.json"
)

var places = login.Environment{Home: "/home/ada", Dir: "/src/app", GOOS: "linux", Getenv: func(string) string { return "" }}

func target(scopes ...string) login.Target {
	u, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	return login.Target{Endpoint: u, Name: "acme-lib", Domain: "acme", Repository: "lib", Token: authtoken.Token{Username: "aws", Password: "secret"}, Scopes: scopes}
}

func edits(t *testing.T, target login.Target) (registries, netrc login.Edit) {
	t.Helper()
	e, err := swift.Tool().Edits(target, places)
	if err != nil || len(e) != 2 || e[0].Path != settings || e[0].Mode != 0o644 || e[1].Path != "/home/ada/.netrc" || e[1].Mode != 0o600 {
		t.Fatalf("%v, %v", e, err)
	}
	return e[0], e[1]
}

func apply(t *testing.T, e login.Edit, text string) string {
	t.Helper()
	out, err := e.Apply([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// What `swift package-registry set` and `login` write.
func TestApply_NewFiles(t *testing.T) {
	registries, netrc := edits(t, target())
	got := apply(t, registries, "")
	want := `{
	"registries": {
		"[default]": {
			"supportsAvailability": false,
			"url": "` + address + `"
		}
	},
	"authentication": {
		"acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com": {
			"loginAPIPath": "/swift/lib/login",
			"type": "token"
		}
	},
	"version": 1
}
`
	if got != want {
		t.Errorf("got\n%s", got)
	}
	if gone, err := registries.Remove([]byte(got)); err != nil || gone != nil {
		t.Errorf("%v\n%s", err, gone)
	}
	if got := apply(t, netrc, ""); got != "machine acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com login token password secret\n" {
		t.Error(got)
	}
}

func TestScopes(t *testing.T) {
	registries, _ := edits(t, target("@acme", "tools"))
	const before = `{"registries":{"[default]":{"url":"https://a.example/"},"tools":{"url":"https://b.example/","supportsAvailability":true}},"version":1}`
	got := apply(t, registries, before)
	for _, want := range []string{`"[default]":{"url":"https://a.example/"}`, `"acme":{`, `"tools":{"url":"` + address + `","supportsAvailability":false}`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
	beside := target()
	beside.Placement = login.Add
	if _, err := swift.Tool().Edits(beside, places); err == nil || !strings.Contains(err.Error(), "--scope") {
		t.Error(err)
	}
}

func TestAddresses(t *testing.T) {
	files := map[string]string{
		settings: `{"registries":{"[default]":{"url":"https://a.example/"},"x":{"url":"https://b.example/"}},"version":1}`,
		"/src/app/.swiftpm/configuration/registries.json": `{"registries":{"y":{"url":"https://b.example/"},"z":{}}}`,
	}
	read := func(path string) ([]byte, error) {
		if text, ok := files[path]; ok {
			return []byte(text), nil
		}
		return nil, fs.ErrNotExist
	}
	if got, err := swift.Tool().Addresses(places, read); err != nil || !slices.Equal(got, []string{"https://a.example/", "https://b.example/"}) {
		t.Errorf("%q, %v", got, err)
	}
	clear(files)
	if got, err := swift.Tool().Addresses(places, read); err != nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
	files[settings] = "{\n["
	if _, err := swift.Tool().Addresses(places, read); err == nil || !strings.HasPrefix(err.Error(), settings+": line 2") {
		t.Error(err)
	}
}

// What others have in the files stays.
func TestEdits_RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := []string{
			rapid.SampledFrom([]string{
				`{"version":1,"registries":{"x":{"url":"https://b.example/"}},"authentication":{"b.example":{"type":"basic"}}}`,
				"{\n\t\"version\" : 1,\n\t\"registries\" : {\n\t\t\"x\" : {\"url\" : \"https://b.example/\"}\n\t},\r\n\t\"security\" : {}\n}",
			}).Draw(t, "registries"),
			rapid.SampledFrom([]string{"", "# mine\nmachine b.example login a password b\n"}).Draw(t, "netrc"),
		}
		e, err := swift.Tool().Edits(target(rapid.SampledFrom([]string{"acme", "@acme"}).Draw(t, "scope")), places)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range e {
			once, err := e.Apply([]byte(before[i]))
			if err != nil {
				t.Fatal(err)
			}
			if twice, err := e.Apply(once); err != nil || string(twice) != string(once) {
				t.Fatalf("%v\n%s", err, twice)
			}
			if after, err := e.Remove(once); err != nil || string(after) != before[i] {
				t.Fatalf("%v\n%s\n%s", err, once, after)
			}
		}
	})
}
