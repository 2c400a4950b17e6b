package wire

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire/model"
)

// appendJSON appends v, a value of the type n.typ, without the members that
// travel outside the body.
func appendJSON(b []byte, n *node, v reflect.Value) []byte {
	switch n.kind {
	case kindStruct:
		b = append(b, '{')
		return append(appendMembers(b, n, v), '}')
	case kindUnion:
		f, value := n.caseOf(v)
		b = append(append(b, '{'), f.quoted...)
		return append(appendJSON(b, f.node, value), '}')
	case kindList:
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, n.elem, reflect.Indirect(v.Index(i)))
		}
		return append(b, ']')
	case kindMap:
		b = append(b, '{')
		for i, k := range sortedKeys(v) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendQuoted(b, k.String()), ':')
			b = appendJSON(b, n.elem, reflect.Indirect(v.MapIndex(k)))
		}
		return append(b, '}')
	case kindString:
		return appendQuoted(b, v.String())
	case kindBool:
		return strconv.AppendBool(b, v.Bool())
	case kindInt:
		return strconv.AppendInt(b, v.Int(), 10)
	case kindFloat:
		if f := v.Float(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return appendReal(b, f)
		}
		return append(b, "null"...)
	case kindTime:
		return appendEpoch(b, v)
	case kindBlob:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, v.Bytes())
		return append(b, '"')
	}
	panic("wire: cannot write a " + n.kind.String())
}

// appendMembers appends the members of a structure without the braces.
func appendMembers(b []byte, n *node, v reflect.Value) []byte {
	start := len(b)
	for i := range n.fields {
		f := &n.fields[i]
		fv := v.FieldByIndex(f.index)
		if f.in != model.InBody || (unset(fv) && !n.alwaysWrites(f)) {
			continue
		}
		if len(b) > start {
			b = append(b, ',')
		}
		b = append(b, f.quoted...)
		if f.ptr {
			fv = fv.Elem()
		}
		b = appendJSON(b, f.node, fv)
	}
	return b
}

// alwaysWrites reports whether a list is written even if it is nil. An answer
// always has its lists, since programs in scripting languages iterate over them
// without a check.
func (n *node) alwaysWrites(f *field) bool {
	return f.node.kind == kindList && (n.answer || f.required)
}

// caseOf returns the case that a union has, and its value.
func (n *node) caseOf(v reflect.Value) (*field, reflect.Value) {
	c := v.Elem()
	for i := range n.fields {
		if f := &n.fields[i]; f.union == c.Type() {
			return f, c.Elem().FieldByIndex(f.index)
		}
	}
	panic("wire: " + n.typ.String() + " has no case " + c.Type().String())
}

func appendQuoted(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s) // the error reports invalid UTF-8, which AppendQuote replaces
	return b
}

// appendReal appends a number so that it is not an integer on the wire: decoders
// that tell the two apart by their form, such as OCaml's yojson, take an integer
// for a member of another type.
func appendReal(b []byte, f float64) []byte {
	start := len(b)
	b = strconv.AppendFloat(b, f, 'g', -1, 64)
	if !bytes.ContainsAny(b[start:], ".e") {
		b = append(b, ".0"...)
	}
	return b
}

// appendEpoch appends a timestamp in seconds with the milliseconds as a fraction,
// which is there even if it is zero: see appendReal.
func appendEpoch(b []byte, v reflect.Value) []byte {
	t, _ := reflect.TypeAssert[time.Time](v)
	ms := t.UnixMilli()
	if ms < 0 { // the fraction of a negative number counts the other way
		b, ms = append(b, '-'), -ms
	}
	b = strconv.AppendInt(b, ms/1000, 10)
	ms %= 1000
	if ms == 0 {
		return append(b, ".0"...)
	}
	return append(b, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
}

// sortedKeys returns the keys of a map in order, which makes answers
// reproducible.
func sortedKeys(v reflect.Value) []reflect.Value {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
	return keys
}

// unset reports whether a member is absent. The SDK's structs have plain strings
// for enums only, and "" is an absent enum. Plain numbers and booleans are members
// with a default, and always there.
func unset(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return v.IsNil()
	case reflect.String:
		return v.Len() == 0
	}
	return false
}
