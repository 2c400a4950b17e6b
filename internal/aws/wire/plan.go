package wire

import (
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire/model"
)

type kind uint8

const (
	kindString kind = iota
	kindBool
	kindInt
	kindFloat
	kindBlob
	kindStream
	kindTime
	kindStruct
	kindUnion
	kindList
	kindMap
)

// A node is the compiled plan of a shape together with a Go type. Nodes are
// shared, may be cyclic, and are not changed once they are compiled.
type node struct {
	kind   kind
	typ    reflect.Type // without pointers
	fields []field      // of a struct, or the cases of a union
	byWire map[string]*field
	elem   *node // of a list or a map
	rule   *rule // nil if there is no constraint on the value itself
	// sensitive values, and lists of them, are not repeated in messages.
	sensitive bool
	// answer marks the output of an operation.
	answer bool
}

// A field is a member of a structure, or a case of a union.
type field struct {
	wire     string // name in the body
	quoted   string // `"wire":`
	path     string // name in an error
	in       model.Location
	name     string // of a header or a query parameter
	index    []int  // as reflect.Value.FieldByIndex takes it
	ptr      bool
	required bool
	node     *node
	// union is the Go type of a union's case, a pointer to a struct that holds
	// the value.
	union reflect.Type
}

// A rule holds the constraints on one value.
type rule struct {
	// pattern is compiled when a value is first compared with it, which makes the start
	// shorter; nil means any value. A test of package model compiles them all.
	pattern  func() *regexp.Regexp
	spelled  string // the pattern as the model has it
	enum     []string
	min, max *int64
}

// A planner compiles the shapes of one service.
type planner struct {
	table *model.Service
	cases map[reflect.Type][]reflect.Type
	mu    sync.Mutex // an error's type is compiled when it first comes
	nodes map[planKey]*node
}

type planKey struct {
	shape string
	typ   reflect.Type
}

var (
	timeType   = reflect.TypeFor[time.Time]()
	bytesType  = reflect.TypeFor[[]byte]()
	readerType = reflect.TypeFor[io.Reader]()
	closerType = reflect.TypeFor[io.ReadCloser]()
)

func newPlanner(t *model.Service) *planner {
	return &planner{table: t, cases: map[reflect.Type][]reflect.Type{}, nodes: map[planKey]*node{}}
}

// plan compiles a shape for a Go type. It fails if they do not match.
func (p *planner) plan(shape string, t reflect.Type) (*node, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.compile(shape, t)
}

func (p *planner) compile(shape string, t reflect.Type) (*node, error) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	key := planKey{shape, t}
	if n, ok := p.nodes[key]; ok {
		return n, nil
	}
	s := p.table.Shapes[shape]
	if s == nil {
		return nil, fmt.Errorf("no shape %q", shape)
	}
	n := &node{typ: t, sensitive: s.Sensitive}
	p.nodes[key] = n // before its members, which may lead back here
	if err := p.fill(n, s); err != nil {
		delete(p.nodes, key)
		return nil, fmt.Errorf("%s: %w", shape, err)
	}
	n.rule = newRule(s)
	return n, nil
}

func (p *planner) fill(n *node, s *model.Shape) (err error) {
	var ok bool
	if n.kind, ok = kindOf(s.Type, n.typ); !ok {
		return fmt.Errorf("%v cannot hold a %s", n.typ, s.Type)
	}
	switch n.kind {
	case kindStruct:
		return p.fillStruct(n, s)
	case kindUnion:
		return p.fillUnion(n, s)
	case kindList, kindMap:
		if n.elem, err = p.compile(s.Element, n.typ.Elem()); err == nil && n.elem.sensitive {
			n.sensitive = true
		}
	}
	return err
}

func (p *planner) fillStruct(n *node, s *model.Shape) error {
	n.fields = make([]field, 0, len(s.Members))
	// In the order of the Go struct, which is the order of validation messages.
	wires := make(map[string]string, len(s.Members))
	for wire, m := range s.Members {
		if m.Field != "" {
			wires[m.Field] = wire
		} else {
			wires[upperFirst(wire)] = wire
		}
	}
	for _, sf := range fieldsOf(n.typ) {
		wire, ok := wires[sf.Name]
		if !ok && sf.IsExported() && sf.Name != "ResultMetadata" && sf.Name != "ErrorCodeOverride" {
			return fmt.Errorf("the table lacks %v.%s: run go generate", n.typ, sf.Name)
		}
		if !ok {
			continue
		}
		delete(wires, sf.Name)
		if err := p.addField(n, wire, s.Members[wire], sf, nil); err != nil {
			return err
		}
	}
	for missing, wire := range wires {
		if s.Members[wire].Newer {
			continue
		}
		return fmt.Errorf("%v has no field %s", n.typ, missing)
	}
	n.index()
	return nil
}

// fieldsOf returns the fields of a struct, with those of an exported struct that it embeds
// in its place. Structs of the SDK embed none; those of package operatormodel do.
func fieldsOf(t reflect.Type) []reflect.StructField {
	fields := make([]reflect.StructField, 0, t.NumField())
	for i := range t.NumField() {
		sf := t.Field(i)
		if !sf.Anonymous || !sf.IsExported() {
			fields = append(fields, sf)
			continue
		}
		for _, inner := range fieldsOf(sf.Type) {
			inner.Index = slices.Concat(sf.Index, inner.Index)
			fields = append(fields, inner)
		}
	}
	return fields
}

func (p *planner) fillUnion(n *node, s *model.Shape) error {
	for _, wire := range slices.Sorted(maps.Keys(s.Members)) {
		m := s.Members[wire]
		for _, c := range p.cases[n.typ] {
			if c.Kind() != reflect.Pointer || c.Elem().Name() != m.Field {
				continue
			}
			value, ok := c.Elem().FieldByName("Value")
			if !ok {
				return fmt.Errorf("%v has no field Value", c)
			}
			if err := p.addField(n, wire, m, value, c); err != nil {
				return err
			}
		}
	}
	n.index()
	return nil
}

func (p *planner) addField(n *node, wire string, m *model.Member, sf reflect.StructField, union reflect.Type) error {
	f := field{
		wire: wire, quoted: `"` + wire + `":`, path: lowerFirst(wire),
		in: m.In, name: m.Name, index: sf.Index, ptr: sf.Type.Kind() == reflect.Pointer,
		required: m.Required, union: union,
	}
	var err error
	if f.node, err = p.compile(m.Shape, sf.Type); err != nil {
		return fmt.Errorf("%s: %w", wire, err)
	}
	k := f.node.kind
	if (k == kindStream) != (f.in == model.InPayload) {
		return fmt.Errorf("%s: a stream must be the payload, and the payload a stream", wire)
	}
	if (f.in == model.InQuery || f.in == model.InHeader || f.in == model.InPath) && (k == kindStruct || k == kindMap || k == kindUnion) {
		return fmt.Errorf("%s: a %v cannot be in a header or a query", wire, sf.Type)
	}
	n.fields = append(n.fields, f)
	return nil
}

// index builds the index of the members by name.
func (n *node) index() {
	n.byWire = make(map[string]*field, len(n.fields))
	for i := range n.fields {
		n.byWire[n.fields[i].wire] = &n.fields[i]
	}
}

// kindOf says how a Go type holds a type of the model.
func kindOf(t model.Type, g reflect.Type) (kind, bool) {
	switch t {
	case model.String:
		return kindString, g.Kind() == reflect.String
	case model.Boolean:
		return kindBool, g.Kind() == reflect.Bool
	case model.Integer:
		return kindInt, reflect.Int <= g.Kind() && g.Kind() <= reflect.Int64
	case model.Float:
		return kindFloat, g.Kind() == reflect.Float64 || g.Kind() == reflect.Float32
	case model.Timestamp:
		return kindTime, g == timeType
	case model.Blob:
		if g == readerType || g == closerType {
			return kindStream, true
		}
		return kindBlob, g == bytesType
	case model.Structure:
		return kindStruct, g.Kind() == reflect.Struct
	case model.Union:
		return kindUnion, g.Kind() == reflect.Interface
	case model.List:
		return kindList, g.Kind() == reflect.Slice
	case model.Map:
		return kindMap, g.Kind() == reflect.Map && g.Key().Kind() == reflect.String
	}
	return 0, false
}

func newRule(s *model.Shape) *rule {
	if s.Pattern == "" && s.Enum == nil && s.Min == nil && s.Max == nil {
		return nil
	}
	r := &rule{enum: s.Enum, spelled: s.Pattern, min: s.Min, max: s.Max}
	if s.Pattern != "" {
		expression := s.Pattern
		if s.Expression != "" {
			expression = s.Expression
		}
		r.pattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\A(?:` + expression + `)\z`) })
	}
	return r
}

func upperFirst(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[size:]
}

// lowerFirst writes a member's name as the services do in their messages.
func lowerFirst(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(r)) + s[size:]
}
