package grouppattern

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Fold returns what texts have in common that people take for the same: it ignores case,
// takes a run of -, . and _ for one separator, and takes characters that look like an
// ASCII letter or digit for it. If a text begins with another one, then so do their
// folded forms, if they are cut between two separators or at none.
func Fold(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	separated := false
	for _, r := range text {
		if r == '-' || r == '.' || r == '_' {
			if !separated {
				b.WriteByte('.')
			}
			separated = true
			continue
		}
		separated = false
		for _, r := range compatible(r) {
			b.WriteRune(foldRune(r))
		}
	}
	return b.String()
}

// compatible returns what full-width letters, mathematical letters, ligatures and the
// like stand for. What ends a word stays as it is, so that words end in the same places.
func compatible(r rune) string {
	text := string(r)
	if r < 0x80 || !inWord(r) {
		return text
	}
	plain := norm.NFKC.String(text)
	if strings.ContainsFunc(plain, func(r rune) bool { return !inWord(r) }) {
		return text
	}
	return plain
}

func foldRune(r rune) rune {
	if like, ok := lookalikes[r]; ok {
		r = like
	}
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	return unicode.ToLower(least)
}

// lookalikes are characters that most fonts draw like a letter of ASCII: two digits, and
// letters of the Cyrillic, Greek and Armenian scripts and of the IPA.
var lookalikes = func() map[rune]rune {
	m := map[rune]rune{}
	for ascii, others := range map[rune]string{
		'a': "аΑɑα", 'b': "ВΒЬ", 'c': "сСϲ", 'd': "ԁԀɗ", 'e': "еЕΕҽ", 'f': "ϝ", 'g': "ɡԍց", 'h': "һНΗհ",
		'i': "іІΙιı", 'j': "јЈϳ", 'k': "кКΚκ", 'l': "1ӏӀⅼ", 'm': "мМΜ", 'n': "Νոռ", 'o': "0оОΟοօ", 'p': "рРΡρ",
		'q': "ԛգ", 'r': "гᴦ", 's': "ѕЅՏ", 't': "тТΤτ", 'u': "υսʋ", 'v': "ѵѴν", 'w': "ԝԜѡա", 'x': "хХΧχ",
		'y': "уУΥγү", 'z': "Ζᴢ",
	} {
		for _, r := range others {
			m[r] = ascii
		}
	}
	return m
}()
