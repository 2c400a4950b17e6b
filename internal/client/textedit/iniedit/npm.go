package iniedit

import (
	"encoding/json"
	"strings"
	"unicode"

	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/lines"
)

// npm reads as npm's package ini does, from version 4 on.
type npm struct{}

func (npm) fold(key string) string { return key }
func (npm) separator() string      { return "=" }
func (npm) key(key string) string  { return written(key) }

func (npm) value(value string) []string { return []string{written(value)} }

func (npm) parse(all []lines.Line) ([]header, []entry, error) {
	var headers []header
	var entries []entry
	section := ""
	for i, l := range all {
		text := trim(l.Text)
		if text == "" || text[0] == ';' || text[0] == '#' || l.Text[0] == '=' {
			continue
		}
		if name, ok := npmHeader(l.Text); ok {
			if section = decode(name); section == "" {
				section = "[]" // which is not what is above the headers
			}
			headers = append(headers, header{name: section, line: i})
			continue
		}
		indent := l.Text[:strings.Index(l.Text, text)]
		key, value, valued := strings.Cut(l.Text, "=")
		e := entry{section: section, block: len(headers) - 1, line: i, indent: indent, key: decode(key), value: "true"}
		bare := len(indent) + len(significant(trim(key)))
		e.from, e.to = bare, bare
		if valued {
			e.value = decode(value)
			body := trim(value)
			shown := significant(body)
			e.from = len(key) + 1 + strings.Index(value, body)
			e.to = e.from + len(shown)
			e.separator = l.Text[len(strings.TrimRightFunc(key, space)):e.from]
		}
		entries = append(entries, e)
	}
	return headers, entries, nil
}

// npmHeader reads [name], which must be the whole line.
func npmHeader(text string) (string, bool) {
	rest, ok := strings.CutPrefix(strings.TrimRightFunc(text, space), "[")
	if !ok || rest == "" || strings.IndexByte(rest, ']') != len(rest)-1 {
		return "", false
	}
	return rest[:len(rest)-1], true
}

// trim and space follow JavaScript: a byte order mark is white space.
func trim(text string) string { return strings.TrimFunc(text, space) }

func space(r rune) bool { return r == '\uFEFF' || r != '\u0085' && unicode.IsSpace(r) }

func quoted(text string) bool {
	return strings.HasPrefix(text, `"`) && strings.HasSuffix(text, `"`) ||
		strings.HasPrefix(text, `'`) && strings.HasSuffix(text, `'`)
}

// significant returns a trimmed text without the comment at its end.
func significant(text string) string {
	if quoted(text) {
		return text
	}
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case ';', '#':
			return strings.TrimRightFunc(text[:i], space)
		}
	}
	return text
}

// decode returns what a key or a value stands for.
func decode(text string) string {
	text = trim(text)
	if quoted(text) {
		if text[0] == '\'' {
			text = strings.TrimSuffix(text[1:], "'")
		}
		var s any
		if json.Unmarshal([]byte(text), &s) == nil {
			if s, ok := s.(string); ok {
				return s
			}
		}
		return text
	}
	var b strings.Builder
	text = significant(text)
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) && strings.IndexByte(`\;#`, text[i+1]) >= 0 {
			i++
		}
		b.WriteByte(text[i])
	}
	return trim(b.String())
}

// written returns the plainest form of a key or a value. If there is none, it
// returns one that stands for something else, which Set finds out.
func written(text string) string {
	escaped := strings.NewReplacer(`\`, `\\`, `;`, `\;`, `#`, `\#`).Replace(text)
	for _, form := range []string{text, escaped} {
		if !strings.ContainsAny(form, "\r\n") && decode(form) == text {
			return form
		}
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		return text
	}
	return strings.TrimSuffix(b.String(), "\n")
}
