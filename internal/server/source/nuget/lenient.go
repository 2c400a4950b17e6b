package nuget

import (
	"encoding/json"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/nuget/nupkg"
)

// Registries do not agree on the types of some members: authors and tags are a text or a
// list of texts, a severity is a text or a number.

// A text is a member that should be a text.
type text string

// UnmarshalJSON takes anything: what cannot be a text is none.
func (t *text) UnmarshalJSON(raw []byte) error {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case string:
		*t = text(v)
	case bool, float64:
		*t = text(raw)
	case []any:
		var all textList
		if err := all.UnmarshalJSON(raw); err != nil {
			return err
		}
		*t = text(strings.Join(all, ", "))
	}
	return nil
}

// kept is the text as far as it is kept.
func (t text) kept() string { return nupkg.Text(string(t)) }

// A textList is a member that should be a list of texts.
type textList []string

// UnmarshalJSON takes one text for a list of one, and leaves out what is not a text.
func (l *textList) UnmarshalJSON(raw []byte) error {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case string:
		*l = textList{v}
	case []any:
		for _, one := range v {
			if s, ok := one.(string); ok {
				*l = append(*l, s)
			}
		}
	}
	return nil
}

// kept are the words of the list as far as they are kept.
func (l textList) kept() (words []string) {
	for _, one := range l {
		words = append(words, strings.FieldsFunc(nupkg.Text(one), func(c rune) bool { return c == ' ' || c == ',' })...)
	}
	return words
}
