package wire

import (
	"encoding/base64"
	"math"
	"reflect"
	"strconv"
	"time"
)

// setText sets v to what a text stands for, in the form that forms, query
// strings and headers share. It reports whether the text has that form.
func setText(n *node, v reflect.Value, s string) bool {
	switch n.kind {
	case kindString:
		v.SetString(s)
		return true
	case kindBool:
		v.SetBool(s == "true")
		return s == "true" || s == "false"
	case kindInt:
		i, err := strconv.ParseInt(s, 10, v.Type().Bits())
		v.SetInt(i)
		return err == nil
	case kindFloat:
		f, err := strconv.ParseFloat(s, 64)
		v.SetFloat(f)
		return err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
	case kindTime:
		t, err := time.Parse(time.RFC3339Nano, s)
		v.Set(reflect.ValueOf(t.UTC()))
		return err == nil
	case kindBlob:
		b, err := base64.StdEncoding.DecodeString(s)
		v.SetBytes(b)
		return err == nil
	}
	return false
}

// appendText appends the text form of a scalar.
func appendText(b []byte, n *node, v reflect.Value) []byte {
	switch n.kind {
	case kindString:
		return append(b, v.String()...)
	case kindBool:
		return strconv.AppendBool(b, v.Bool())
	case kindInt:
		return strconv.AppendInt(b, v.Int(), 10)
	case kindFloat:
		return strconv.AppendFloat(b, v.Float(), 'g', -1, 64)
	case kindTime:
		t, _ := reflect.TypeAssert[time.Time](v)
		return t.UTC().AppendFormat(b, "2006-01-02T15:04:05.999Z")
	case kindBlob:
		return base64.StdEncoding.AppendEncode(b, v.Bytes())
	}
	panic("wire: " + n.kind.String() + " has no text form")
}
