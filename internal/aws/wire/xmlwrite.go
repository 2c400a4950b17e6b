package wire

import (
	"encoding/xml"
	"reflect"
	"strings"
)

// appendXML appends v, a value of the type n.typ, as awsQuery's element of that
// name.
func appendXML(b []byte, name string, n *node, v reflect.Value) []byte {
	b = append(append(append(b, '<'), name...), '>')
	switch n.kind {
	case kindStruct:
		for i := range n.fields {
			f := &n.fields[i]
			if fv := v.Field(f.index); !unset(fv) || n.alwaysWrites(f) {
				if f.ptr {
					fv = fv.Elem()
				}
				b = appendXML(b, f.wire, f.node, fv)
			}
		}
	case kindUnion:
		f, value := n.caseOf(v)
		b = appendXML(b, f.wire, f.node, value)
	case kindList:
		for i := range v.Len() {
			b = appendXML(b, "member", n.elem, reflect.Indirect(v.Index(i)))
		}
	case kindMap:
		for _, k := range sortedKeys(v) {
			b = append(b, "<entry><key>"...)
			b = appendEscaped(b, k.String())
			b = append(b, "</key>"...)
			b = appendXML(b, "value", n.elem, reflect.Indirect(v.MapIndex(k)))
			b = append(b, "</entry>"...)
		}
	case kindString:
		b = appendEscaped(b, v.String())
	default:
		b = appendText(b, n, v)
	}
	return append(append(append(b, "</"...), name...), '>')
}

// appendEscaped appends character data. What XML cannot hold becomes U+FFFD.
func appendEscaped(b []byte, s string) []byte {
	if strings.IndexFunc(s, needsEscape) < 0 {
		return append(b, s...)
	}
	w := appender(b)
	_ = xml.EscapeText(&w, []byte(s)) // an appender never fails
	return w
}

func needsEscape(r rune) bool {
	return r < ' ' || r == '&' || r == '<' || r == '>' || r == '"' || r == '\'' || r > '~'
}

type appender []byte

func (a *appender) Write(p []byte) (int, error) { *a = append(*a, p...); return len(p), nil }
