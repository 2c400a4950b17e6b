package proxy

import (
	"bytes"
	"io"
)

// A pair is what is replaced by what.
type pair struct{ old, new []byte }

// replacing replaces text in a stream, as strings.NewReplacer does in a string:
// from the front, without overlaps, the first pair that fits winning. It looks
// behind no further than the longest of what it looks for.
type replaceReader struct {
	source io.Reader
	pairs  []pair
	maxOld int // length of the longest old

	in   []byte // read and not yet looked at
	out  []byte // to be given out
	next []int  // where each pair is found
	err  error  // of the source

	inBuffer, outBuffer []byte
}

// readSize is how much is read at a time, in bytes.
const readSize = 32 << 10

// newReplacing returns the stream with every old replaced. An old is not empty.
func newReplaceReader(source io.Reader, pairs []pair) *replaceReader {
	r := &replaceReader{source: source, pairs: pairs}
	for _, p := range pairs {
		r.maxOld = max(r.maxOld, len(p.old))
	}
	return r
}

// Read implements io.Reader.
func (r *replaceReader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for len(r.out) == 0 {
		if r.err != nil && len(r.in) == 0 {
			return 0, r.err
		}
		if r.err == nil {
			r.fill()
		}
		r.replace()
	}
	n := copy(b, r.out)
	r.out = r.out[n:]
	return n, nil
}

// fill reads once.
func (r *replaceReader) fill() {
	if need := len(r.in) + readSize; len(r.inBuffer) < need {
		r.inBuffer = make([]byte, need+r.maxOld)
	}
	remaining := copy(r.inBuffer, r.in) // from further behind in the same buffer, or another
	n, err := r.source.Read(r.inBuffer[remaining : remaining+readSize])
	r.in, r.err = r.inBuffer[:remaining+n], err
}

// replace moves what is certain from in to out: everything at the end of the
// source, and otherwise whatever is followed by enough to know what begins there.
func (r *replaceReader) replace() {
	certain := len(r.in)
	if r.err == nil {
		certain = max(0, certain-r.maxOld+1)
	}
	r.next = r.next[:0]
	for _, p := range r.pairs {
		r.next = append(r.next, bytes.Index(r.in, p.old)) // -1 for nowhere
	}
	out := r.outBuffer[:0]
	at := 0
	for {
		found := r.nearest(at)
		if found < 0 || r.next[found] >= certain {
			break
		}
		p := r.pairs[found]
		out = append(append(out, r.in[at:r.next[found]]...), p.new...)
		at = r.next[found] + len(p.old)
	}
	if at < certain {
		out = append(out, r.in[at:certain]...)
		at = certain
	}
	r.out, r.outBuffer = out, out
	r.in = r.in[at:]
}

// nearest is the pair that is found first from a position on, after looking
// again for those that were found before it; -1 for none.
func (r *replaceReader) nearest(from int) int {
	found := -1
	for i, p := range r.pairs {
		if r.next[i] >= 0 && r.next[i] < from {
			if r.next[i] = bytes.Index(r.in[from:], p.old); r.next[i] >= 0 {
				r.next[i] += from
			}
		}
		if r.next[i] >= 0 && (found < 0 || r.next[i] < r.next[found]) {
			found = i
		}
	}
	return found
}
