// Package redact removes secrets from text before people or logs get to see it.
//
// [Tokens] and [Writer] know the forms of registry tokens and need no context:
// they are for log lines and messages, of which every one passes through them.
// [Config] is for configuration files of package clients: it also hides whatever
// stands in a place where these files have passwords.
//
// The package imports nothing of this module, and knows neither the server nor
// the client side.
package redact

import (
	"bytes"
	"io"
)

// tokenMark replaces a token in a log line or message.
const tokenMark = "[token]"

// minToken is the length of the shortest piece of a token that is hidden. Fewer
// characters cannot be used as a token, and could be an ordinary word.
const minToken = 25

// Tokens returns p with "[token]" in place of every token, also if a token is cut
// off. If there is none, it returns p itself. Tokens are never logged on purpose:
// they come in addresses and names that clients build by mistake.
//
// These forms are recognised:
//
//   - Gatehouse's own tokens, which begin with ghct_, ghet_ or ghst_;
//   - the Basic credentials of a registry, base64 of user name and token, with
//     the user AWS or, for Gatehouse's tokens, aws;
//   - what is signed or encrypted in the compact form of RFC 7515 and RFC 7516:
//     the tokens of AWS CodeArtifact and of identity providers.
func Tokens(p []byte) []byte {
	if !mayContainToken(p) {
		return p
	}
	var out []byte
	done := 0
	for {
		start, end, ok := next(p, done)
		if !ok {
			break
		}
		out = append(append(out, p[done:start]...), tokenMark...)
		done = end
	}
	if done == 0 {
		return p
	}
	return append(out, p[done:]...)
}

// FindTokens returns the tokens in a text, in their order. They share its memory.
func FindTokens(p []byte) [][]byte {
	var found [][]byte
	for start, end, ok := next(p, 0); ok; start, end, ok = next(p, end) {
		found = append(found, p[start:end])
	}
	return found
}

// Writer returns a writer that passes on to w what is written, without its
// tokens. It does not find a token that is split between two writes.
func Writer(w io.Writer) io.Writer { return writer{w} }

type writer struct{ w io.Writer }

func (r writer) Write(p []byte) (int, error) {
	if _, err := r.w.Write(Tokens(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// mayContainToken reports whether p contains what every token contains. It is fast,
// since nearly no line has a token.
func mayContainToken(p []byte) bool {
	for _, m := range marks {
		for at := m.rare; at < len(p); at++ {
			i := bytes.IndexByte(p[at:], m.text[m.rare])
			if i < 0 {
				break
			}
			if at += i; bytes.HasPrefix(p[at-m.rare:], m.text) {
				return true
			}
		}
	}
	return false
}

// marks are what [tokenIn] and [compact] look for, each with the place of the byte
// that is least common in log lines.
var marks = []struct {
	text []byte
	rare int
}{{[]byte("t_"), 1}, {[]byte("QVdTO"), 0}, {[]byte("YXdzOmdo"), 1}, {[]byte("eyJ"), 2}}

// next finds the first token at or after an offset.
func next(p []byte, from int) (start, end int, ok bool) {
	for from < len(p) {
		end := from
		for end < len(p) && isTokenByte[p[end]] {
			end++
		}
		if end-from >= minToken {
			if start := from + tokenIn(p[from:end]); end-start >= minToken {
				return start, end, true
			}
		}
		if start, end, ok := compact(p, from, end); ok {
			return start, end, true
		}
		from = end + 1
	}
	return 0, 0, false
}

// tokenIn returns where the first of Gatehouse's tokens or the first Basic
// credentials begin in a word, and the word's length if there are none. In
// base64, "AWS:" is QVdTO and "aws:gh" is YXdzOmdo; the character after O has two
// bits of the colon.
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
	for _, prefix := range [...]string{"QVdTO", "YXdzOmdo"} {
		if i := bytes.Index(word[:first], []byte(prefix)); i >= 0 {
			first = i
		}
	}
	return first
}

// compact finds a token in the compact form whose first part ends the word from
// up to end: three or more parts with dots between them, of which the first is a
// JSON object in base64, so that it begins with eyJ.
func compact(p []byte, from, end int) (int, int, bool) {
	if end >= len(p) || p[end] != '.' {
		return 0, 0, false
	}
	i := bytes.Index(p[from:end], []byte("eyJ"))
	if i < 0 {
		return 0, 0, false
	}
	dots := 0
	for ; end < len(p) && (p[end] == '.' || isTokenByte[p[end]]); end++ {
		if p[end] == '.' {
			dots++
		}
	}
	return from + i, end, dots >= 2 && end-from-i >= minToken
}

// isTokenByte has the letters, digits and signs of both kinds of base64 except
// the slash, which separates the parts of a path and is in no token.
var isTokenByte = func() (is [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+=") {
		is[c] = true
	}
	return is
}()
