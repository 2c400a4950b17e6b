package policy

import (
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A member is one name and value of a JSON object, in the order of the text.
type member struct {
	name  string
	value jsontext.Value
}

// readDocument reads the one JSON value that a document must be. Names that
// occur twice, text after the value and invalid UTF-8 are errors.
func readDocument(document string) (jsontext.Value, error) {
	d := jsontext.NewDecoder(strings.NewReader(document))
	v, err := d.ReadValue()
	if err != nil {
		return nil, err
	}
	v = v.Clone()
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, malformed("there is more after the end of the document")
	}
	return v, nil
}

// membersOf returns the members of an object.
func membersOf(v jsontext.Value) ([]member, error) {
	if v.Kind() != '{' {
		return nil, malformed("this must be an object")
	}
	d := jsontext.NewDecoder(strings.NewReader(string(v)))
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	var members []member
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		m := member{name: name.String()}
		value, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		m.value = value.Clone()
		members = append(members, m)
	}
	return members, nil
}

// itemsOf returns the items of an array, or v itself where it is not one: IAM
// takes a list of one without its brackets.
func itemsOf(v jsontext.Value) ([]jsontext.Value, error) {
	if v.Kind() != '[' {
		return []jsontext.Value{v}, nil
	}
	d := jsontext.NewDecoder(strings.NewReader(string(v)))
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	var items []jsontext.Value
	for d.PeekKind() != ']' {
		item, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		items = append(items, item.Clone())
	}
	return items, nil
}

// stringOf returns the text of a JSON string.
func stringOf(v jsontext.Value) (string, error) {
	if v.Kind() != '"' {
		return "", malformed("this must be a string")
	}
	text, err := jsontext.AppendUnquote(nil, v)
	return string(text), err
}

// stringsOf returns a string, or a list of them.
func stringsOf(v jsontext.Value) ([]string, error) {
	return textsOf(v, stringOf)
}

// conditionValuesOf returns the values of a condition key: strings, numbers and
// booleans, of which the latter two may be written without quotes.
func conditionValuesOf(v jsontext.Value) ([]string, error) {
	return textsOf(v, func(v jsontext.Value) (string, error) {
		switch v.Kind() {
		case '0', 't', 'f':
			return string(v), nil
		case '"':
			return stringOf(v)
		}
		return "", malformed("this must be a string, a number or a boolean")
	})
}

func textsOf(v jsontext.Value, textOf func(jsontext.Value) (string, error)) ([]string, error) {
	items, err := itemsOf(v)
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(items))
	for i, item := range items {
		if texts[i], err = textOf(item); err != nil {
			return nil, err
		}
	}
	return texts, nil
}
