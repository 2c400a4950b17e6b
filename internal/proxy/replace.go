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
type replacing struct {
	source io.Reader
	pairs  []pair
	reach  int // length of the longest old

	in  []byte // read and not yet looked at
	out []byte // to be given out
	err error  // of the source
}

// readSize is how much is read at a time, in bytes.
const readSize = 32 << 10

// newReplacing returns the stream with every old replaced. An old is not empty.
func newReplacing(source io.Reader, pairs []pair) *replacing {
	r := &replacing{source: source, pairs: pairs}
	for _, p := range pairs {
		r.reach = max(r.reach, len(p.old))
	}
	return r
}

// Read implements io.Reader.
func (r *replacing) Read(b []byte) (int, error) {
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
func (r *replacing) fill() {
	start := len(r.in)
	if cap(r.in)-start < readSize {
		grown := make([]byte, start, start+2*readSize)
		copy(grown, r.in)
		r.in = grown
	}
	n, err := r.source.Read(r.in[start : start+readSize])
	r.in, r.err = r.in[:start+n], err
}

// replace moves what is certain from in to out: everything at the end of the
// source, and otherwise whatever is followed by enough to know what begins there.
func (r *replacing) replace() {
	certain := len(r.in)
	if r.err == nil {
		certain = max(0, certain-r.reach+1)
	}
	next := make([]int, len(r.pairs)) // where each is found from at on; -1 for nowhere
	for i, p := range r.pairs {
		next[i] = bytes.Index(r.in, p.old)
	}
	var out []byte
	at := 0
	for {
		found := r.nearest(next, at)
		if found < 0 || next[found] >= certain {
			break
		}
		p := r.pairs[found]
		out = append(append(out, r.in[at:next[found]]...), p.new...)
		at = next[found] + len(p.old)
	}
	if at < certain {
		out = append(out, r.in[at:certain]...)
		at = certain
	}
	r.out = out
	r.in = r.in[at:]
}

// nearest is the pair that is found first from a position on, after looking
// again for those that were found before it; -1 for none.
func (r *replacing) nearest(next []int, from int) int {
	found := -1
	for i, p := range r.pairs {
		if next[i] >= 0 && next[i] < from {
			if next[i] = bytes.Index(r.in[from:], p.old); next[i] >= 0 {
				next[i] += from
			}
		}
		if next[i] >= 0 && (found < 0 || next[i] < next[found]) {
			found = i
		}
	}
	return found
}
