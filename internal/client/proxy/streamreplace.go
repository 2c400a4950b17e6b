package proxy

import (
	"bytes"
	"io"
)

// A pair says what is replaced by what.
type pair struct{ old, new []byte }

// A replaceReader replaces text in a stream as strings.NewReplacer does in a
// string: from the front, without overlaps, and by the first pair that matches. It
// holds back no more than the length of the longest old text.
type replaceReader struct {
	source io.Reader
	pairs  []pair
	maxOld int // length of the longest old text

	in   []byte // read, not yet searched
	out  []byte // ready to be returned
	next []int  // position of each pair's next match
	err  error  // of the source

	inBuffer, outBuffer []byte
}

// readSize is how much is read at a time, in bytes.
const readSize = 32 << 10

// newReplaceReader returns the stream with every old text replaced. An old text
// must not be empty.
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
	remaining := copy(r.inBuffer, r.in) // from a later place in the same buffer, or from another one
	n, err := r.source.Read(r.inBuffer[remaining : remaining+readSize])
	r.in, r.err = r.inBuffer[:remaining+n], err
}

// replace moves from in to out what cannot be part of a later match: at the end of
// the source everything, and otherwise all but the last maxOld-1 bytes.
func (r *replaceReader) replace() {
	certain := len(r.in)
	if r.err == nil {
		certain = max(0, certain-r.maxOld+1)
	}
	r.next = r.next[:0]
	for _, p := range r.pairs {
		r.next = append(r.next, bytes.Index(r.in, p.old)) // -1 if there is none
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

// nearest is the pair with the first match from a position on; -1 if there is none.
// Matches before the position are searched for again.
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
