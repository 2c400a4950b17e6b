package wire

import (
	"encoding/xml"
	"reflect"
)

// appendXML appends v, a value of the type n.typ, as awsQuery's element of that
// name.
func appendXML(b []byte, name string, n *node, v reflect.Value) []byte {
	b = append(append(append(b, '<'), name...), '>')
	switch n.kind {
	case kindStruct:
		for i := range n.fields {
			f := &n.fields[i]
			if fv := v.FieldByIndex(f.index); !unset(fv) || n.alwaysWrites(f) {
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
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '&' || c == '<' || c == '>' || c == '"' || c == '\'' {
			w := appender(append(b, s[:i]...))
			_ = xml.EscapeText(&w, []byte(s[i:])) // an appender never fails
			return w
		}
	}
	return append(b, s...)
}

type appender []byte

func (a *appender) Write(p []byte) (int, error) { *a = append(*a, p...); return len(p), nil }
