package formats

import (
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// maxSearchWords bounds the different words of a search, each of which is looked for in
// the text of every package.
const maxSearchWords = 32

// SearchWords returns the words of a search in lower case, each once. Fault TooManyWords:
// there are more than 32.
func SearchWords(text string) ([]string, error) {
	var words []string
	for word := range strings.FieldsSeq(strings.ToLower(text)) {
		if slices.Contains(words, word) {
			continue
		}
		if len(words) == maxSearchWords {
			return nil, fault.New(fault.Invalid, "TooManyWords", "Search for at most %d words at a time.", maxSearchWords)
		}
		words = append(words, word)
	}
	return words, nil
}

// ContainsAll reports whether a text in lower case contains all words.
func ContainsAll(text string, words []string) bool {
	return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) })
}
