package wire

import (
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-registry/gatehouse/internal/truncate"
)

// A form is the parameters of an awsQuery request in the order of their names,
// so that everything below a name is adjacent.
type form []parameter

type parameter struct{ name, value string }

// maxParameters bounds the parameters of a request: parsed, each costs many times the
// two bytes that it can have.
const maxParameters = 20_000

// parseForm parses the query string and the body of a request as one form. A
// name may occur once.
func parseForm(query, body string) (form, error) {
	var f form
	if n := strings.Count(query, "&") + strings.Count(body, "&") + 2; n > maxParameters {
		return nil, malformed("The request has more than %d parameters.", maxParameters)
	}
	for _, part := range []string{query, body} {
		if part == "" {
			continue
		}
		f = slices.Grow(f, strings.Count(part, "&")+1)
		for pair := range strings.SplitSeq(part, "&") {
			if pair == "" {
				continue
			}
			name, value, _ := strings.Cut(pair, "=")
			name, err := url.QueryUnescape(name)
			if err != nil {
				return nil, malformed("The request has a parameter name with an invalid escape.")
			}
			if value, err = url.QueryUnescape(value); err != nil {
				return nil, malformed("The value of the parameter %s has an invalid escape.", truncate.String(name, 100))
			}
			if !utf8.ValidString(name) || !utf8.ValidString(value) {
				return nil, malformed("The request has a parameter that is not valid UTF-8.")
			}
			f = append(f, parameter{name, value})
		}
	}
	slices.SortFunc(f, func(a, b parameter) int { return strings.Compare(a.name, b.name) })
	for i := 1; i < len(f); i++ {
		if f[i].name == f[i-1].name {
			return nil, malformed("The parameter %s occurs twice.", truncate.String(f[i].name, 100))
		}
	}
	return f, nil
}

// get returns the parameter with exactly that name.
func (f form) get(name string) string {
	v, _ := f.lookup([]byte(name))
	return v
}

func (f form) lookup(name []byte) (string, bool) {
	if i := f.search(name); i < len(f) && f[i].name == string(name) {
		return f[i].value, true
	}
	return "", false
}

// countBelow counts the parameters whose name begins with prefix, which ends in a dot.
func (f form) countBelow(prefix []byte) int {
	first := f.search(prefix)
	n := 0
	for i := first; i < len(f) && strings.HasPrefix(f[i].name, string(prefix)); i++ {
		n++
	}
	return n
}

// search finds the first parameter whose name is not less.
func (f form) search(name []byte) int {
	lo, hi := 0, len(f)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if f[mid].name < string(name) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// A formReader reads an input from a form. A list is Name.member.1,
// Name.member.2 and so on, a map Name.entry.1.key and Name.entry.1.value.
type formReader struct {
	form
	path []byte // the name of the value being read
}

// structure reads the members of n that the form has.
func (r *formReader) structure(n *node, v reflect.Value) error {
	length := len(r.path)
	for i := range n.fields {
		f := &n.fields[i]
		if length > 0 {
			r.path = append(r.path, '.')
		}
		r.path = append(r.path, f.wire...)
		if r.has() {
			if err := r.value(f.node, settable(v.FieldByIndex(f.index), f.ptr)); err != nil {
				return err
			}
		}
		r.path = r.path[:length]
	}
	return nil
}

// has reports whether the form has the value being read, or a part of it.
func (r *formReader) has() bool {
	i := r.search(r.path)
	if i == len(r.form) {
		return false
	}
	if r.form[i].name == string(r.path) {
		return true
	}
	length := len(r.path)
	r.path = append(r.path, '.')
	i = r.search(r.path) // names with a character before the dot may lie between
	found := i < len(r.form) && strings.HasPrefix(r.form[i].name, string(r.path))
	r.path = r.path[:length]
	return found
}

func (r *formReader) value(n *node, v reflect.Value) error {
	switch n.kind {
	case kindStruct:
		return r.structure(n, v)
	case kindUnion:
		return r.union(n, v)
	case kindList:
		return r.list(n, v)
	case kindMap:
		return r.mapping(n, v)
	}
	s, ok := r.lookup(r.path)
	if !ok || !setText(n, v, s) {
		return malformed("The parameter %s must be %s.", truncate.String(string(r.path), 100), n.kind)
	}
	return nil
}

func (r *formReader) union(n *node, v reflect.Value) error {
	length := len(r.path)
	for i := range n.fields {
		f := &n.fields[i]
		r.path = append(append(r.path[:length], '.'), f.wire...)
		if !r.has() {
			continue
		}
		if !v.IsNil() {
			return malformed("The parameter %s has more than one member.", truncate.String(string(r.path[:length]), 100))
		}
		c := reflect.New(f.union.Elem())
		v.Set(c)
		if err := r.value(f.node, c.Elem().FieldByIndex(f.index)); err != nil {
			return err
		}
	}
	r.path = r.path[:length]
	if v.IsNil() {
		return malformed("The parameter %s has no member that this server knows.", truncate.String(string(r.path), 100))
	}
	return nil
}

func (r *formReader) list(n *node, v reflect.Value) error {
	s := reflect.MakeSlice(n.typ, 0, 4)
	err := r.elements(".member.", func() error {
		s = extend(s)
		return r.value(n.elem, elementOf(s.Index(s.Len()-1)))
	})
	v.Set(s)
	return err
}

func (r *formReader) mapping(n *node, v reflect.Value) error {
	m := reflect.MakeMap(n.typ)
	err := r.elements(".entry.", func() error {
		length := len(r.path)
		key, ok := r.lookup(append(r.path, ".key"...))
		if !ok {
			return malformed("The parameter %s has no key.", truncate.String(string(r.path), 100))
		}
		k := reflect.ValueOf(key).Convert(n.typ.Key())
		if m.MapIndex(k).IsValid() {
			return malformed("The parameter %s has a key that occurs twice.", truncate.String(string(r.path), 100))
		}
		e := reflect.New(n.typ.Elem()).Elem()
		r.path = append(r.path, ".value"...)
		if !r.has() {
			return malformed("The parameter %s is missing.", truncate.String(string(r.path), 100))
		}
		if err := r.value(n.elem, elementOf(e)); err != nil {
			return err
		}
		r.path = r.path[:length]
		m.SetMapIndex(k, e)
		return nil
	})
	v.Set(m)
	return err
}

// elements reads the numbered elements below the value being read, from 1 upwards.
// "Name=" is an empty list.
func (r *formReader) elements(infix string, read func() error) error {
	start := len(r.path)
	if s, ok := r.lookup(r.path); ok && s != "" {
		return malformed("The parameter %s must be numbered.", truncate.String(string(r.path), 100))
	}
	r.path = append(r.path, '.')
	left := r.countBelow(r.path)
	r.path = append(r.path[:start], infix...)
	length := len(r.path)
	for i := 1; left > 0; i++ {
		r.path = strconv.AppendInt(r.path[:length], int64(i), 10)
		if !r.has() {
			return malformed("The parameter %s must be numbered from 1 without gaps.", truncate.String(string(r.path[:start]), 100))
		}
		if _, ok := r.lookup(r.path); ok {
			left--
		}
		end := len(r.path)
		if err := read(); err != nil {
			return err
		}
		r.path = append(r.path[:end], '.')
		left -= r.countBelow(r.path)
	}
	r.path = r.path[:start]
	return nil
}
