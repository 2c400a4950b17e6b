// Package yamledit changes one value in a YAML text of nested maps, and leaves
// every other byte as it was: comments, order, quotes, indentation, line
// endings, a byte order mark, a missing newline at the end.
//
// A path names a value by the keys that lead to it. Maps are edited in block
// style, one key a line. In a map in braces, values can be read and replaced
// but no keys added. Every result is parsed again and compared before it is
// returned.
package yamledit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Get returns the text of a scalar, without its quotes, and whether it is
// there. A null counts as missing. The error is about the text, as "line 3: …",
// or says that the path leads to a map or a list.
func Get(text []byte, path []string) (string, bool, error) {
	doc, err := parse(text)
	if err != nil {
		return "", false, err
	}
	at, err := doc.find(path)
	if err != nil || at.value == nil || len(at.missing) > 0 {
		return "", false, err
	}
	value, ok := scalar(at.value)
	if !ok {
		return "", false, doc.wrong(at.value, "%s is more than one value", strings.Join(path, ": "))
	}
	return value, true, nil
}

// Keys returns the keys of a map in their order; none if the map is missing.
// The error is the one of [Get].
func Keys(text []byte, path []string) ([]string, error) {
	doc, err := parse(text)
	if err != nil {
		return nil, err
	}
	at, err := doc.find(path)
	if err != nil || at.value == nil || len(at.missing) > 0 {
		return nil, err
	}
	m, ok := at.value.(*ast.MappingNode)
	if !ok {
		return nil, doc.wrong(at.value, "%s is not a map", strings.Join(path, ": "))
	}
	var keys []string
	for _, v := range m.Values {
		keys = append(keys, keyText(v))
	}
	return keys, nil
}

// Set sets a string, which is quoted if it would not be a string otherwise. An
// existing value is replaced, in the same quotes. A new key is added after the
// last one of its map, with the missing maps on the way.
//
// The error is about the text, as "line 3: …"; it does not contain the value.
func Set(text []byte, path []string, value string) ([]byte, error) {
	return set(text, path, value, quote)
}

// SetBool gives a path true or false; otherwise it is [Set].
func SetBool(text []byte, path []string, value bool) ([]byte, error) {
	plain := func(value, _ string) string { return value }
	return set(text, path, fmt.Sprint(value), plain)
}

// set writes a value in a style, which is told how the old one was written.
func set(text []byte, path []string, value string, style func(value, old string) string) ([]byte, error) {
	doc, err := parse(text)
	if err != nil {
		return nil, err
	}
	at, err := doc.find(path)
	if err != nil {
		return nil, err
	}
	if at.value != nil && len(at.missing) == 0 {
		old, ok := scalar(at.value)
		if !ok {
			return nil, doc.wrong(at.value, "%s is more than one value", strings.Join(path, ": "))
		}
		if old == value {
			return text, nil
		}
		doc.replace(at, func(old string) string { return style(value, old) })
	} else if err := doc.insert(at, " "+style(value, "")); err != nil {
		return nil, err
	}
	return doc.finish(text, path, func(now *document) bool {
		at, err := now.find(path)
		if err != nil || at.value == nil || len(at.missing) > 0 {
			return false
		}
		got, ok := scalar(at.value)
		return ok && got == value
	})
}

// Delete takes a key out, with everything below it, and then the maps that held
// nothing else, not even a comment: what [Set] added. A text without the key
// comes back as it is. The error is that of Set.
func Delete(text []byte, path []string) ([]byte, error) {
	doc, err := parse(text)
	if err != nil {
		return nil, err
	}
	at, err := doc.find(path)
	if err != nil {
		return nil, err
	}
	if len(at.missing) > 0 || len(path) == 0 {
		return text, nil
	}
	if at.flow {
		return nil, doc.wrong(at.chain[len(at.chain)-1].Key, "%s is in braces; write its map with one key per line", path[len(path)-1])
	}
	doc.remove(at)
	return doc.finish(text, path, func(now *document) bool {
		at, err := now.find(path)
		return err == nil && len(at.missing) > 0
	})
}

// finish returns the changed text if it says what it is to say, and about
// everything outside of the path the same as before.
func (d *document) finish(before []byte, path []string, right func(*document) bool) ([]byte, error) {
	failed := fmt.Errorf("%s cannot be changed in this file as it is written", strings.Join(path, ": "))
	old, err := parse(before)
	if err != nil {
		return nil, err
	}
	after := d.Bytes()
	now, err := parse(after)
	if err != nil || !right(now) || !slices.Equal(old.leaves(path), now.leaves(path)) {
		return nil, failed
	}
	return after, nil
}
