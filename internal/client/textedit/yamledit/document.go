package yamledit

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/lines"
)

// A document is a text with its nodes. Their positions are in the text as it
// was parsed.
type document struct {
	*lines.Text
	root *ast.MappingNode // nil if the text is empty
	end  int              // the line after the last one of the document
}

func parse(text []byte) (doc *document, err error) {
	doc = &document{Text: lines.Split(text)}
	var plain strings.Builder // without what the parser would take for text
	for _, l := range doc.Lines {
		plain.WriteString(l.Text)
		if l.End != "" {
			plain.WriteByte('\n')
		}
	}
	defer func() { // the parser may panic on some texts
		if p := recover(); p != nil {
			doc, err = nil, errors.New("line 1: this YAML cannot be parsed")
		}
	}()
	file, err := parser.ParseBytes([]byte(plain.String()), 0)
	if err != nil {
		var at yaml.Error
		if errors.As(err, &at) && at.GetToken() != nil {
			return nil, fmt.Errorf("line %d: %s", at.GetToken().Position.Line, at.GetMessage())
		}
		return nil, errors.New("line 1: this YAML cannot be parsed")
	}
	var body ast.Node
	for _, d := range file.Docs {
		switch d.Body.(type) {
		case nil, *ast.CommentGroupNode, *ast.DirectiveNode, *ast.NullNode:
			continue
		}
		if body != nil {
			return nil, doc.wrong(d.Body, "the file has a second document")
		}
		body = d.Body
	}
	doc.end = len(doc.Lines)
	for i, l := range doc.Lines {
		if l.Text == "..." || strings.HasPrefix(l.Text, "... ") {
			doc.end = i
			break
		}
	}
	switch body := body.(type) {
	case nil:
	case *ast.MappingNode:
		doc.root = body
	case *ast.MappingValueNode:
		doc.root = ast.Mapping(body.Start, false, body)
	default:
		return nil, doc.wrong(body, "not a map of keys and values")
	}
	return doc, nil
}

// wrong returns an error about a node's line.
func (d *document) wrong(n ast.Node, format string, args ...any) error {
	return fmt.Errorf("line %d: %s", line(n)+1, fmt.Sprintf(format, args...))
}

// line is the index of a node's first line.
func line(n ast.Node) int {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		n = m.Values[0].Key
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line - 1
	}
	return 0
}

// column is the index of a node's first byte in its line.
func (d *document) column(n ast.Node) int {
	if line(n) >= len(d.Lines) {
		return 0
	}
	return byteIndex(d.Lines[line(n)].Text, n.GetToken().Position.Column-1)
}

// byteIndex returns where the character with an index starts.
func byteIndex(text string, character int) int {
	for i := range text {
		if character == 0 {
			return i
		}
		character--
	}
	return len(text)
}

func keyText(v *ast.MappingValueNode) string { return v.Key.GetToken().Value }

// A place is where a path leads.
type place struct {
	chain   []*ast.MappingValueNode // the existing entries on the path
	maps    []*ast.MappingNode      // the map of each
	limits  []int                   // the line after each one's last, at most
	missing []string                // the rest of the path, which does not exist
	value   ast.Node                // of the last entry; nil for null; the root for no path
	flow    bool                    // in braces
}

// find follows a path as far as it goes.
func (d *document) find(path []string) (place, error) {
	at := place{missing: path}
	if d.root == nil {
		return at, nil
	}
	at.value = d.root
	limit := d.end
	for len(at.missing) > 0 {
		m, ok := at.value.(*ast.MappingNode)
		if v, one := at.value.(*ast.MappingValueNode); one {
			m, ok = ast.Mapping(v.Start, v.IsFlowStyle, v), true
		}
		if at.value == nil {
			return at, nil
		}
		if !ok {
			return at, d.wrong(at.value, "%s is not a map", strings.Join(path[:len(path)-len(at.missing)], ": "))
		}
		at.flow = at.flow || m.IsFlowStyle
		var found *ast.MappingValueNode
		for i, v := range m.Values {
			if keyText(v) != at.missing[0] {
				continue
			}
			found = v
			if i+1 < len(m.Values) {
				limit = line(m.Values[i+1].Key)
			}
		}
		if found == nil {
			return at, nil
		}
		switch found.Key.(type) {
		case *ast.MappingKeyNode, *ast.MergeKeyNode:
			return at, d.wrong(found.Key, "a key with ? or << cannot be edited")
		}
		at.chain, at.maps, at.limits = append(at.chain, found), append(at.maps, m), append(at.limits, limit)
		at.missing, at.value = at.missing[1:], found.Value
		if _, null := found.Value.(*ast.NullNode); null {
			at.value = nil
		}
	}
	return at, nil
}

// last is the index of an entry's last line, without the comments and empty
// lines below it.
func (d *document) last(v *ast.MappingValueNode, limit int) int {
	literal, indent := literalEnd(v, d.column(v.Key), d)
	for i := limit - 1; i > line(v.Key); i-- {
		text := strings.TrimLeft(d.Lines[i].Text, " \t")
		deep := len(d.Lines[i].Text)-len(text) > indent
		if text == "" || strings.HasPrefix(text, "#") && !(literal && deep) {
			continue
		}
		return i
	}
	return line(v.Key)
}

// literalEnd reports whether an entry ends in a block scalar, whose lines may
// start with #, and the indentation above which its lines are.
func literalEnd(n ast.Node, indent int, d *document) (bool, int) {
	switch n := n.(type) {
	case *ast.MappingValueNode:
		return literalEnd(n.Value, d.column(n.Key), d)
	case *ast.MappingNode:
		if len(n.Values) > 0 && !n.IsFlowStyle {
			return literalEnd(n.Values[len(n.Values)-1], indent, d)
		}
	case *ast.SequenceNode:
		if len(n.Values) > 0 && !n.IsFlowStyle {
			return literalEnd(n.Values[len(n.Values)-1], d.column(n), d)
		}
	case *ast.LiteralNode:
		return true, indent
	}
	return false, indent
}

// A leaf is one scalar, or an empty map or list.
type leaf struct{ path, value string }

// leaves returns what the text says outside of a path. A null says nothing.
func (d *document) leaves(except []string) []leaf {
	var out []leaf
	var walk func(n ast.Node, path []string)
	walk = func(n ast.Node, path []string) {
		if len(path) == len(except) && equal(path, except) {
			return
		}
		at := strings.Join(path, "\x00")
		switch n := n.(type) {
		case nil, *ast.NullNode:
		case *ast.MappingNode:
			for _, v := range n.Values {
				walk(v, path)
			}
		case *ast.MappingValueNode:
			walk(n.Value, append(path[:len(path):len(path)], keyText(n)))
		case *ast.SequenceNode:
			for i, v := range n.Values {
				walk(v, append(path[:len(path):len(path)], fmt.Sprint("- ", i)))
			}
		case *ast.AnchorNode:
			out = append(out, leaf{at, "&" + n.Name.GetToken().Value})
			walk(n.Value, path)
		case *ast.TagNode:
			out = append(out, leaf{at, n.Start.Value})
			walk(n.Value, path)
		case *ast.AliasNode:
			out = append(out, leaf{at, "*" + n.Value.GetToken().Value})
		default:
			value, _ := scalar(n)
			if _, block := n.(*ast.LiteralNode); block { // its last newline may be the file's
				value = strings.TrimRight(value, "\n")
			}
			out = append(out, leaf{at, n.Type().String() + " " + value})
		}
	}
	if d.root != nil {
		walk(d.root, nil)
	}
	return out
}

func equal(a, b []string) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
