package policy

import (
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A reader reads JSON as policies are written: objects, lists of one without
// brackets, and texts. A name that occurs twice and invalid UTF-8 are errors.
type reader struct{ d *jsontext.Decoder }

func read(document string) reader {
	return reader{jsontext.NewDecoder(strings.NewReader(document))}
}

// end is an error if anything is left.
func (r reader) end() error {
	if _, err := r.d.ReadToken(); !errors.Is(err, io.EOF) {
		return detailed(syntaxErrors, "there is more after the end of the document")
	}
	return nil
}

// object calls member for each member of an object; it reads the value.
func (r reader) object(member func(name string) error) error {
	if err := r.open('{', "an object"); err != nil {
		return err
	}
	for r.d.PeekKind() != '}' {
		name, err := r.d.ReadToken()
		if err != nil {
			return syntax(err)
		}
		if err := member(name.String()); err != nil {
			return err
		}
	}
	_, err := r.d.ReadToken()
	return syntax(err)
}

// list calls item for each item of a list, and once if there are no brackets.
func (r reader) list(item func() error) error {
	if r.d.PeekKind() != '[' {
		return item()
	}
	if _, err := r.d.ReadToken(); err != nil {
		return syntax(err)
	}
	for r.d.PeekKind() != ']' {
		if err := item(); err != nil {
			return err
		}
	}
	_, err := r.d.ReadToken()
	return syntax(err)
}

// text reads a string.
func (r reader) text() (string, error) {
	return r.token("a string", '"')
}

// texts reads a string, or a list of them.
func (r reader) texts() (texts []string, err error) {
	err = r.list(func() error {
		s, err := r.text()
		texts = append(texts, s)
		return err
	})
	return texts, err
}

// scalars reads strings, numbers and booleans, of which the latter two may be
// written without quotes: the values of a condition key.
func (r reader) scalars() (texts []string, err error) {
	err = r.list(func() error {
		s, err := r.token("a string, a number or a boolean", '"', '0', 't', 'f')
		texts = append(texts, s)
		return err
	})
	return texts, err
}

// token reads a value of one of the kinds, as a text.
func (r reader) token(what string, kinds ...jsontext.Kind) (string, error) {
	if err := r.expect(what, kinds...); err != nil {
		return "", err
	}
	t, err := r.d.ReadToken()
	if err != nil {
		return "", syntax(err)
	}
	return t.String(), nil
}

func (r reader) open(kind jsontext.Kind, what string) error {
	if err := r.expect(what, kind); err != nil {
		return err
	}
	_, err := r.d.ReadToken()
	return syntax(err)
}

// expect is an error if something else than one of the kinds comes.
func (r reader) expect(what string, kinds ...jsontext.Kind) error {
	next := r.d.PeekKind()
	for _, k := range kinds {
		if next == k {
			return nil
		}
	}
	if next == 0 { // not JSON: reading says why
		if _, err := r.d.ReadToken(); err != nil {
			return syntax(err)
		}
	}
	return detailed(syntaxErrors, "this must be %s", what)
}

func syntax(err error) error {
	if err == nil {
		return nil
	}
	return &MalformedError{Message: syntaxErrors, Detail: strings.TrimPrefix(err.Error(), "jsontext: "), invalidJSON: true}
}
