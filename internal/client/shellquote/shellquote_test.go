package shellquote_test

import (
	"os/exec"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/client/shellquote"
)

// A shell reads back what was quoted, whatever it is.
func TestAShellReadsItBack(t *testing.T) {
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

func TestPlainWordsStayPlain(t *testing.T) {
	if got := shellquote.Line("aws", "--profile", "work", "it's", "", "$HOME"); got != `aws --profile work 'it'\''s' '' '$HOME'` {
		t.Error(got)
	}
}
