package login_test

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
)

// A patch is reverted exactly, whatever the bytes, and reverting it on any
// other text does no harm.
func FuzzPatch(f *testing.F) {
	f.Add([]byte("a\nb\n"), []byte("a\nx\nb\n"), []byte("x\nx\na\n"))
	f.Add([]byte("a"), []byte("a\nb"), []byte("a\r\nb\r\nc"))
	f.Add([]byte(""), []byte("\n\n\n"), []byte("\n"))
	f.Add([]byte("\xff\x00\n"), []byte(""), []byte("\xff"))
	f.Fuzz(func(t *testing.T, base, text, other []byte) {
		revert := login.Patch(base, text)
		if got, missing := revert(text); missing != 0 || !bytes.Equal(got, base) {
			t.Errorf("%q, %d missing", got, missing)
		}
		revert(other)
	})
}

// Lines that others put before and after a text stay where they are.
func TestPatch_MovedLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.Map(rapid.SliceOf(rapid.SampledFrom([]string{"a", "b", "c", ""})), func(lines []string) string {
			return strings.Join(append(lines, ""), "\n")
		})
		base, text := lines.Draw(t, "base"), lines.Draw(t, "text")
		revert := login.Patch([]byte(base), []byte(text))
		if text == "" {
			return // there is nothing to be found by
		}
		got, missing := revert([]byte("before\n" + text + "after\n"))
		if missing != 0 || string(got) != "before\n"+base+"after\n" {
			t.Fatalf("%q, %d missing", got, missing)
		}
	})
}
