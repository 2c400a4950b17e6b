package jsonedit

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/lines"
)

// A document is a text that is one JSON object.
type document struct {
	text []byte
	root object
}

// An object is the position of an object in a text: its { is at open, its } at
// close.
type object struct {
	open, close int
	members     []member
}

// A member is the position of a name and its value.
type member struct {
	name            string
	nameAt, nameEnd int
	start, end      int
	kind            jsontext.Kind
}

// parse reads the whole text, so that a text which the tool would refuse is not
// changed.
func parse(text []byte) (document, error) {
	start := len(lines.Mark(text))
	if len(bytes.TrimSpace(text[start:])) == 0 {
		text = append(bytes.Clone(text[:start]), "{}\n"...)
	}
	d := document{text: text}
	decoder := jsontext.NewDecoder(bytes.NewReader(text[start:]))
	if kind := decoder.PeekKind(); kind != '{' && kind != jsontext.KindInvalid {
		return d, d.errorAt(start, errors.New("the file is not a JSON object"))
	}
	if err := decoder.SkipValue(); err != nil {
		return d, d.syntax(start, err)
	}
	end := start + int(decoder.InputOffset())
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		if err == nil {
			return d, d.errorAt(start+int(decoder.InputOffset())-1, errors.New("there is more after the object"))
		}
		return d, d.syntax(start, err)
	}
	var err error
	d.root, err = d.object(start + bytes.IndexByte(text[start:end], '{'))
	return d, err
}

// object reads the members of the object that opens at an offset.
func (d document) object(open int) (object, error) {
	decoder := jsontext.NewDecoder(bytes.NewReader(d.text[open:]))
	if _, err := decoder.ReadToken(); err != nil {
		return object{}, err
	}
	at := func() int { return open + int(decoder.InputOffset()) }
	o := object{open: open}
	for decoder.PeekKind() == '"' {
		before := at()
		name, err := decoder.ReadToken()
		if err != nil {
			return object{}, err
		}
		m := member{name: name.String(), nameEnd: at()}
		m.nameAt = before + bytes.IndexByte(d.text[before:m.nameEnd], '"')
		m.kind = decoder.PeekKind()
		value, err := decoder.ReadValue()
		if err != nil {
			return object{}, err
		}
		m.end = at()
		m.start = m.end - len(value)
		o.members = append(o.members, m)
	}
	if _, err := decoder.ReadToken(); err != nil {
		return object{}, err
	}
	o.close = at() - 1
	return o, nil
}

// found is how far a path leads: to the member, or to the object to which the
// first missing name belongs. If names are missing and member is not zero, it
// is a null in place of an object.
type found struct {
	object  object
	member  member
	missing []string
}

func (d document) find(path []string) (found, error) {
	f := found{object: d.root}
	for i, name := range path {
		m, ok := f.object.member(name)
		if !ok {
			f.missing = path[i:]
			return f, nil
		}
		if i == len(path)-1 {
			f.member = m
			return f, nil
		}
		switch m.kind {
		case 'n':
			f.member, f.missing = m, path[i:]
			return f, nil
		case '{':
		default:
			return f, d.errorAt(m.start, fmt.Errorf("%q is not an object", name))
		}
		inner, err := d.object(m.start)
		if err != nil {
			return f, err
		}
		f.object = inner
	}
	return f, nil
}

func (o object) member(name string) (member, bool) {
	for _, m := range o.members {
		if m.name == name {
			return m, true
		}
	}
	return member{}, false
}

// syntax adds the line to an error of the decoder that started at an offset.
func (d document) syntax(start int, err error) error {
	var s *jsontext.SyntacticError
	switch {
	case errors.As(err, &s):
		reason := s.Err
		if errors.Is(reason, jsontext.ErrDuplicateName) {
			reason = fmt.Errorf("%q appears twice in one object", s.JSONPointer.LastToken())
		}
		return d.errorAt(start+int(s.ByteOffset), fmt.Errorf("not JSON: %w", reason))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return d.errorAt(len(d.text), errors.New("not JSON: it ends before the object does"))
	}
	return d.errorAt(start, err)
}

func (d document) errorAt(offset int, err error) error {
	return fmt.Errorf("line %d: %w", 1+bytes.Count(d.text[:min(offset, len(d.text))], []byte("\n")), err)
}
