// Package jsonedit changes one value in a JSON text and leaves every other byte
// as it was: the order of members, indentation, line endings, a byte order
// mark, and how values are written.
//
// A path is the names of members, from the outermost object to the value. A
// name may contain dots, slashes and colons, as registries' addresses in
// docker's configuration do. Paths do not lead into arrays.
//
// An empty text, or nil for a file that does not exist, is treated as an object
// without members. Every other text must be one object (RFC 8259) without
// duplicate names: a tool that refuses a text should not find it changed. A
// null in place of an object on the path counts as absent. Errors about a text
// begin with "line N: ".
//
// Libraries that patch JSON were tried. github.com/tailscale/hujson keeps every
// other byte, but its Patch writes new members without the text's indentation
// ({"a": 1,"b":2}), its Format changes other lines, and its parser accepts
// comments and duplicate names, which docker refuses.
package jsonedit

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"

	"github.com/go-json-experiment/json"
)

var (
	errNoPath      = errors.New("json: the path is empty")
	errNotReadBack = errors.New("json: the changed text would not have the intended value")
)

// Get returns the value at the path, decoded as encoding/json decodes into an
// any, and whether there is one.
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

// Set puts the value at the path, and adds missing objects on the way. The
// value is anything that encoding/json can encode. New members are written in
// the style of the text: on their own lines with the text's indentation, or on
// the same line if the text has only one. An equal value stays as it is
// written.
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
		return nil, errNotReadBack
	}
	return out, nil
}

// Delete removes the member at the path, and every object on the way that then
// has no members, except the outermost. A text without the member is returned
// as it is.
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
		return nil, errNotReadBack
	}
	return out, nil
}

// normal returns the value as it would be read back.
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
