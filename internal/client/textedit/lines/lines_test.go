package lines_test

import (
	"bytes"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/lines"
)

func FuzzSplit(f *testing.F) {
	for _, s := range []string{"", "a", "a\n", "\uFEFFa\r\nb\rc", "\n\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if got := lines.Split(text).Bytes(); !bytes.Equal(got, text) {
			t.Fatalf("%q became %q", text, got)
		}
	})
}

// Lines that are added and dropped again leave no trace: neither a newline at
// the end nor the lack of one.
func TestInsertAndDrop(t *testing.T) {
	for before, want := range map[string]string{
		"a\nb": "a\nb\nx", "a\r\nb\r\n": "a\r\nb\r\nx\r\n", "a": "a\nx", "a\r": "a\rx\r", "\uFEFFa\n": "\uFEFFa\nx\n",
	} {
		text := lines.Split([]byte(before))
		n := len(text.Lines)
		text.Insert(n, "x")
		if got := string(text.Bytes()); got != want {
			t.Errorf("%q became %q", before, got)
		}
		text.Drop(map[int]bool{n: true})
		if got := string(text.Bytes()); got != before {
			t.Errorf("%q is %q after all", before, got)
		}
	}
	text := lines.Split([]byte("b\r\n"))
	text.Insert(0, "a")
	if got := string(text.Bytes()); got != "a\r\nb\r\n" {
		t.Errorf("%q", got)
	}
}
