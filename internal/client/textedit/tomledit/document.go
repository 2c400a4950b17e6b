package tomledit

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/lines"
)

// A document is a text with the positions of everything in it. Offsets are into
// text, which does not have the byte order mark.
type document struct {
	mark, text []byte
	newline    string
	values     map[string]any
	sections   []section // the first one has no header
}

// A section is a header and the lines up to the next one.
type section struct {
	path    []string
	array   bool // [[path]]
	start   int  // of the header's line
	body    int  // after the header's line
	entries []entry
}

// An entry is a key and its value in a section or an inline table, or an
// element of an array, which has no key.
type entry struct {
	key        []string
	start, end int // of the key, and after the value
	value      int // where the value starts
	kind       unstable.Kind
	text       string  // of a String
	below      []entry // of an InlineTable or an Array
}

// parse finds everything in a text, and checks it against TOML's rules.
func parse(text []byte) (*document, error) {
	mark := lines.Mark(text)
	d := &document{newline: "\n", mark: mark, text: text[len(mark):]}
	if i := bytes.IndexByte(d.text, '\n'); i > 0 && d.text[i-1] == '\r' {
		d.newline = "\r\n"
	}
	var err error
	if d.values, err = values(d.text); err != nil {
		return nil, err
	}
	d.sections = []section{{}}
	var p unstable.Parser
	p.Reset(d.text)
	for p.NextExpression() {
		d.expression(p.Expression())
	}
	return d, p.Error()
}

// values parses a text.
func values(text []byte) (map[string]any, error) {
	v := map[string]any{}
	err := toml.Unmarshal(text, &v)
	var bad *toml.DecodeError
	if errors.As(err, &bad) {
		line, _ := bad.Position()
		return nil, fmt.Errorf("line %d: %w", line, err)
	}
	return v, err
}

func (d *document) last() *section { return &d.sections[len(d.sections)-1] }

func (d *document) expression(n *unstable.Node) {
	if n.Kind == unstable.KeyValue {
		s := d.last()
		s.entries = append(s.entries, d.keyValue(n))
		return
	}
	s := section{array: n.Kind == unstable.ArrayTable}
	it := n.Key()
	for it.Next() {
		s.path = append(s.path, string(it.Node().Data))
		s.body = int(it.Node().Raw.Offset + it.Node().Raw.Length)
	}
	s.start, s.body = d.line(s.body), d.nextLine(s.body)
	d.sections = append(d.sections, s)
}

func (d *document) keyValue(n *unstable.Node) entry {
	e := entry{start: int(n.Raw.Offset)}
	after := e.start
	it := n.Key()
	for it.Next() {
		e.key = append(e.key, string(it.Node().Data))
		after = int(it.Node().Raw.Offset + it.Node().Raw.Length)
	}
	e.value = d.skip(after, " \t=")
	d.fill(&e, n.Value())
	e.end = int(n.Raw.Offset + n.Raw.Length)
	return e
}

// fill reads a value that starts at e.value, up to its end.
func (d *document) fill(e *entry, n *unstable.Node) {
	e.kind = n.Kind
	switch n.Kind {
	case unstable.InlineTable, unstable.Array:
		at := e.value + 1
		it := n.Children()
		for it.Next() {
			var b entry
			if n.Kind == unstable.InlineTable {
				b = d.keyValue(it.Node())
			} else {
				b.value = d.gap(at)
				b.start = b.value
				d.fill(&b, it.Node())
			}
			e.below, at = append(e.below, b), b.end
		}
		e.end = d.gap(at) + 1
	default:
		e.text = string(n.Data)
		e.end = int(n.Raw.Offset + n.Raw.Length)
	}
}

// skip returns the first offset from at whose byte is not in chars.
func (d *document) skip(at int, chars string) int {
	for at < len(d.text) && bytes.IndexByte([]byte(chars), d.text[at]) >= 0 {
		at++
	}
	return at
}

// gap returns the end of the white space, comments and commas between the
// elements of an array.
func (d *document) gap(at int) int {
	for {
		at = d.skip(at, " \t\r\n,")
		if at == len(d.text) || d.text[at] != '#' {
			return at
		}
		at = d.nextLine(at)
	}
}

// line returns where the line of an offset starts.
func (d *document) line(at int) int { return bytes.LastIndexByte(d.text[:at], '\n') + 1 }

// nextLine returns where the line after an offset's line starts.
func (d *document) nextLine(at int) int {
	if i := bytes.IndexByte(d.text[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(d.text)
}

// A place is the position of an entry.
type place struct {
	section *section
	table   *entry  // the inline table or the array, if it is in one
	among   []entry // the entries of the table, or of the section
	index   int
}

func (p place) entry() *entry { return &p.among[p.index] }

// find finds the entry of a path that is not blocked.
func (d *document) find(path []string) (place, bool) {
	for i := range d.sections {
		s := &d.sections[i]
		if rest, ok := below(path, s.path); ok && !s.array {
			if p, ok := within(place{section: s, among: s.entries}, rest); ok {
				return p, true
			}
		}
	}
	return place{}, false
}

// within finds an entry in a section or an inline table, and in the inline
// tables below.
func within(p place, path []string) (place, bool) {
	for i := range p.among {
		e := &p.among[i]
		rest, ok := below(path, e.key)
		if p.index = i; ok && len(rest) == 0 {
			return p, true
		}
		if ok && e.kind == unstable.InlineTable {
			return within(place{section: p.section, table: e, among: e.below}, rest)
		}
	}
	return place{}, false
}

// below returns the rest of a path after a prefix.
func below(path, prefix []string) ([]string, bool) {
	if len(path) < len(prefix) || !slices.Equal(path[:len(prefix)], prefix) {
		return nil, false
	}
	return path[len(prefix):], true
}
