package proxy_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/client/proxy"
)

// chunks is a reader that gives out its parts one at a time.
type chunks struct{ parts []string }

func (c *chunks) Read(b []byte) (int, error) {
	if len(c.parts) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.parts[0])
	if c.parts[0] = c.parts[0][n:]; c.parts[0] == "" {
		c.parts = c.parts[1:]
	}
	return n, nil
}

// In whatever parts a text arrives, what comes out is what strings.Replacer makes
// of the whole.
func TestReplaceReader_SameAsReplacer(t *testing.T) {
	word := rapid.StringMatching(`[ab/]{1,4}`)
	rapid.Check(t, func(t *rapid.T) {
		var oldnew []string
		for range rapid.IntRange(1, 4).Draw(t, "pairs") {
			oldnew = append(oldnew, word.Draw(t, "old"), rapid.StringMatching(`[abx]{0,6}`).Draw(t, "new"))
		}
		parts := rapid.SliceOf(rapid.StringMatching(`[ab/c]{0,9}`)).Draw(t, "parts")
		want := strings.NewReplacer(oldnew...).Replace(strings.Join(parts, ""))
		got, err := io.ReadAll(proxy.NewReplaceReader(&chunks{parts}, oldnew...))
		if err != nil || string(got) != want {
			t.Fatalf("%q in %q: %q, %v; want %q", oldnew, parts, got, err, want)
		}
	})
}

func FuzzReplacing(f *testing.F) {
	f.Add([]byte("see http://up/ and http://up/x"), []byte("http://up/"), []byte("http://here/"), 3)
	f.Add([]byte("aaaa"), []byte("aa"), []byte(""), 1)
	f.Fuzz(func(t *testing.T, text, from, to []byte, size int) {
		if len(from) == 0 || size < 1 || size > 1<<16 {
			return
		}
		var parts []string
		for rest := text; len(rest) > 0; {
			n := min(size, len(rest))
			parts, rest = append(parts, string(rest[:n])), rest[n:]
		}
		got, err := io.ReadAll(iotest.OneByteReader(proxy.NewReplaceReader(&chunks{parts}, string(from), string(to))))
		if want := bytes.ReplaceAll(text, from, to); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	})
}

// A source that fails loses nothing of what came before.
func TestReplaceReader_BrokenStream(t *testing.T) {
	broken := errors.New("broken")
	source := io.MultiReader(strings.NewReader("one two on"), iotest.ErrReader(broken))
	got, err := io.ReadAll(proxy.NewReplaceReader(source, "one", "1"))
	if string(got) != "1 two on" || !errors.Is(err, broken) {
		t.Errorf("%q, %v", got, err)
	}
}

func BenchmarkReplacing(b *testing.B) {
	text := strings.Repeat(`{"dist":{"tarball":"https://acme-111122223333.d.codeartifact.us-east-1.amazonaws.com/npm/lib/left/-/left-1.0.0.tgz","shasum":"0123456789"}}`, 10_000)
	const from = "https://acme-111122223333.d.codeartifact.us-east-1.amazonaws.com/npm/lib/"
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		r := proxy.NewReplaceReader(strings.NewReader(text), from, "http://127.0.0.1:4284/acme-lib/npm/", strings.ReplaceAll(from, "/", `\/`), "x")
		if _, err := io.Copy(io.Discard, r); err != nil {
			b.Fatal(err)
		}
	}
}
