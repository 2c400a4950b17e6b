package rubygem

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// A node is a value of a YAML document. RubyGems writes tags such as
// !ruby/object:Gem::Version before most of them, old versions also anchors and aliases.
// No tag is ever turned into an object: a node is read as the text, the list or the map
// that it is. The zero node is a value that is not there.
type node struct {
	value *yaml.Node
	doc   *document
}

// A document is a parsed YAML document. It keeps the keys of the maps that were read,
// because aliases can lead to one large map from many places.
type document struct {
	maps map[*yaml.Node]map[string]*yaml.Node
}

// Bounds of a document. The parser keeps the whole of it in memory, so they are checked
// before. The specification of a gem needs a depth of 8, and a value for each of its files.
const (
	maxYAML  = 2 << 20 // bytes
	maxMarks = 100_000 // characters that can begin a value
	maxHash  = 5000    // characters that can begin a comment, over which the parser goes several times
	maxOpen  = 1000    // brackets in each other; in texts, they need not be closed
	maxRun   = 500     // lists and maps in each other that begin on one line
	maxDepth = 50      // aliases that refer to aliases
)

// parseYAML parses a document of one value, in time linear in its length.
func parseYAML(raw []byte) (n node, err error) {
	if len(raw) > maxYAML {
		return node{}, fmt.Errorf("it is larger than %d MiB", maxYAML>>20)
	}
	if err := checkMarks(raw); err != nil {
		return node{}, err
	}
	defer func() { // the parser panics on faults of its own
		if r := recover(); r != nil {
			n, err = node{}, errors.New("it is not YAML")
		}
	}()
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	var file, more yaml.Node
	switch err := decoder.Decode(&file); {
	case errors.Is(err, io.EOF):
		return node{}, errors.New("it is not one YAML document")
	case err != nil:
		return node{}, errors.New("it is not YAML")
	}
	switch err := decoder.Decode(&more); {
	case err == nil:
		return node{}, errors.New("it is not one YAML document")
	case !errors.Is(err, io.EOF):
		return node{}, errors.New("it is not YAML")
	}
	return node{file.Content[0], &document{maps: map[*yaml.Node]map[string]*yaml.Node{}}}, nil
}

// checkMarks bounds the values and comments of a document and how deep they are in each other, without
// parsing it. It also counts marks inside texts, so the bounds are generous.
func checkMarks(raw []byte) error {
	marks, hashes, open, run := 0, 0, 0, 0
	for i, c := range raw {
		switch c {
		case '[', '{':
			marks, open, run = marks+1, open+1, 0
		case ']', '}':
			open, run = max(0, open-1), 0
		case ',':
			marks, run = marks+1, 0
		case '#':
			hashes, run = hashes+1, 0
		case '-', '?', ':':
			if i+1 == len(raw) || isSpace(raw[i+1]) {
				marks, run = marks+1, run+1
			} else if c == ':' { // it may follow a quoted key
				marks++
			}
		default:
			if !isSpace(c) || c == '\n' {
				run = 0
			}
		}
		if open > maxOpen || run > maxRun {
			return errors.New("it is nested too deeply")
		}
		if hashes > maxHash {
			return fmt.Errorf("it has more than %d comments", maxHash)
		}
		if marks > maxMarks {
			return fmt.Errorf("it has more than %d values", maxMarks)
		}
	}
	return nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// plain returns the value without aliases. An alias that leads to itself has no value.
func (n node) plain() *yaml.Node {
	v := n.value
	for range maxDepth {
		switch {
		case v == nil || isNull(v):
			return nil
		case v.Kind != yaml.AliasNode:
			return v
		}
		v = v.Alias
	}
	return nil
}

const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

// isNull says whether a value is null, or a tag with nothing behind it.
func isNull(v *yaml.Node) bool {
	return v.Kind == yaml.ScalarNode && (v.Tag == "!!null" || v.Value == "" && v.Style&quoted == 0)
}

// get returns the value of a key of a map. As for Ruby, the last one counts.
func (n node) get(key string) node {
	m := n.plain()
	if m == nil || m.Kind != yaml.MappingNode {
		return node{doc: n.doc}
	}
	keys, ok := n.doc.maps[m]
	if !ok {
		keys = map[string]*yaml.Node{}
		for i := 0; i+1 < len(m.Content); i += 2 {
			keys[n.keyText(m.Content[i])] = m.Content[i+1]
		}
		n.doc.maps[m] = keys
	}
	return node{keys[key], n.doc}
}

func (n node) keyText(key *yaml.Node) string { return node{key, n.doc}.text() }

// pairs calls do for each key of a map whose value is text.
func (n node) pairs(do func(key, value string)) {
	m := n.plain()
	if m == nil || m.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if value, ok := (node{m.Content[i+1], n.doc}).scalar(); ok {
			do(n.keyText(m.Content[i]), value)
		}
	}
}

// list returns the entries of a list.
func (n node) list() []node {
	s := n.plain()
	if s == nil || s.Kind != yaml.SequenceNode {
		return nil
	}
	out := make([]node, len(s.Content))
	for i, v := range s.Content {
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
	v := n.plain()
	if v == nil || v.Kind != yaml.ScalarNode {
		return "", false
	}
	return v.Value, true
}
