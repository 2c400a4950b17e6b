package token

import (
	"bytes"
	"io"
)

// minRedacted is how many characters of a token give it away: fewer cannot be
// one, and are a word of somebody's.
const minRedacted = 32

// Redact returns p with "[token]" in the place of every token, also of those that
// are cut off, and of Basic credentials that hold one. Where there is none it is
// p itself. Nobody writes tokens down on purpose: they come in addresses and
// names that clients make of them by mistake.
func Redact(p []byte) []byte {
	var out []byte
	done := 0
	for at := 0; at < len(p); at++ {
		end := at
		for end < len(p) && isTokenByte[p[end]] {
			end++
		}
		if end-at >= minRedacted {
			if i := tokenIn(p[at:end]); end-at-i >= minRedacted {
				out = append(append(out, p[done:at+i]...), "[token]"...)
				done = end
			}
		}
		at = end
	}
	if out == nil {
		return p
	}
	return append(out, p[done:]...)
}

// tokenIn returns where the first token begins in a word, and the word's length
// where there is none. A token begins with ghct_, ghet_ or ghst_. In base64,
// "AWS:gh" and "aws:gh" are QVdTOmdo and YXdzOmdo.
func tokenIn(word []byte) int {
	first := len(word)
	for at := 0; ; at += len("t_") {
		i := bytes.Index(word[at:], []byte("t_"))
		if i < 0 {
			break
		}
		if at += i; at >= 3 && word[at-3] == 'g' && word[at-2] == 'h' && bytes.IndexByte([]byte("ces"), word[at-1]) >= 0 {
			first = at - 3
			break
		}
	}
	for at := 0; ; at += len("Omdo") {
		i := bytes.Index(word[at:], []byte("Omdo"))
		if i < 0 {
			break
		}
		if at += i; at >= 4 && (string(word[at-4:at]) == "QVdT" || string(word[at-4:at]) == "YXdz") {
			first = min(first, at-4)
			break
		}
	}
	return first
}

// isTokenByte are the letters, digits and signs of both kinds of base64 but the
// slash, which parts a path and is in no token.
var isTokenByte = func() (is [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+=") {
		is[c] = true
	}
	return is
}()

// Redacting returns a writer that passes on to w what is written, without its
// tokens. One that is split between two writes is not found.
func Redacting(w io.Writer) io.Writer { return redacting{w} }

type redacting struct{ w io.Writer }

func (r redacting) Write(p []byte) (int, error) {
	if _, err := r.w.Write(Redact(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}
