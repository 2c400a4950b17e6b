package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/source/upstreamtest"
)

// upstreamFile writes a configuration file.
func upstreamFile(t *testing.T, text string) string {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	path := filepath.Join(t.TempDir(), "gatehouse.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUpstreamList(t *testing.T) {
	path := upstreamFile(t, "upstreams:\n  \"public:npmjs\": {url: https://npm.example}\n  corp: {format: maven, url: https://maven.example/m2}\n")
	if err := os.WriteFile(filepath.Join(os.Getenv("HOME"), ".gemrc"), []byte(":sources: [https://gems.example]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, stderr := execute(t, "upstream", "list", "--config", path)
	if code != 0 || !strings.HasPrefix(out, "NAME ") || strings.Count(out, "\n") != 12 {
		t.Errorf("%d\n%s%s", code, out, stderr)
	}
	for _, want := range []string{
		"corp maven https://maven.example/m2 the configuration file", "public:npmjs npm https://npm.example", "gem: ", `set upstreams."public:pypi".url in the configuration file`,
	} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("the list does not have %s:\n%s", want, out)
		}
	}
	var all []upstreamReport
	if code, out, _ := execute(t, "upstream", "list", "--config", path, "--output", "json"); code != 0 || json.Unmarshal([]byte(out), &all) != nil || len(all) != 11 {
		t.Errorf("%d\n%s", code, out)
	}
}

func TestUpstreamCheck(t *testing.T) {
	s := upstreamtest.New(t)
	s.Put("/cargo/config.json", upstreamtest.File{Body: []byte("{}")})
	path := upstreamFile(t, `upstreams:
  npm: {format: npm, allow_private: true, url: `+s.URL+`/npm}
  cargo: {format: cargo, allow_private: true, url: `+s.URL+`/cargo}
  wrong: {format: cargo, allow_private: true, url: `+s.URL+`/}
  gone: {format: npm, url: `+upstreamtest.Unresolvable+`}
discover_upstreams: false
`)
	for _, c := range []struct {
		name string
		code int
		says string
	}{
		{"npm", 0, "answered 404"},
		{"cargo", 0, "/cargo answered 200"},
		{"wrong", 1, `does not look like a registry of the format cargo: check upstreams."wrong".url`},
		{"gone", 1, "cannot be resolved"},
		{"public:npmjs", 1, `set upstreams."public:npmjs".url`},
		{"nothing", 2, "`gatehouse upstream list` shows them"},
	} {
		code, out, stderr := execute(t, "upstream", "check", c.name, "--config", path)
		if code != c.code || !strings.Contains(out+stderr, c.says) {
			t.Errorf("%s: %d\n%s%s", c.name, code, out, stderr)
		}
		var report upstreamCheckReport
		if code, out, _ := execute(t, "upstream", "check", c.name, "--config", path, "--output", "json"); c.code != 2 {
			if err := json.Unmarshal([]byte(out), &report); err != nil || code != c.code || report.Name != c.name || (report.Problem != "") != (code != 0) {
				t.Errorf("%s: %d, %v\n%s", c.name, code, err, out)
			}
		}
	}
}

func TestUpstreamAdd(t *testing.T) {
	path := upstreamFile(t, "# The server of the team.\nregion: eu-west-1 # near us\n")
	t.Setenv("GATEHOUSE_CONFIG", path)
	for _, args := range [][]string{
		{"public:npmjs", "https://old.example"},
		{"public:npmjs", "https://npm.example"},
		{"corp", "http://10.0.0.1/m2/", "--format", "maven", "--allow-private", "--scheme", "basic", "--user", "ci", "--secret-file", "/etc/gatehouse/corp.password"},
	} {
		if code, out, stderr := execute(t, append([]string{"upstream", "add"}, args...)...); code != 0 || !strings.Contains(out, "gatehouse upstream check "+args[0]) {
			t.Errorf("%v: %d\n%s%s", args, code, out, stderr)
		}
	}
	want := `# The server of the team.
region: eu-west-1 # near us
upstreams:
  public:npmjs:
    url: https://npm.example
  corp:
    format: maven
    url: http://10.0.0.1/m2/
    credential:
      scheme: basic
      user: ci
      file: /etc/gatehouse/corp.password
    allow_private: true
`
	text, err := os.ReadFile(path)
	if err != nil || string(text) != want {
		t.Errorf("%v\n%s", err, text)
	}
	if code, out, stderr := execute(t, "config", "check", path); code != 0 {
		t.Errorf("%d\n%s%s", code, out, stderr)
	}
	// Nothing is written that would keep the server from starting.
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"corp2", "https://a.example"}, "want one of npm"},
		{[]string{"public:else", "https://a.example"}, "is not an external connection"},
		{[]string{"Corp", "https://a.example", "--format", "npm"}, "cannot be a name"},
		{[]string{"corp", "https://u:hunter2@a.example"}, "write them as credential"},
		{[]string{"public:npmjs", "https://a.example", "--ca", "/missing.pem"}, "no such file"},
	} {
		code, out, stderr := execute(t, append([]string{"upstream", "add"}, c.args...)...)
		if code != 2 || !strings.Contains(stderr, c.says) || strings.Contains(out+stderr, "hunter2") {
			t.Errorf("%v: %d\n%s%s", c.args, code, out, stderr)
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != want {
			t.Errorf("%v, %v: the file changed:\n%s", c.args, err, after)
		}
	}
	missing := filepath.Join(t.TempDir(), "new.yaml")
	if code, _, stderr := execute(t, "upstream", "add", "public:npmjs", "https://npm.example", "--config", missing); code != 2 || !strings.Contains(stderr, "create it") {
		t.Errorf("without a file: %d\n%s", code, stderr)
	}
}
