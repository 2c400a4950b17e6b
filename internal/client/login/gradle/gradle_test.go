package gradle_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/gradle"
)

func places(home string) login.Environment {
	return login.Environment{
		Home: "/home/ada", Dir: "/src/app", GOOS: "linux", Program: `/opt/ada's/gate\house`,
		Getenv: func(name string) string { return map[string]string{"GRADLE_USER_HOME": home}[name] },
	}
}

func edit(t *testing.T, target login.Target, p login.Environment) login.Edit {
	t.Helper()
	edits, err := gradle.Tool().Edits(target, p)
	if err != nil || len(edits) != 1 {
		t.Fatalf("%v, %v", edits, err)
	}
	return edits[0]
}

func target(name string) login.Target {
	return login.Target{
		Endpoint: &url.URL{Scheme: "https", Host: "gate.example", Path: "/maven/" + name + "/"}, Name: "acme-" + name,
		Domain: "acme", Owner: "111122223333", Repository: name, Region: "eu-west-1",
		AWS: credential.AWS{Profile: "work $HOME", EndpointURL: "https://gate.example"}, Duration: 15 * time.Minute,
	}
}

func TestPath(t *testing.T) {
	for home, want := range map[string]string{
		"":        "/home/ada/.gradle/init.d/gatehouse.gradle",
		"/g":      "/g/init.d/gatehouse.gradle",
		"gradle/": "/src/app/gradle/init.d/gatehouse.gradle",
	} {
		if got := edit(t, target("lib"), places(home)).Path; got != want {
			t.Errorf("%q: %s", home, got)
		}
	}
}

// A login is one line, with all arguments for this program, in Groovy's quotes.
func TestLine(t *testing.T) {
	got, err := edit(t, target("lib-x"), places("")).Apply(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := `    [name: 'acmeLibX', url: 'https://gate.example/maven/lib-x/', instead: true, command: ['/opt/ada\'s/gate\\house', ` +
		`'token', 'codeartifact', '--domain', 'acme', '--domain-owner', '111122223333', '--region', 'eu-west-1', '--profile', 'work $HOME', '--endpoint-url', 'https://gate.example', '--duration', '900']],` + "\n"
	if !strings.Contains(string(got), "def logins = [\n"+want+"]\n") {
		t.Errorf("%s", got)
	}
}

// One script has all logins, and is removed with the last one.
func TestEdits_SeveralLogins(t *testing.T) {
	var text []byte
	apply := func(target login.Target) string {
		t.Helper()
		out, err := edit(t, target, places("")).Apply(text)
		if err != nil {
			t.Fatal(err)
		}
		text = out
		return string(out)
	}
	first := apply(target("lib"))
	beside := target("other")
	beside.Placement = login.Add
	apply(beside)
	again := target("lib")
	again.Placement = login.Add
	if got := apply(again); strings.Count(got, "[name: ") != 2 || strings.Contains(got, "instead: true") {
		t.Error(got)
	}
	tool := gradle.Tool()
	read := func(string) ([]byte, error) { return text, nil }
	if got, err := tool.Addresses(places(""), read); err != nil || strings.Join(got, " ") != "https://gate.example/maven/lib/ https://gate.example/maven/other/" {
		t.Errorf("%q, %v", got, err)
	}
	rest, err := edit(t, beside, places("")).Remove(text)
	if err != nil || strings.Replace(first, "instead: true", "instead: false", 1) != string(rest) {
		t.Errorf("%v\n%s", err, rest)
	}
	if gone, err := edit(t, again, places("")).Remove(rest); err != nil || gone != nil {
		t.Errorf("%v\n%s", err, gone)
	}
}

// Another program's script under this name is not changed.
func TestEdits_ForeignFile(t *testing.T) {
	const text = "println 'mine'\n"
	e := edit(t, target("lib"), places(""))
	if _, err := e.Apply([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), "line 1: ") {
		t.Error(err)
	}
	if got, err := e.Remove([]byte(text)); err != nil || string(got) != text {
		t.Errorf("%v\n%s", err, got)
	}
}
