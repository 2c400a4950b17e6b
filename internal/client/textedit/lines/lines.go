// Package lines splits a text into lines and joins it again with lines added or
// dropped. It keeps the text's byte order mark, its line endings, and whether
// it ends with a newline.
package lines

import (
	"bytes"
	"slices"
	"strings"
)

const byteOrderMark = "\uFEFF"

// A Line is its text and its end: "\n", "\r\n", "\r", or "" for the last line.
type Line struct{ Text, End string }

// A Text is a byte order mark, if there is one, and lines.
type Text struct {
	Mark  string
	Lines []Line
}

// Mark returns the byte order mark at the beginning of a text; nil if there is
// none.
func Mark(text []byte) []byte {
	if !bytes.HasPrefix(text, []byte(byteOrderMark)) {
		return nil
	}
	return text[:len(byteOrderMark):len(byteOrderMark)]
}

// Split splits a text into lines.
func Split(text []byte) *Text {
	t := &Text{Mark: string(Mark(text))}
	for s := string(text[len(t.Mark):]); s != ""; {
		i := strings.IndexAny(s, "\r\n")
		if i < 0 {
			t.Lines = append(t.Lines, Line{Text: s})
			break
		}
		n := 1
		if strings.HasPrefix(s[i:], "\r\n") {
			n = 2
		}
		t.Lines = append(t.Lines, Line{s[:i], s[i : i+n]})
		s = s[i+n:]
	}
	return t
}

// Bytes returns the whole text.
func (t *Text) Bytes() []byte {
	var b bytes.Buffer
	b.WriteString(t.Mark)
	for _, l := range t.Lines {
		b.WriteString(l.Text)
		b.WriteString(l.End)
	}
	return b.Bytes()
}

// Insert adds lines before the line with the index at. They end as the other
// lines do. A text without a newline at its end stays without.
func (t *Text) Insert(at int, texts ...string) {
	if len(texts) == 0 {
		return
	}
	end := t.ending(at)
	added := make([]Line, len(texts))
	for i, text := range texts {
		added[i] = Line{text, end}
	}
	if at > 0 && t.Lines[at-1].End == "" {
		t.Lines[at-1].End = end
		added[len(added)-1].End = ""
	}
	t.Lines = slices.Insert(t.Lines, at, added...)
}

// ending returns the line end just above an index, or else below it.
func (t *Text) ending(at int) string {
	for _, l := range slices.Backward(t.Lines[:at]) {
		if l.End != "" {
			return l.End
		}
	}
	if at < len(t.Lines) && t.Lines[at].End != "" {
		return t.Lines[at].End
	}
	return "\n"
}

// Drop removes the lines whose index is in gone. A text without a newline at
// its end stays without.
func (t *Text) Drop(gone map[int]bool) {
	open := len(t.Lines) > 0 && t.Lines[len(t.Lines)-1].End == ""
	kept := t.Lines[:0]
	for i, l := range t.Lines {
		if !gone[i] {
			kept = append(kept, l)
		}
	}
	t.Lines = kept
	if open && len(kept) > 0 {
		kept[len(kept)-1].End = ""
	}
}
