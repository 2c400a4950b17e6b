package ruby

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// A node is a value of a YAML document. RubyGems writes tags such as
// !ruby/object:Gem::Version before most of them, old versions also anchors and aliases.
// No tag is ever turned into an object: a node is read as the text, the list or the map
// that it is. The zero node is a value that is not there.
type node struct {
	value ast.Node
	doc   *document
}

// A document is a parsed YAML document.
type document struct {
	anchors map[string]ast.Node
}

// Bounds of a document.
const (
	maxYAML = 2 << 20 // bytes
	// maxDepth bounds how deep values are in each other, and how many aliases refer to
	// aliases: the specification of a gem needs 8.
	maxDepth = 50
)

// parseYAML parses a document of one value.
func parseYAML(raw []byte) (n node, err error) {
	if len(raw) > maxYAML {
		return node{}, fmt.Errorf("it is larger than %d MiB", maxYAML>>20)
	}
	if err := checkNesting(raw); err != nil {
		return node{}, err
	}
	defer func() { // the parser panics on some texts that are not YAML
		if r := recover(); r != nil {
			n, err = node{}, errors.New("it is not YAML")
		}
	}()
	file, err := parser.ParseBytes(raw, 0)
	if err != nil {
		return node{}, errors.New("it is not YAML")
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		return node{}, errors.New("it is not one YAML document")
	}
	d := &document{anchors: map[string]ast.Node{}}
	ast.Walk(anchorVisitor{d}, file.Docs[0].Body)
	return node{file.Docs[0].Body, d}, nil
}

// checkNesting refuses a document that is nested deeper than the parser, which is
// recursive, should follow: by brackets, or by dashes on one line.
func checkNesting(raw []byte) error {
	open, run := 0, 0
	for _, c := range raw {
		switch c {
		case '[', '{':
			open++
		case ']', '}':
			open = max(0, open-1)
		case '-', '?', ':', '!', '&', '*':
			run++
		case ' ':
		default:
			run = 0
		}
		if open > maxOpen || run > maxRun {
			return errors.New("it is nested too deeply")
		}
	}
	return nil
}

// Bounds of [checkNesting]. Brackets stand in descriptions too, where they need not be
// closed.
const (
	maxOpen = 5000
	maxRun  = 5000
)

type anchorVisitor struct{ doc *document }

func (v anchorVisitor) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok && a.Name != nil {
		v.doc.anchors[a.Name.GetToken().Value] = a.Value
	}
	return v
}

// plain returns the value without tags, anchors and aliases. An alias whose anchor is not
// there, or that leads to itself, is no value.
func (n node) plain() ast.Node {
	v := n.value
	for range maxDepth {
		switch t := v.(type) {
		case *ast.TagNode:
			v = t.Value
		case *ast.AnchorNode:
			v = t.Value
		case *ast.AliasNode:
			if t.Value == nil {
				return nil
			}
			v = n.doc.anchors[t.Value.GetToken().Value]
		case *ast.NullNode:
			return nil
		default:
			return v
		}
	}
	return nil
}

// get returns the value of a key of a map.
func (n node) get(key string) node {
	switch m := n.plain().(type) {
	case *ast.MappingNode:
		for _, entry := range m.Values {
			if keyText(entry) == key {
				return node{entry.Value, n.doc}
			}
		}
	case *ast.MappingValueNode: // a map of one key
		if keyText(m) == key {
			return node{m.Value, n.doc}
		}
	}
	return node{doc: n.doc}
}

func keyText(entry *ast.MappingValueNode) string {
	if entry.Key == nil || entry.Key.GetToken() == nil {
		return ""
	}
	return entry.Key.GetToken().Value
}

// pairs calls do for each key of a map whose value is text.
func (n node) pairs(do func(key, value string)) {
	var entries []*ast.MappingValueNode
	switch m := n.plain().(type) {
	case *ast.MappingNode:
		entries = m.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{m}
	}
	for _, entry := range entries {
		if value, ok := (node{entry.Value, n.doc}).scalar(); ok {
			do(keyText(entry), value)
		}
	}
}

// list returns the entries of a list.
func (n node) list() []node {
	s, ok := n.plain().(*ast.SequenceNode)
	if !ok {
		return nil
	}
	out := make([]node, len(s.Values))
	for i, v := range s.Values {
		out[i] = node{v, n.doc}
	}
	return out
}

// texts returns the texts of a list. One text alone is a list of it.
func (n node) texts() []string {
	if one := n.text(); one != "" {
		return []string{one}
	}
	var out []string
	for _, entry := range n.list() {
		if t := entry.text(); t != "" {
			out = append(out, t)
		}
	}
	return out
}

// text returns a text as it is written, so the unquoted version 1.0 is not the number 1.
func (n node) text() string {
	t, _ := n.scalar()
	return t
}

func (n node) scalar() (string, bool) {
	switch v := n.plain().(type) {
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		if v.Value == nil {
			return "", false
		}
		return v.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return v.GetToken().Value, true
	}
	return "", false
}
