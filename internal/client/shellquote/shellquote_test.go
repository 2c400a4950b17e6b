package shellquote_test

import (
	"os/exec"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/client/shellquote"
)

func TestLine_ShellReadsItBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[ -~\n\tä]{0,12}`), 1, 4).Draw(t, "words")
		out, err := exec.Command("sh", "-c", `printf '%s\037' `+shellquote.Line(words...)).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(words, "\x1f") + "\x1f"; string(out) != got {
			t.Fatalf("%q became %q", got, out)
		}
	})
}

func TestLine_PlainWords(t *testing.T) {
	if got := shellquote.Line("aws", "--profile", "work", "it's", "", "$HOME"); got != `aws --profile work 'it'\''s' '' '$HOME'` {
		t.Error(got)
	}
}

// sh (dash on many systems) ends at a line that names a variable in a way that it
// does not accept. Such variables are left out.
func TestShell_POSIX(t *testing.T) {
	s := shellquote.POSIX
	script := "GONE=1 KEPT=2; export GONE KEPT\n" +
		s.Unset("NuGetPackageSourceCredentials_acme-lib", "GONE", "NEVER_SET") + s.Unset("only-this") +
		s.Set("npm_config_//host/:_authToken", "x") + s.Set("SET", "it's $HOME\n\\") +
		`printf '%s|%s|%s' "${GONE-unset}" "$KEPT" "$SET"`
	out, err := exec.Command("sh", "-euc", script).CombinedOutput()
	if want := "unset|2|it's $HOME\n\\"; err != nil || string(out) != want {
		t.Errorf("%q, %v", out, err)
	}
}

func TestShell_Lines(t *testing.T) {
	for shell, want := range map[shellquote.Shell]string{
		shellquote.POSIX:      "export A='it'\\''s'\nunset B C\n",
		shellquote.Fish:       "set -gx A 'it\\'s'\nset -e B C\n",
		shellquote.PowerShell: "${env:A} = 'it''s'\nRemove-Item -ErrorAction SilentlyContinue -LiteralPath 'Env:B', 'Env:C'\n",
	} {
		if got := shell.Set("A", "it's") + shell.Unset("B", "C"); got != want {
			t.Errorf("%s: %q", shell, got)
		}
	}
	if got := shellquote.Fish.Set("A", `a\b'`); got != `set -gx A 'a\\b\''`+"\n" {
		t.Error(got)
	}
	if got := shellquote.PowerShell.Set("A", "a\u2019b"); got != "${env:A} = 'a\u2019\u2019b'\n" {
		t.Error(got)
	}
}
