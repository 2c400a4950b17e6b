// Package tomledit changes single values in a TOML text (TOML 1.0) and leaves
// every other byte as it was: comments, the order of keys, blank lines,
// quoting, line endings, a byte order mark, and whether the last line ends in a
// newline.
//
// A path names a value by its keys from the root, whichever way the text writes
// them: under a [header], as dotted keys, or in an inline table. Everything on
// the way must be a table. An element of an array of tables is named by the
// value of one of its keys, in [Upsert] and [Drop].
//
// Every change is checked by parsing the result. If it does not hold exactly
// what the text held plus the change, the change is refused.
package tomledit

import (
	"fmt"
)

// A Pair is a key of a table and its value, of a type that [Set] takes.
type Pair struct {
	Key   string
	Value any
}

// Get returns the value at a path as a string, bool, int64, float64, []any,
// map[string]any, or go-toml's type of a date or a time, and whether there is
// one. The error says what is wrong with the text, with the line.
func Get(text []byte, path []string) (any, bool, error) {
	d, err := parse(text)
	if err != nil {
		return nil, false, err
	}
	v, state := reach(d.values, path)
	return v, state == there, nil
}

// Set returns the text with a value at a path. The value is a string, bool,
// int, int64 or []string. A text that has it is returned as it is. A missing
// table is added at the end of the text, a missing key at the end of its table.
//
// The error says what is wrong with the text, with the line, or that the path
// names a table or goes through a value that is not a table.
func Set(text []byte, path []string, value any) ([]byte, error) {
	literal, value, err := encode(value)
	if err != nil {
		return nil, err
	}
	if err := utf8Only(path...); err != nil {
		return nil, err
	}
	d, err := parse(text)
	if err != nil {
		return nil, err
	}
	old, state := reach(d.values, path)
	switch {
	case len(path) == 0 || state == blocked:
		return nil, fmt.Errorf("%s cannot be set: its parent is not a table", dotted(path))
	case state == there && equal(old, value):
		return text, nil
	case state == there:
		found, ok := d.find(path)
		if !ok {
			return nil, fmt.Errorf("%s cannot be set: it is a table or an array of tables", dotted(path))
		}
		e := found.entry()
		return d.checked(d.splice(e.value, e.end, literal), func(values map[string]any) { put(values, path, value) })
	}
	return d.checked(d.add(path, literal), func(values map[string]any) { put(values, path, value) })
}

// Delete returns the text without the value at a path. A text without it is
// returned as it is. With the last key below it, the header of a table is
// removed too, unless there are comments. So Delete undoes [Set] byte for byte,
// except for a header that had no key before.
//
// The error says what is wrong with the text, with the line, or that the path
// names a table.
func Delete(text []byte, path []string) ([]byte, error) {
	d, err := parse(text)
	if err != nil {
		return nil, err
	}
	if _, state := reach(d.values, path); state != there || len(path) == 0 {
		return text, nil
	}
	found, ok := d.find(path)
	if !ok {
		return nil, fmt.Errorf("%s cannot be deleted: it is a table or an array of tables", dotted(path))
	}
	return d.checked(d.remove(found), func(values map[string]any) { cut(values, path) })
}
