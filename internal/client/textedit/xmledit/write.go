package xmledit

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/lines"
	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
)

var errText = errors.New("the value has characters that XML cannot represent")

// namePattern allows fewer names than XML 1.0 does, and all that are needed.
var namePattern = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9._-]*$`)

func isName(s string) bool { return namePattern.MatchString(s) }

// isText reports whether a string consists of characters that XML allows
// (Extensible Markup Language 1.0, 2.2) and that readers do not change.
func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < 0x20 && r != '\t' && r != '\n' || r == 0xFFFE || r == 0xFFFF
	})
}

var (
	escapeText      = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace
	escapeAttribute = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "\t", "&#9;", "\n", "&#10;").Replace
)

func (d *document) splice(from, to int, with string) []byte {
	return slices.Concat(d.text[:from], []byte(with), d.text[to:])
}

func (d *document) set(path []Step, value string) ([]byte, error) {
	if !path[0].matches(d.root) {
		return nil, fmt.Errorf("the root element is <%s>, not <%s>", d.root.tag(), path[0].Name)
	}
	last := path[len(path)-1]
	// Find the deepest element of the path that exists.
	for depth := len(path); depth > 0; depth-- {
		steps := path[:depth]
		if steps[depth-1].Kind == Attribute {
			continue
		}
		n := d.first(steps)
		switch {
		case n == nil:
		case depth == len(path):
			return d.setText(n, value)
		case last.Kind == Attribute && depth == len(path)-1:
			return d.setAttribute(n, last.Name, value), nil
		default:
			return d.insert(n, path[depth:], value), nil
		}
	}
	return nil, errPath
}

func (d *document) setText(n *node, value string) ([]byte, error) {
	switch {
	case len(n.children) > 0:
		return nil, fmt.Errorf("line %d: <%s> contains elements instead of a value", 1+bytes.Count(d.text[:n.start], []byte("\n")), n.tag())
	case n.value() == strings.TrimSpace(value):
		return d.text, nil
	case !n.selfClosed():
		return d.splice(n.open, n.close, escapeText(value)), nil
	}
	return d.splice(d.tagEnd(n), n.end, ">"+escapeText(value)+"</"+n.tag()+">"), nil
}

// tagEnd returns the offset after the last name or attribute in a start tag.
func (d *document) tagEnd(n *node) int {
	end := n.open - 1
	if n.selfClosed() {
		end--
	}
	return len(bytes.TrimRight(d.text[:end], " \t\r\n"))
}

// attributePattern matches an attribute in a start tag that the decoder has
// accepted.
var attributePattern = lazyregexp.New(`\s*([^\s=]+)\s*=\s*("[^"]*"|'[^']*')`)

// attributeAt returns where an attribute stands, with the space before it, and
// where its quoted value begins. from is negative if the attribute is missing.
func (d *document) attributeAt(n *node, name string) (from, value, to int) {
	for _, m := range attributePattern.FindAllSubmatchIndex(d.text[n.start:n.open], -1) {
		spelled := string(d.text[n.start+m[2] : n.start+m[3]])
		prefix, local, ok := strings.Cut(spelled, ":")
		if !ok {
			prefix, local = "", spelled
		}
		if local == name && prefix != "xmlns" {
			return n.start + m[0], n.start + m[4], n.start + m[1]
		}
	}
	return -1, -1, -1
}

func (d *document) setAttribute(n *node, name, value string) []byte {
	if v, ok := n.attribute(name); ok && v == value {
		return d.text
	}
	if _, from, to := d.attributeAt(n, name); from >= 0 {
		return d.splice(from, to, `"`+escapeAttribute(value)+`"`)
	}
	end := d.tagEnd(n)
	return d.splice(end, end, " "+name+`="`+escapeAttribute(value)+`"`)
}

// insert adds the elements that the steps name to an element, nested in each
// other, with the value in the last.
func (d *document) insert(parent *node, steps []Step, value string) []byte {
	prefix := ""
	if parent.prefix != "" {
		prefix = parent.prefix + ":"
	}
	indent, unit, newline := d.layout(parent)
	if parent.selfClosed() || parent.open == parent.close {
		w := writer{prefix: prefix, unit: unit, newline: newline}
		w.path(steps, value, indent+unit)
		content := ">" + newline + indent + unit + w.text.String() + newline + indent + "</" + parent.tag() + ">"
		return d.splice(d.tagEnd(parent), parent.end, content)
	}
	content := d.text[parent.open:parent.close]
	var at int
	if steps[0].At == First {
		at = parent.open
	} else {
		at = parent.close - (len(content) - len(bytes.TrimRight(content, " \t\r\n")))
	}
	if !bytes.Contains(content, []byte("\n")) { // everything is on one line, and so is the new element
		w := writer{prefix: prefix}
		w.path(steps, value, "")
		if steps[0].At == Last {
			at = parent.close
		}
		return d.splice(at, at, w.text.String())
	}
	w := writer{prefix: prefix, unit: unit, newline: newline}
	inner := d.inner(parent, indent+unit)
	w.path(steps, value, inner)
	return d.splice(at, at, newline+inner+w.text.String())
}

// layout returns the indentation of an element's own line, one more level of
// indentation, and the line end.
func (d *document) layout(n *node) (indent, unit, newline string) {
	newline = "\n"
	if i := bytes.IndexByte(d.text, '\n'); i > 0 && d.text[i-1] == '\r' {
		newline = "\r\n"
	}
	unit = "  "
	if outer, ok := d.indentOf(d.root); ok && len(d.root.children) > 0 {
		if inner, ok := d.indentOf(d.root.children[0]); ok && strings.HasPrefix(inner, outer) && len(inner) > len(outer) {
			unit = inner[len(outer):]
		}
	}
	for at := n; at != nil; at = at.parent {
		if own, ok := d.indentOf(at); ok {
			return own, unit, newline
		}
	}
	return "", unit, newline
}

// inner returns the indentation of an element's children, or otherwise if no
// child begins a line.
func (d *document) inner(n *node, otherwise string) string {
	for _, c := range n.children {
		if own, ok := d.indentOf(c); ok {
			return own
		}
	}
	return otherwise
}

// indentOf returns the white space before an element that begins its line.
func (d *document) indentOf(n *node) (string, bool) {
	line := d.text[bytes.LastIndexByte(d.text[:n.start], '\n')+1 : n.start]
	line = line[len(lines.Mark(line)):]
	return string(line), len(bytes.Trim(line, " \t")) == 0
}

// A writer writes elements. Without a newline, all are on one line.
type writer struct {
	text                  strings.Builder
	prefix, unit, newline string
}

func (w *writer) path(steps []Step, value, indent string) {
	s := steps[0]
	w.text.WriteString("<" + w.prefix + s.Name)
	if s.Kind == ByAttribute && s.Key != "" {
		w.text.WriteString(" " + s.Key + `="` + escapeAttribute(s.Value) + `"`)
	}
	rest := steps[1:]
	if len(rest) > 0 && rest[0].Kind == Attribute {
		w.text.WriteString(" " + rest[0].Name + `="` + escapeAttribute(value) + `"`)
		rest = nil
		if s.Kind == ByAttribute || s.Key == "" && s.Kind != ByText {
			w.text.WriteString(" />")
			return
		}
		value = ""
	}
	w.text.WriteString(">")
	inner := indent + w.unit
	switch {
	case s.Kind == ByText:
		w.text.WriteString(escapeText(s.Value))
	case len(rest) == 0 && (s.Key == "" || s.Kind == ByAttribute):
		w.text.WriteString(escapeText(value))
	default:
		if s.Kind == Element && s.Key != "" {
			w.line(inner)
			w.text.WriteString("<" + w.prefix + s.Key + ">" + escapeText(s.Value) + "</" + w.prefix + s.Key + ">")
		}
		if len(rest) > 0 && !(len(rest) == 1 && rest[0].Name == s.Key && s.Kind == Element) {
			w.line(inner)
			w.path(rest, value, inner)
		}
		w.line(indent)
	}
	w.text.WriteString("</" + w.prefix + s.Name + ">")
}

func (w *writer) line(indent string) {
	if w.newline != "" {
		w.text.WriteString(w.newline + indent)
	}
}

// delete removes the first element or attribute that the path names.
func (d *document) delete(path []Step) ([]byte, bool) {
	if last := path[len(path)-1]; last.Kind == Attribute {
		for _, n := range d.all(path[:len(path)-1]) {
			if from, _, to := d.attributeAt(n, last.Name); from >= 0 {
				return d.splice(from, to, ""), true
			}
		}
		return nil, false
	}
	n := d.first(path)
	if n == nil || n == d.root {
		return nil, false
	}
	for n.parent != d.root && n.parent.holdsOnly(n) {
		n = n.parent
	}
	// If the element begins its line, the line is removed too.
	from := len(bytes.TrimRight(d.text[:n.start], " \t"))
	switch {
	case from > 0 && d.text[from-1] == '\n':
		from--
		if from > 0 && d.text[from-1] == '\r' {
			from--
		}
	default:
		from = n.start
	}
	return d.splice(from, n.end, ""), true
}

func (n *node) holdsOnly(child *node) bool {
	return len(n.children) == 1 && n.children[0] == child && !n.noted && strings.TrimSpace(n.text) == ""
}
