package packument

import (
	"bytes"
	"encoding/json"
	"slices"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// AppendString adds a JSON string. Invalid UTF-8 becomes U+FFFD, so there is no
// error to check.
func AppendString(out []byte, s string) []byte {
	out, _ = jsontext.AppendQuote(out, s)
	return out
}

// StringValue is the value of a JSON string, or "" for anything else.
func StringValue(raw []byte) string {
	var s string
	if err := jsonv2.Unmarshal(raw, &s, jsontext.AllowInvalidUTF8(true)); err != nil {
		return ""
	}
	return s
}

// EachMember calls f with each member of a JSON object. Each value is valid JSON.
// Empty input and null have no members.
func EachMember(object []byte, f func(name string, value []byte) error) error {
	if len(object) == 0 {
		return nil
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(object), jsontext.AllowInvalidUTF8(true))
	open, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if open.Kind() == 'n' {
		return nil
	}
	if open.Kind() != '{' {
		return fault.New(fault.Invalid, "InvalidDocument", "The document has a JSON %s in a place that needs an object.", kindName(open.Kind()))
	}
	for dec.PeekKind() != '}' {
		tok, err := dec.ReadToken()
		if err != nil {
			return err
		}
		name := tok.String()
		value, err := dec.ReadValue()
		if err != nil {
			return err
		}
		if err := f(name, value); err != nil {
			return err
		}
	}
	return nil
}

func kindName(k jsontext.Kind) string {
	switch k {
	case '"':
		return "string"
	case '0':
		return "number"
	case '[':
		return "list"
	case 't', 'f':
		return "boolean"
	}
	return "value"
}

// An Object is a JSON object in the order of its members.
type Object []Member

type Member struct {
	Name  string
	Value json.RawMessage
}

func ParseObject(b []byte) (Object, error) {
	var o Object
	err := EachMember(b, func(name string, value []byte) error {
		o = append(o, Member{name, bytes.Clone(value)})
		return nil
	})
	return o, err
}

func (o Object) Get(name string) json.RawMessage {
	for _, m := range o {
		if m.Name == name {
			return m.Value
		}
	}
	return nil
}

// without returns o without the named members.
func (o Object) Without(names ...string) Object {
	return slices.DeleteFunc(slices.Clone(o), func(m Member) bool { return slices.Contains(names, m.Name) })
}

func (o Object) Encode() json.RawMessage {
	out := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(AppendString(out, m.Name), ':')
		out = append(out, m.Value...)
	}
	return append(out, '}')
}
