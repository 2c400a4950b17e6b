package main

import (
	"fmt"
	"go/types"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire/model"
)

// A joiner brings a table up to the SDK's structs, which are newer than the
// models. What the table lacks is inferred: names follow the protocol, a member
// that the service calls the same everywhere has the same shape here, and
// anything else has no constraint. The Go structs decide which members are
// required and which values an enum has.
type joiner struct {
	*model.Service
	sdk *sdk
	// usual is the one shape that all members of a name have.
	usual map[string]string
	// capitals is true if no member's name begins with a small letter.
	capitals bool
	done     map[join]bool
	// news says what was inferred.
	news []string
}

type join struct{ shape, goType string }

func newJoiner(s *model.Service, k *sdk) *joiner {
	j := &joiner{Service: s, sdk: k, usual: map[string]string{}, capitals: true, done: map[join]bool{}}
	for _, shape := range s.Shapes {
		for name, m := range shape.Members {
			if upperFirst(name) != name {
				j.capitals = false
			}
			key := strings.ToLower(name)
			if known, ok := j.usual[key]; ok && known != m.Shape {
				j.usual[key] = "" // they differ
			} else if !ok {
				j.usual[key] = m.Shape
			}
		}
	}
	return j
}

func (j *joiner) join() error {
	for _, name := range slices.Sorted(maps.Keys(j.sdk.operations)) {
		k, op := j.sdk.operations[name], j.Operations[name]
		isNew := op == nil
		if isNew {
			j.news = append(j.news, "operation "+name)
			op = &model.Operation{}
			j.Operations[name] = op
		}
		for _, side := range []struct {
			shape *string
			typ   *types.Named
		}{{&op.Input, k.input}, {&op.Output, k.output}} {
			// What the models leave out is nothing. Of a new operation that is not
			// known, and an empty structure is never wrong.
			if *side.shape == "" && (isNew || len(fields(side.typ)) > 0) {
				*side.shape = j.infer(side.typ)
			}
			if *side.shape != "" {
				if err := j.structure(*side.shape, side.typ); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(j.sdk.errors)) {
		if j.Shapes[name] == nil {
			j.news = append(j.news, "error "+name)
			j.Shapes[name] = &model.Shape{Type: model.Structure, Status: 400, Members: map[string]*model.Member{}}
		}
		if err := j.structure(name, j.sdk.errors[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	j.prune()
	return nil
}

// structure gives a shape the members of the Go struct.
func (j *joiner) structure(shape string, n *types.Named) error {
	if key := (join{shape, n.Obj().Name()}); j.done[key] {
		return nil
	} else {
		j.done[key] = true
	}
	members := j.Shapes[shape].Members
	byField := map[string]string{}
	for name, m := range members {
		if !m.Newer {
			byField[strings.ToLower(name)] = name
		}
	}
	for _, f := range fields(n) {
		name, ok := byField[strings.ToLower(f.Name())]
		if !ok {
			name = j.memberName(f.Name())
			members[name] = &model.Member{Shape: j.memberShape(name, f.Type())}
			j.news = append(j.news, "member "+shape+"."+name+": "+members[name].Shape)
		}
		delete(byField, strings.ToLower(f.Name()))
		m := members[name]
		m.Required = j.sdk.required[f.Pos()]
		if upperFirst(name) != f.Name() {
			m.Field = f.Name()
		}
		if err := j.value(m.Shape, f.Type()); err != nil {
			return fmt.Errorf("%s.%s: %w", shape, name, err)
		}
	}
	for _, name := range byField {
		return fmt.Errorf("%s has no field for %s.%s", n.Obj().Name(), shape, name)
	}
	return nil
}

// value joins what lies below a member, an element or a value.
func (j *joiner) value(shape string, t types.Type) error {
	s := j.Shapes[shape]
	if !j.fits(shape, t) {
		return fmt.Errorf("the shape %s is a %s, %v is not", shape, s.Type, t)
	}
	switch s.Type {
	case model.Structure:
		return j.structure(shape, named(t))
	case model.Union:
		for name, n := range j.sdk.unions[named(t).Obj().Name()] {
			if err := j.value(s.Members[name].Shape, fields(n)[0].Type()); err != nil {
				return err
			}
		}
	case model.List:
		return j.value(s.Element, t.Underlying().(*types.Slice).Elem())
	case model.Map:
		return j.value(s.Element, t.Underlying().(*types.Map).Elem())
	case model.String:
		if n := named(t); n != nil {
			for _, v := range j.sdk.enums[n.Obj().Name()] {
				if !slices.Contains(s.Enum, v) {
					s.Enum = append(s.Enum, v)
				}
			}
		}
	}
	return nil
}

// fits reports whether a value of the shape can be kept in a t.
func (j *joiner) fits(shape string, t types.Type) bool {
	s := j.Shapes[shape]
	if s.Type != typeOf(t) {
		return false
	}
	switch s.Type {
	case model.List:
		return j.fits(s.Element, t.Underlying().(*types.Slice).Elem())
	case model.Map:
		return j.fits(s.Element, t.Underlying().(*types.Map).Elem())
	}
	return true
}

// memberShape is the shape of a new member: the usual one if the service
// gives the name one meaning. A type with a name of its own says more than the
// member's name.
func (j *joiner) memberShape(name string, t types.Type) string {
	usual := j.usual[strings.ToLower(name)]
	if usual == "" || named(t) != nil && typeOf(t) != model.Timestamp || j.Shapes[usual].Enum != nil || !j.fits(usual, t) {
		return j.infer(t)
	}
	return usual
}

// infer names the shape of a Go type that the table does not have yet, and
// makes it. A shape of the table with the type's own name is taken instead.
func (j *joiner) infer(t types.Type) string {
	kind, n := typeOf(t), named(t)
	if n != nil && kind != model.Timestamp && kind != model.Blob {
		own := n.Obj().Name()
		for _, name := range []string{own, strings.ToLower(own[:1]) + own[1:]} {
			if s := j.Shapes[name]; s != nil && s.Type == kind {
				return name
			}
		}
	}
	s := &model.Shape{Type: kind}
	name := string(kind)
	switch kind {
	case model.List:
		s.Element = j.infer(t.Underlying().(*types.Slice).Elem())
		name = s.Element + "List"
	case model.Map:
		s.Key, s.Element = j.infer(types.Typ[types.String]), j.infer(t.Underlying().(*types.Map).Elem())
		name = s.Element + "Map"
	case model.Structure, model.Union:
		name, s.Members = n.Obj().Name(), map[string]*model.Member{}
		for member, c := range j.sdk.unions[name] {
			s.Members[member] = &model.Member{Shape: j.infer(fields(c)[0].Type()), Field: c.Obj().Name()}
		}
	case model.String:
		if n != nil {
			name = n.Obj().Name()
		}
	}
	name = "sdk." + strings.TrimPrefix(name, "sdk.") // apart from the model's own names
	if j.Shapes[name] == nil {
		j.Shapes[name] = s
	}
	return name
}

// memberName names a new member as the protocol does.
func (j *joiner) memberName(field string) string {
	if j.Protocol == model.Query || j.capitals {
		return field
	}
	return string(unicode.ToLower(rune(field[0]))) + field[1:]
}

// prune removes the shapes that no operation and no error leads to.
func (j *joiner) prune() {
	reached := map[string]bool{}
	var reach func(string)
	reach = func(name string) {
		if name == "" || reached[name] {
			return
		}
		reached[name] = true
		s := j.Shapes[name]
		reach(s.Element)
		reach(s.Key)
		for _, m := range s.Members {
			reach(m.Shape)
		}
	}
	for _, o := range j.Operations {
		reach(o.Input)
		reach(o.Output)
	}
	for name := range j.sdk.errors {
		reach(name)
	}
	maps.DeleteFunc(j.Shapes, func(name string, _ *model.Shape) bool { return !reached[name] })
}

// typeOf says which type of shape a Go type is for.
func typeOf(t types.Type) model.Type {
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	switch types.TypeString(t, nil) {
	case "time.Time":
		return model.Timestamp
	case "[]byte", "io.Reader", "io.ReadCloser":
		return model.Blob
	}
	switch u := t.Underlying().(type) {
	case *types.Struct:
		return model.Structure
	case *types.Slice:
		return model.List
	case *types.Map:
		return model.Map
	case *types.Interface:
		return model.Union
	case *types.Basic:
		switch {
		case u.Info()&types.IsInteger != 0:
			return model.Integer
		case u.Info()&types.IsFloat != 0:
			return model.Float
		case u.Info()&types.IsBoolean != 0:
			return model.Boolean
		}
	}
	return model.String
}

func upperFirst(s string) string { return string(unicode.ToUpper(rune(s[0]))) + s[1:] }
