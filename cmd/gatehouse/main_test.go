package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// execute runs the program with a command line.
func execute(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, messages strings.Builder
	code = run(t.Context(), args, strings.NewReader(""), &out, &messages)
	return code, out.String(), messages.String()
}

func TestRun_UsageErrorNamesTheCommand(t *testing.T) {
	for line, want := range map[string]string{
		"token ecr --nope":             "gatehouse: unknown flag --nope; see gatehouse token ecr --help\n",
		"token":                        `gatehouse: expected one of "codeartifact", "ecr", "ecr-public"; see gatehouse token --help` + "\n",
		"whoami --output xml":          `gatehouse: --output must be one of "text","json" but got "xml"; see gatehouse whoami --help` + "\n",
		"credential docker get --nope": "gatehouse: unknown flag --nope; see gatehouse credential docker --help\n",
		"login":                        "gatehouse: name a tool, such as docker or npm; see gatehouse login --help\n",
		"login npm":                    "gatehouse: npm needs --domain and --repository; see gatehouse login --help\n",
		"nope":                         "gatehouse: unexpected argument nope; see gatehouse --help\n",
	} {
		code, stdout, stderr := execute(t, strings.Fields(line)...)
		if code != exitUsage || stdout != "" || stderr != want {
			t.Errorf("%s: %d, %q, %q", line, code, stdout, stderr)
		}
	}
}

func TestRun_Help(t *testing.T) {
	_, want, _ := execute(t, "token", "ecr", "--help")
	if code, got, _ := execute(t, "help", "token", "ecr"); code != 0 || got != want || !strings.Contains(got, "Usage: gatehouse token ecr") {
		t.Errorf("%d: %s", code, got)
	}
	_, want, _ = execute(t, "--help")
	for _, args := range [][]string{{}, {"help"}} {
		if code, got, _ := execute(t, args...); code != 0 || got != want {
			t.Errorf("%q: %d: %s", args, code, got)
		}
	}
	if code, got, _ := execute(t, "help", "--help"); code != 0 || !strings.Contains(got, "Usage: gatehouse help") {
		t.Errorf("%d: %s", code, got)
	}
}

// Everybody begins with an example.
func TestHelp_EveryCommandHasExamples(t *testing.T) {
	model := kong.Must(new(commands), helpVars(), kong.Exit(func(int) {})).Model
	var check func(*kong.Node)
	check = func(node *kong.Node) {
		if node.Type == kong.CommandNode && !node.Hidden && !strings.Contains(node.Detail, "Example") && len(node.Children) == 0 {
			t.Errorf("%s has no example", node.Path())
		}
		for _, child := range node.Children {
			check(child)
		}
	}
	check(model.Node)
}

func TestVersion(t *testing.T) {
	code, text, _ := execute(t, "version")
	if code != 0 || !strings.HasPrefix(text, "gatehouse ") || !strings.Contains(text, "\ncommit: ") || !strings.Contains(text, "\nbuilt:  ") {
		t.Errorf("%d: %s", code, text)
	}
	if code, flag, _ := execute(t, "--version"); code != 0 || flag != text {
		t.Errorf("%d: %s", code, flag)
	}
	_, form, _ := execute(t, "version", "--output", "json")
	var v buildVersion
	if err := json.Unmarshal([]byte(form), &v); err != nil || v != readVersion() {
		t.Errorf("%s: %v", form, err)
	}
}

// Each command that prints JSON does so with --output json. The spellings from
// before still work.
func TestOutput_OneFlagForAll(t *testing.T) {
	model := kong.Must(new(commands), helpVars(), kong.Exit(func(int) {})).Model
	for _, path := range []string{"version", "env", "whoami", "doctor", "token ecr", "token codeartifact", "token ecr-public", "policy explain"} {
		node := model.Node
		for _, name := range strings.Fields(path) {
			node = childOf(node, name)
		}
		flag := valueFlag(node, "--output")
		if flag == nil || !flag.EnumMap()["json"] || valueFlag(node, "-o") != flag {
			t.Errorf("%s has no --output json", path)
		}
	}
	for _, old := range []string{"whoami --format", "doctor --format", "token ecr --format", "policy explain --json"} {
		words := strings.Fields(old)
		node := model.Node
		for _, name := range words[:len(words)-1] {
			node = childOf(node, name)
		}
		found := valueFlag(node, words[len(words)-1]) != nil
		for _, group := range node.AllFlags(false) {
			for _, f := range group {
				found = found || "--"+f.Name == words[len(words)-1]
			}
		}
		if !found {
			t.Errorf("%s is gone", old)
		}
	}
}

// writeProfile makes the part of a server's data folder that `gatehouse env` reads.
func writeProfile(t *testing.T) string {
	t.Helper()
	data := t.TempDir()
	if err := os.Mkdir(filepath.Join(data, "aws"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"config", "credentials"} {
		if err := os.WriteFile(filepath.Join(data, "aws", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return data
}
