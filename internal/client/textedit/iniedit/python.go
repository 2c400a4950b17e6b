package iniedit

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/lines"
)

// python reads as configparser does (Python's library reference,
// "configparser", Supported INI File Structure).
type python struct{}

func (python) fold(key string) string      { return strings.ToLower(key) }
func (python) key(key string) string       { return key }
func (python) value(value string) []string { return strings.Split(value, "\n") }
func (python) separator() string           { return " = " }

func (python) parse(all []lines.Line) ([]header, []entry, error) {
	var (
		headers []header
		entries []entry
		open    *entry // the entry that a deeper line continues
		depth   int    // its indentation, or the header's
		empty   []int  // empty lines after it, part of the value if more follows
	)
	sections, keys := map[string]bool{}, map[string]bool{}
	for i, l := range all {
		text := strings.TrimSpace(l.Text)
		if text == "" {
			empty = append(empty, i)
			continue
		}
		if text[0] == '#' || text[0] == ';' {
			continue
		}
		indent := l.Text[:strings.IndexFunc(l.Text, func(r rune) bool { return !unicode.IsSpace(r) })]
		if open != nil && utf8.RuneCountInString(indent) > depth {
			open.value += strings.Repeat("\n", len(empty)+1) + text
			open.more = append(append(open.more, empty...), i)
			empty = nil
			continue
		}
		depth, empty, open = utf8.RuneCountInString(indent), nil, nil
		if name, ok := pythonHeader(text); ok {
			if sections[name] {
				return headers, entries, fmt.Errorf("line %d: the section [%s] appears twice", i+1, name)
			}
			sections[name], keys = true, map[string]bool{}
			headers = append(headers, header{name, i, indent})
			continue
		}
		if len(headers) == 0 {
			return headers, entries, fmt.Errorf("line %d: there is no [section] above it", i+1)
		}
		end := strings.IndexAny(text, "=:")
		if end <= 0 {
			return headers, entries, fmt.Errorf("line %d: neither a [section] nor a key with : or =", i+1)
		}
		e := entry{
			section: headers[len(headers)-1].name, block: len(headers) - 1, line: i, indent: indent,
			key: strings.TrimSpace(text[:end]), value: strings.TrimSpace(text[end+1:]), to: len(indent) + len(text),
		}
		e.from = e.to - len(e.value)
		e.separator = l.Text[len(indent)+len(e.key) : e.from]
		if k := strings.ToLower(e.key); keys[k] {
			return headers, entries, fmt.Errorf("line %d: %s appears twice in [%s]", i+1, e.key, e.section)
		} else {
			keys[k] = true
		}
		entries = append(entries, e)
		open = &entries[len(entries)-1]
	}
	return headers, entries, nil
}

// pythonHeader reads [name]. What follows the last bracket is ignored.
func pythonHeader(text string) (string, bool) {
	end := strings.LastIndexByte(text, ']')
	if text[0] != '[' || end < 2 {
		return "", false
	}
	return text[1:end], true
}
