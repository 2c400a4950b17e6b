package login

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"slices"

	"github.com/aymanbagabas/go-udiff/lcs"
)

// A patch describes how a text came from its base, which is the text without
// our changes, so that it can be reverted.
//
// Of the text itself it holds only a hash of each line, since login may have
// written a token there in any encoding. Of the base it holds the lines that
// were replaced, since they exist nowhere else.
type patch struct {
	// Lines are the hashes of the text's lines.
	Lines []string `json:"lines"`
	// Hunks are where text and base differ, in the text's order.
	Hunks []hunk `json:"hunks,omitempty"`
}

// A hunk says that the text's lines From to To, counted from 0 and without To,
// replaced Before.
type hunk struct {
	From   int    `json:"from"`
	To     int    `json:"to"`
	Before []byte `json:"before,omitempty"`
}

// newPatch compares line by line.
func newPatch(base, text []byte) patch {
	from, to := splitLines(base), splitLines(text)
	p := patch{Lines: hashes(text)}
	for _, d := range pairReplaced(lcs.DiffLines(from, to), from, to) {
		var before []byte
		for _, line := range from[d.Start:d.End] {
			before = append(before, line...)
		}
		p.Hunks = append(p.Hunks, hunk{From: d.ReplStart, To: d.ReplEnd, Before: before})
	}
	return p
}

// pairReplaced joins a line that was taken out with the line that took its place. If the
// text has the new line twice, because the base had it below the old one, the shortest
// difference may be that the first was there and the second was added. But then a line
// that others insert above the new one would be mistaken for one below the old one.
func pairReplaced(diffs []lcs.Diff, from, to []string) []lcs.Diff {
	for i := range max(0, len(diffs)-1) {
		// The lines between two differences are the same in both texts.
		a, b := &diffs[i], &diffs[i+1]
		between := from[a.End:b.Start]
		switch {
		case onlyTakesOut(*a) && canGive(*b) && slices.Equal(between, to[a.ReplEnd+1:b.ReplStart+1]):
			a.ReplEnd++
			b.ReplStart++
		case onlyTakesOut(*b) && canGive(*a) && slices.Equal(between, to[a.ReplEnd-1:b.ReplStart-1]):
			a.ReplEnd--
			b.ReplStart--
		}
	}
	return slices.DeleteFunc(diffs, func(d lcs.Diff) bool { return d.Start == d.End && d.ReplStart == d.ReplEnd })
}

func onlyTakesOut(d lcs.Diff) bool { return d.Start < d.End && d.ReplStart == d.ReplEnd }

// canGive reports whether a difference adds a line more than it needs, so that without it
// the difference does not only take out lines.
func canGive(d lcs.Diff) bool {
	added := d.ReplEnd - d.ReplStart
	return added > 1 || added == 1 && d.Start == d.End
}

// revert takes the hunks out of a text that others may have changed since, and
// puts back what they replaced. A hunk is found by its lines, wherever they
// have moved. missing are the hunks that are not there as they were written.
func (p patch) revert(text []byte) (base []byte, missing []hunk) {
	lines := splitLines(text)
	where := align(p.Lines, hashes(text))
	var out []byte
	put := func(lines ...string) {
		for _, line := range lines {
			out = append(endLine(out, line), line...)
		}
	}
	next := 0
	for _, h := range p.Hunks {
		from, to, ok := h.find(where)
		if !ok || from < next {
			missing = append(missing, h)
			continue
		}
		put(lines[next:from]...)
		put(splitLines(h.Before)...)
		next = to
	}
	put(lines[next:]...)
	return out, missing
}

// find returns the lines of another text that are the hunk's. where gives the
// position there of each line of the patch's own text.
func (h hunk) find(where []int) (from, to int, ok bool) {
	if h.From < h.To {
		for i := h.From; i < h.To; i++ {
			if where[i] < 0 || i > h.From && where[i] != where[i-1]+1 {
				return 0, 0, false
			}
		}
		return where[h.From], where[h.To-1] + 1, true
	}
	// Lines were only taken out: they stood between two others.
	switch {
	case h.From > 0 && where[h.From-1] >= 0:
		from = where[h.From-1] + 1
	case h.From < len(where) && where[h.From] >= 0:
		from = where[h.From]
	case len(where) > 0:
		return 0, 0, false
	}
	return from, from, true
}

// distance counts the lines by which a text differs from the patch's.
func (p patch) distance(text []byte) int {
	n := 0
	for _, d := range lcs.DiffLines(p.Lines, hashes(text)) {
		n += d.End - d.Start + d.ReplEnd - d.ReplStart
	}
	return n
}

// describes reports whether the patch belongs to exactly this text.
func (p patch) describes(text []byte) bool { return slices.Equal(p.Lines, hashes(text)) }

// align returns for each line its index in the other text; -1 if it is not
// there.
func align(from, to []string) []int {
	where := make([]int, len(from))
	i, shift := 0, 0
	for _, d := range lcs.DiffLines(from, to) {
		for ; i < d.Start; i++ {
			where[i] = i + shift
		}
		for ; i < d.End; i++ {
			where[i] = -1
		}
		shift = d.ReplEnd - d.End
	}
	for ; i < len(from); i++ {
		where[i] = i + shift
	}
	return where
}

// endLine ends the last line of a text before another line is added: it may
// have been the last of its file, which needs no line end.
func endLine(text []byte, next string) []byte {
	if len(text) == 0 || len(next) == 0 || text[len(text)-1] == '\n' {
		return text
	}
	if bytes.Contains(text, []byte("\r\n")) {
		text = append(text, '\r')
	}
	return append(text, '\n')
}

// splitLines splits a text after each line feed.
func splitLines(text []byte) []string {
	var lines []string
	for line := range bytes.Lines(text) {
		lines = append(lines, string(line))
	}
	return lines
}

// hashes returns a hash of each line of a text. With 96 bits, collisions do not
// happen by chance.
func hashes(text []byte) []string {
	sums := []string{}
	for line := range bytes.Lines(text) {
		sum := sha256.Sum256(line)
		sums = append(sums, base64.RawURLEncoding.EncodeToString(sum[:12]))
	}
	return sums
}
