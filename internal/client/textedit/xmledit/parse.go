package xmledit

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/lines"
)

const (
	// maxText is the size in bytes of the largest text. No configuration is
	// larger.
	maxText = 16 << 20
	// maxDepth is the deepest nesting of elements.
	maxDepth = 256
)

// A document is a text with its elements.
type document struct {
	text []byte
	root *node
}

// A node is an element and its position in the text.
type node struct {
	prefix, name string // as written: prefix:name
	attributes   []xml.Attr
	parent       *node
	children     []*node
	// text is the character data directly in the element.
	text string
	// The start tag is text[start:open], the content text[open:close] and the
	// end tag text[close:end]. In an empty-element tag (<a/>) the last three
	// are equal.
	start, open, close, end int
	// noted says that there is a comment or a processing instruction in the
	// element.
	noted bool
}

func (n *node) selfClosed() bool { return n.open == n.end }

// value is the element's text as most readers of configuration take it: without
// the white space around it.
func (n *node) value() string { return strings.TrimSpace(n.text) }

func (n *node) attribute(name string) (string, bool) {
	for _, a := range n.attributes {
		if a.Name.Local == name && a.Name.Space != "xmlns" {
			return a.Value, true
		}
	}
	return "", false
}

// tag is the name as it is written in the tags.
func (n *node) tag() string {
	if n.prefix == "" {
		return n.name
	}
	return n.prefix + ":" + n.name
}

// parse reads a text. Offsets come from the decoder, which counts the bytes of
// its input.
func parse(text []byte) (*document, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("the text is larger than %d MiB", maxText>>20)
	}
	if i := invalid(text); i >= 0 {
		return nil, fmt.Errorf("line %d: the text is not UTF-8: save it in that encoding", 1+bytes.Count(text[:i], []byte("\n")))
	}
	shift := len(lines.Mark(text))
	decoder := xml.NewDecoder(bytes.NewReader(text[shift:]))
	decoder.CharsetReader = ascii
	p := parser{document: &document{text: text}}
	for {
		from := shift + int(decoder.InputOffset())
		token, err := decoder.RawToken()
		if errors.Is(err, io.EOF) {
			return p.end()
		}
		line, _ := decoder.InputPos()
		if err == nil {
			err = p.add(token, from, shift+int(decoder.InputOffset()))
		}
		if err != nil {
			return nil, atLine(line, err)
		}
	}
}

// ascii accepts the one encoding besides UTF-8 whose texts are valid UTF-8 too.
// The text was checked to be UTF-8 before.
func ascii(label string, in io.Reader) (io.Reader, error) {
	if strings.EqualFold(label, "us-ascii") {
		return in, nil
	}
	return nil, fmt.Errorf("the encoding %q cannot be edited: save the text as UTF-8", label)
}

// A parser builds nodes from tokens.
type parser struct {
	document *document
	at       *node // the open element; nil outside of the root
	depth    int
}

// add takes the token between two offsets.
func (p *parser) add(token xml.Token, from, to int) error {
	switch t := token.(type) {
	case xml.StartElement:
		return p.open(&node{prefix: t.Name.Space, name: t.Name.Local, attributes: t.Attr, parent: p.at, start: from, open: to, close: to, end: to})
	case xml.EndElement:
		if p.at == nil || p.at.prefix != t.Name.Space || p.at.name != t.Name.Local {
			return fmt.Errorf("</%s> does not match an open element", t.Name.Local)
		}
		p.at.close, p.at.end = from, to
		p.at, p.depth = p.at.parent, p.depth-1
	case xml.CharData:
		switch {
		case p.at != nil:
			p.at.text += string(t)
		case len(bytes.TrimSpace(t)) > 0:
			return errors.New("there is text outside of the root element")
		}
	case xml.Comment, xml.ProcInst, xml.Directive:
		if p.at != nil {
			p.at.noted = true
		}
	}
	return nil
}

func (p *parser) open(n *node) error {
	switch {
	case p.at != nil:
		p.at.children = append(p.at.children, n)
	case p.document.root != nil:
		return errors.New("there is a second root element")
	default:
		p.document.root = n
	}
	if p.depth++; p.depth > maxDepth {
		return fmt.Errorf("elements are nested more than %d deep", maxDepth)
	}
	p.at = n
	return nil
}

// end returns the document if it is complete.
func (p *parser) end() (*document, error) {
	switch {
	case p.at != nil:
		return nil, atLine(1+bytes.Count(p.document.text[:p.at.start], []byte("\n")), fmt.Errorf("<%s> is not closed", p.at.tag()))
	case p.document.root == nil:
		return nil, errors.New("there is no element in the text")
	}
	return p.document, nil
}

// atLine adds the line to an error, unless the decoder's own error has one.
func atLine(line int, err error) error {
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("line %d: %s", syntax.Line, syntax.Msg)
	}
	return fmt.Errorf("line %d: %w", line, err)
}

// invalid returns the offset of the first byte that is not UTF-8; -1 if there
// is none.
func invalid(text []byte) int {
	if utf8.Valid(text) {
		return -1
	}
	for i := 0; ; {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
}

// all returns the elements that the steps name.
func (d *document) all(path []Step) []*node {
	if !path[0].matches(d.root) {
		return nil
	}
	found := []*node{d.root}
	for _, s := range path[1:] {
		var next []*node
		for _, n := range found {
			for _, c := range n.children {
				if s.matches(c) {
					next = append(next, c)
				}
			}
		}
		found = next
	}
	return found
}

// first returns the first of them; nil if there is none.
func (d *document) first(path []Step) *node {
	if found := d.all(path); len(found) > 0 {
		return found[0]
	}
	return nil
}

func (s Step) matches(n *node) bool {
	if s.Name != n.name && s.Name != "*" {
		return false
	}
	switch {
	case s.Kind == ByText:
		return n.value() == strings.TrimSpace(s.Value)
	case s.Key == "":
		return true
	case s.Kind == ByAttribute:
		v, ok := n.attribute(s.Key)
		return ok && v == s.Value
	}
	for _, c := range n.children {
		if c.name == s.Key {
			return c.value() == strings.TrimSpace(s.Value)
		}
	}
	return false
}
