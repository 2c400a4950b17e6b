package wire

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxFailures bounds how many failures a ValidationError lists, so that a long
// list of bad elements does not make a long answer.
const maxFailures = 20

// maxValue bounds how much of a value a message repeats, in bytes.
const maxValue = 256

// validate checks v against all constraints of the table.
func validate(n *node, v reflect.Value) error {
	var c checker
	c.members(n, v, nil)
	if len(c.failures) == 0 {
		return nil
	}
	return &ValidationError{Failures: c.failures}
}

type checker struct{ failures []Failure }

// A trail is the way to a member. It becomes text only where one fails.
type trail struct {
	above *trail
	name  string
	index int // from 1, of a list's element; 0 otherwise
}

func (t *trail) String() string {
	if t == nil {
		return ""
	}
	own := t.name
	if t.index > 0 {
		own = strconv.Itoa(t.index) + ".member"
	}
	if t.above == nil {
		return own
	}
	return t.above.String() + "." + own
}

func (c *checker) members(n *node, v reflect.Value, at *trail) {
	for i := range n.fields {
		f := &n.fields[i]
		fv := v.Field(f.index)
		if unset(fv) {
			if f.required {
				c.fail(&trail{above: at, name: f.path}, Required, "", "")
			}
			continue
		}
		if f.ptr {
			fv = fv.Elem()
		} else if f.node.kind == kindInt && fv.IsZero() {
			continue // a number that has no pointer cannot say that it is absent
		}
		if f.node.rule != nil || f.node.kind >= kindStruct {
			c.value(f.node, fv, &trail{above: at, name: f.path})
		}
	}
}

func (c *checker) value(n *node, v reflect.Value, at *trail) {
	if n.rule != nil {
		c.rule(n, v, at)
	}
	switch n.kind {
	case kindStruct:
		c.members(n, v, at)
	case kindUnion:
		f, value := n.caseOf(v)
		c.value(f.node, value, &trail{above: at, name: f.path})
	case kindList:
		if n.elem.rule == nil && n.elem.kind < kindStruct {
			return
		}
		for i := range v.Len() {
			c.value(n.elem, reflect.Indirect(v.Index(i)), &trail{above: at, index: i + 1})
		}
	case kindMap:
		if n.elem.rule == nil && n.elem.kind < kindStruct {
			return
		}
		for _, k := range sortedKeys(v) {
			c.value(n.elem, reflect.Indirect(v.MapIndex(k)), &trail{above: at, name: shorten(k.String(), maxValue)})
		}
	}
}

func (c *checker) rule(n *node, v reflect.Value, at *trail) {
	r := n.rule
	switch n.kind {
	case kindString:
		s := v.String()
		if r.enum != nil && !slices.Contains(r.enum, s) {
			c.fail(at, Enum, strings.Join(r.enum, ", "), n.show(s))
		}
		if r.pattern != nil && !r.pattern.MatchString(s) {
			c.fail(at, Pattern, r.spelled, n.show(s))
		}
		if r.min != nil || r.max != nil {
			c.length(n, utf8.RuneCountInString(s), v, at)
		}
	case kindInt:
		if i := v.Int(); r.min != nil && i < *r.min {
			c.fail(at, MinValue, strconv.FormatInt(*r.min, 10), strconv.FormatInt(i, 10))
		} else if r.max != nil && i > *r.max {
			c.fail(at, MaxValue, strconv.FormatInt(*r.max, 10), strconv.FormatInt(i, 10))
		}
	case kindBlob, kindList, kindMap:
		c.length(n, v.Len(), v, at)
	}
}

func (c *checker) length(n *node, length int, v reflect.Value, at *trail) {
	r := n.rule
	if r.min != nil && int64(length) < *r.min {
		c.fail(at, MinLength, strconv.FormatInt(*r.min, 10), n.show(textOf(v)))
	} else if r.max != nil && int64(length) > *r.max {
		c.fail(at, MaxLength, strconv.FormatInt(*r.max, 10), n.show(textOf(v)))
	}
}

// show is what a message may repeat of a value.
func (n *node) show(s string) string {
	if n.sensitive {
		return "***"
	}
	return shorten(s, maxValue)
}

// textOf is how messages write a value that has a length.
func textOf(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.String:
		return v.String()
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.String:
		texts := make([]string, 0, min(v.Len(), maxValue))
		for i := range cap(texts) {
			texts = append(texts, v.Index(i).String())
		}
		return "[" + strings.Join(texts, ", ") + "]"
	case v.Len() == 0:
		return "[]"
	}
	return "[…]"
}

func (c *checker) fail(at *trail, constraint Constraint, bound, value string) {
	if len(c.failures) < maxFailures {
		c.failures = append(c.failures, Failure{Member: at.String(), Constraint: constraint, Bound: bound, Value: value})
	}
}
