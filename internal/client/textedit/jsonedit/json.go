// Package jsonedit changes one value in a JSON text and leaves every other byte as
// it is: the order of members, indentation, line endings, a byte order mark and
// how values are written.
//
// A path is the names of members, from the outermost object to the value. Each
// is a name as it is, so that it may hold dots, slashes and colons, as the
// registries' addresses in docker's configuration do. Paths do not lead into
// arrays.
//
// An empty text, or nil for a file that is not there, is taken for an object
// without members. Every other text has to be one object (RFC 8259) in which no
// name stands twice; null in the place of an object on the path counts as
// absent. Errors about a text begin with "line N: ".
package jsonedit

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"

	"github.com/go-json-experiment/json"
)

var (
	errNoPath  = errors.New("json: the path is empty")
	errMangled = errors.New("json: the changed text would not read as it was meant")
)

// Get returns the value at the path, as encoding/json decodes it into an any. ok
// is false where there is none.
func Get(text []byte, path []string) (value any, ok bool, err error) {
	d, err := parse(text)
	if err != nil {
		return nil, false, err
	}
	if len(path) == 0 {
		return nil, false, errNoPath
	}
	f, err := d.find(path)
	if err != nil || len(f.missing) > 0 {
		return nil, false, err
	}
	err = json.Unmarshal(d.text[f.member.start:f.member.end], &value)
	return value, err == nil, err
}

// Set puts the value at the path, and makes the objects that lead there. The
// value is anything that encoding/json can encode. What is new is written in
// the manner of the text: on lines of its own with the text's indentation, or on
// the one line that the text has. An equal value is left as it is written.
func Set(text []byte, path []string, value any) ([]byte, error) {
	d, err := parse(text)
	if err != nil {
		return nil, err
	}
	if len(path) == 0 {
		return nil, errNoPath
	}
	f, err := d.find(path)
	if err != nil {
		return nil, err
	}
	wanted, err := normal(value)
	if err != nil {
		return nil, err
	}
	var out []byte
	switch {
	case len(f.missing) > 0:
		out, err = d.insert(f, value)
	default:
		var present any
		if err := json.Unmarshal(d.text[f.member.start:f.member.end], &present); err != nil {
			return nil, err
		}
		if reflect.DeepEqual(present, wanted) {
			return text, nil
		}
		out, err = d.replace(f, value)
	}
	if err != nil {
		return nil, err
	}
	if got, ok, err := Get(out, path); err != nil || !ok || !reflect.DeepEqual(got, wanted) {
		return nil, errMangled
	}
	return out, nil
}

// Delete takes out the member at the path, and every object on the way to it
// that has no member left, except the outermost. A text without the member
// comes back as it is.
func Delete(text []byte, path []string) ([]byte, error) {
	d, err := parse(text)
	if err != nil {
		return nil, err
	}
	if len(path) == 0 {
		return nil, errNoPath
	}
	f, err := d.find(path)
	if err != nil || len(f.missing) > 0 {
		return text, err
	}
	for len(path) > 1 && len(f.object.members) == 1 {
		path = path[:len(path)-1]
		if f, err = d.find(path); err != nil {
			return nil, err
		}
	}
	out := d.cut(f)
	if _, ok, err := Get(out, path); err != nil || ok {
		return nil, errMangled
	}
	return out, nil
}

// normal is the value as it would be read back.
func normal(value any) (any, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("json: %w", err)
	}
	var v any
	err = json.Unmarshal(text, &v)
	return v, err
}

// splice replaces the bytes from start to end.
func splice(text []byte, start, end int, with []byte) []byte {
	return bytes.Join([][]byte{text[:start], with, text[end:]}, nil)
}
