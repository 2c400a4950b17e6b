package wire

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-registry/gatehouse/internal/truncate"
)

// maxFailures bounds how many failures a ValidationError lists, so that a long
// list of bad elements does not make a long answer.
const maxFailures = 20

// maxValue bounds how much of a value a message repeats, in bytes.
const maxValue = 256

// validate checks v against all constraints of the table.
func validate(n *node, v reflect.Value) error {
	var first [8]step
	c := checker{trail: first[:0]}
	c.members(n, v)
	if len(c.failures) == 0 {
		return nil
	}
	return &ValidationError{Failures: c.failures}
}

type checker struct {
	failures []Failure
	// trail leads to the value that is being checked. It becomes text only if the
	// check fails.
	trail []step
}

// A step is one part of a trail.
type step struct {
	name  string
	index int // from 1, of a list's element; 0 otherwise
}

// memberPath returns the trail as messages write it.
func (c *checker) memberPath() string {
	var b strings.Builder
	for i, s := range c.trail {
		if i > 0 {
			b.WriteByte('.')
		}
		if s.index > 0 {
			b.WriteString(strconv.Itoa(s.index) + ".member")
		} else {
			b.WriteString(s.name)
		}
	}
	return b.String()
}

// child checks a value one step below.
func (c *checker) child(s step, n *node, v reflect.Value) {
	c.trail = append(c.trail, s)
	c.value(n, v)
	c.trail = c.trail[:len(c.trail)-1]
}

// needsCheck reports whether a value of the plan can break a constraint.
func (n *node) needsCheck() bool { return n.rule != nil || n.kind >= kindStruct }

func (c *checker) members(n *node, v reflect.Value) {
	for i := range n.fields {
		f := &n.fields[i]
		fv := v.FieldByIndex(f.index)
		if unset(fv) {
			if f.required {
				c.trail = append(c.trail, step{name: f.path})
				c.fail(Required, "", "")
				c.trail = c.trail[:len(c.trail)-1]
			}
			continue
		}
		if f.ptr {
			fv = fv.Elem()
		} else if f.node.kind == kindInt && fv.IsZero() {
			continue // a number without a pointer may be absent
		}
		if f.node.needsCheck() {
			c.child(step{name: f.path}, f.node, fv)
		}
	}
}

func (c *checker) value(n *node, v reflect.Value) {
	if n.rule != nil {
		c.rule(n, v)
	}
	switch n.kind {
	case kindStruct:
		c.members(n, v)
	case kindUnion:
		f, value := n.caseOf(v)
		c.child(step{name: f.path}, f.node, value)
	case kindList:
		if !n.elem.needsCheck() {
			return
		}
		for i := range v.Len() {
			c.child(step{index: i + 1}, n.elem, reflect.Indirect(v.Index(i)))
		}
	case kindMap:
		if !n.elem.needsCheck() {
			return
		}
		for _, k := range sortedKeys(v) {
			c.child(step{name: truncate.String(k.String(), maxValue)}, n.elem, reflect.Indirect(v.MapIndex(k)))
		}
	}
}

func (c *checker) rule(n *node, v reflect.Value) {
	r := n.rule
	switch n.kind {
	case kindString:
		s := v.String()
		if r.enum != nil && !slices.Contains(r.enum, s) {
			c.fail(Enum, strings.Join(r.enum, ", "), n.show(s))
		}
		if r.pattern != nil && !r.pattern().MatchString(s) {
			c.fail(Pattern, r.spelled, n.show(s))
		}
		if r.min != nil || r.max != nil {
			c.length(n, utf8.RuneCountInString(s), v)
		}
	case kindInt:
		if i := v.Int(); r.min != nil && i < *r.min {
			c.fail(MinValue, strconv.FormatInt(*r.min, 10), strconv.FormatInt(i, 10))
		} else if r.max != nil && i > *r.max {
			c.fail(MaxValue, strconv.FormatInt(*r.max, 10), strconv.FormatInt(i, 10))
		}
	case kindBlob, kindList, kindMap:
		c.length(n, v.Len(), v)
	}
}

func (c *checker) length(n *node, length int, v reflect.Value) {
	r := n.rule
	if r.min != nil && int64(length) < *r.min {
		c.fail(MinLength, strconv.FormatInt(*r.min, 10), n.show(textOf(v)))
	} else if r.max != nil && int64(length) > *r.max {
		c.fail(MaxLength, strconv.FormatInt(*r.max, 10), n.show(textOf(v)))
	}
}

// show is what a message may repeat of a value.
func (n *node) show(s string) string {
	if n.sensitive {
		return "***"
	}
	return truncate.String(s, maxValue)
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

func (c *checker) fail(constraint Constraint, bound, value string) {
	if len(c.failures) < maxFailures {
		c.failures = append(c.failures, Failure{Member: c.memberPath(), Constraint: constraint, Bound: bound, Value: value})
	}
}
