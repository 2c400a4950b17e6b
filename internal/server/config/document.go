package config

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/goccy/go-yaml/ast"
)

// A Document is a policy document in the file, as YAML or as the text of a JSON
// document. In YAML every scalar is text, as it is in a policy: an account id keeps
// its zeros, and the operator Null is a name.
type Document struct {
	// JSON is the document without insignificant white space.
	JSON string
	// Line is where the document begins in the file.
	Line int
}

// UnmarshalYAML implements [github.com/goccy/go-yaml.NodeUnmarshaler].
func (d *Document) UnmarshalYAML(node ast.Node) error {
	if t := node.GetToken(); t != nil {
		d.Line = t.Position.Line
	}
	if text, ok := jsonText(node); ok {
		d.JSON = compact(text)
		return nil
	}
	value, err := appendJSON(nil, node)
	d.JSON = string(value)
	return err
}

// jsonText returns the text of a string, which can only be a JSON document.
func jsonText(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	}
	return "", false
}

// compact removes insignificant white space from JSON. Text that is not JSON is
// returned as it is; the parser of the document reports what is wrong with it.
func compact(text string) string {
	v := jsontext.Value(strings.TrimSpace(text))
	if err := v.Compact(); err != nil {
		return text
	}
	return string(v)
}

// appendJSON appends a node as JSON, in the order of the file.
func appendJSON(to []byte, node ast.Node) (_ []byte, err error) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return appendObject(to, n.Values)
	case *ast.MappingValueNode: // a mapping of one
		return appendObject(to, []*ast.MappingValueNode{n})
	case *ast.SequenceNode:
		to = append(to, '[')
		for i, v := range n.Values {
			if i > 0 {
				to = append(to, ',')
			}
			if to, err = appendJSON(to, v); err != nil {
				return nil, err
			}
		}
		return append(to, ']'), nil
	case *ast.NullNode:
		return append(to, "null"...), nil
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode, *ast.TagNode:
		return nil, fmt.Errorf("line %d: anchors, aliases and tags cannot be used in a policy document", node.GetToken().Position.Line)
	}
	if text, ok := jsonText(node); ok {
		return jsontext.AppendQuote(to, text)
	}
	return jsontext.AppendQuote(to, node.GetToken().Value)
}

func appendObject(to []byte, values []*ast.MappingValueNode) (_ []byte, err error) {
	to = append(to, '{')
	for i, v := range values {
		if i > 0 {
			to = append(to, ',')
		}
		if v.Key.IsMergeKey() {
			return nil, fmt.Errorf("line %d: keys cannot be merged in a policy document", v.Key.GetToken().Position.Line)
		}
		name := v.Key.GetToken().Value // Null is a name too
		if to, err = jsontext.AppendQuote(to, name); err != nil {
			return nil, err
		}
		if to, err = appendJSON(append(to, ':'), v.Value); err != nil {
			return nil, err
		}
	}
	return append(to, '}'), nil
}
