// Package xmledit changes one value in an XML text and leaves every other byte
// as it was: comments, order, indentation, line endings, a byte order mark,
// CDATA sections, the spelling of tags and attributes.
//
// A value is named by a path of steps, from the root element down:
//
//	[]xmledit.Step{xmledit.El("settings"), xmledit.El("servers"), xmledit.By("server", "id", "lib"), xmledit.El("password")}
//
// It is the text of an element or, with [Attr] as the last step, an attribute.
// Names are compared without their namespace prefixes. A new element gets the
// prefix of its parent.
//
// Texts are UTF-8, at most 16 MiB long, with elements nested at most 256 deep.
// Every function returns an error for a text that is not well-formed. It begins
// with "line N: " if there is a line. [Set] parses its result before it returns
// it.
package xmledit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Step leads from an element to some of its children. The first step of a
// path is the root element itself.
type Step struct {
	// Name is the name of the element or the attribute, without a prefix.
	Name string
	// Key and Value select among elements of the same name, by the text of a
	// child element or by an attribute. An empty Key selects all.
	Key, Value string
	// Kind says what Name and Key name.
	Kind Kind
	// At is where a missing element is inserted.
	At Position
}

// A Kind says what a step names.
type Kind int

// The kinds of steps.
const (
	Element     Kind = iota // an element, selected by a child element if there is a Key
	ByAttribute             // an element, selected by an attribute
	ByText                  // an element, selected by its own text
	Attribute               // an attribute, the last step of a path
)

// A Position is a place among siblings.
type Position int

// The positions.
const (
	Last Position = iota
	First
)

// El is the step to an element.
func El(name string) Step { return Step{Name: name} }

// By is the step to the element whose child element key has the text value, as
// in <server><id>lib</id></server>.
func By(name, key, value string) Step { return Step{Name: name, Key: key, Value: value} }

// ByAttr is the step to the element whose attribute key is value, as in
// <add key="lib"/>.
func ByAttr(name, key, value string) Step {
	return Step{Name: name, Key: key, Value: value, Kind: ByAttribute}
}

// Text is the step to the element whose text is value, as in
// <activeProfile>lib</activeProfile>.
func Text(name, value string) Step { return Step{Name: name, Value: value, Kind: ByText} }

// Attr is the step to an attribute, the last one of a path.
func Attr(name string) Step { return Step{Name: name, Kind: Attribute} }

// AtFirst returns the step with At set to First: a missing element is inserted
// before its siblings instead of after them.
func (s Step) AtFirst() Step {
	s.At = First
	return s
}

// errPath says that a path cannot name anything.
var errPath = errors.New("a path begins with the root element, and an attribute can only be its last step")

func checkPath(path []Step) error {
	if len(path) == 0 || slices.ContainsFunc(path[:len(path)-1], func(s Step) bool { return s.Kind == Attribute }) ||
		len(path) == 1 && path[0].Kind == Attribute {
		return errPath
	}
	return nil
}

// Get returns the first value at a path, and whether there is one.
func Get(text []byte, path []Step) (value string, ok bool, err error) {
	if err := checkPath(path); err != nil {
		return "", false, err
	}
	d, err := parse(text)
	if err != nil {
		return "", false, err
	}
	last := path[len(path)-1]
	if last.Kind != Attribute {
		if n := d.first(path); n != nil {
			return n.value(), true, nil
		}
		return "", false, nil
	}
	if n := d.first(path[:len(path)-1]); n != nil {
		value, ok = n.attribute(last.Name)
	}
	return value, ok, nil
}

// A Found is an element that [All] found.
type Found struct{ n *node }

// Text is the element's text, without the white space around it.
func (f Found) Text() string { return f.n.value() }

// Attr is an attribute's value; "" if it is missing.
func (f Found) Attr(name string) string {
	v, _ := f.n.attribute(name)
	return v
}

// Child is the text of the first child element with a name; "" if it is
// missing.
func (f Found) Child(name string) string {
	for _, c := range f.n.children {
		if c.name == name {
			return c.value()
		}
	}
	return ""
}

// Name is the element's name without its prefix.
func (f Found) Name() string { return f.n.name }

// All returns every element that a path names, in the text's order. The name
// "*" matches any.
func All(text []byte, path []Step) ([]Found, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	d, err := parse(text)
	if err != nil {
		return nil, err
	}
	var all []Found
	for _, n := range d.all(path) {
		all = append(all, Found{n})
	}
	return all, nil
}

// Set returns the text with the value at the path, or at the first one of
// several. Missing elements of the path are inserted, with the children or
// attributes that select them. A text that has the value is returned as it is.
func Set(text []byte, path []Step, value string) ([]byte, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	for _, s := range path {
		if !isName(s.Name) || s.Key != "" && !isName(s.Key) {
			return nil, fmt.Errorf("%q is not an XML name", s.Name+s.Key)
		}
		if !isText(s.Value) {
			return nil, errText
		}
	}
	if !isText(value) {
		return nil, errText
	}
	d, err := parse(text)
	if err != nil {
		return nil, err
	}
	out, err := d.set(path, value)
	if err != nil {
		return nil, err
	}
	want := value
	if path[len(path)-1].Kind != Attribute {
		want = strings.TrimSpace(value)
	}
	if got, ok, err := Get(out, path); err != nil || !ok || got != want {
		return nil, fmt.Errorf("the text cannot be edited: %q would not be read back (%v)", path[len(path)-1].Name, err)
	}
	return out, nil
}

// Delete returns the text without any element or attribute that the path names.
// An element that is empty because of that is removed as well, except the root.
// A text without them is returned as it is.
func Delete(text []byte, path []Step) ([]byte, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	for {
		d, err := parse(text)
		if err != nil {
			return nil, err
		}
		shorter, found := d.delete(path)
		if !found {
			return text, nil
		}
		text = shorter
	}
}
