package wire

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire/model"
	"github.com/gatehouse-registry/gatehouse/internal/truncate"
)

// maxDepth bounds how deep objects and arrays may nest in what is decoded. The
// deepest input that the services have needs less than a tenth of it.
const maxDepth = 100

var jsonDecoders = sync.Pool{New: func() any { return new(jsontext.Decoder) }}

// readJSON reads a whole document into v. An empty one counts as {}. The
// decoder refuses duplicate names and invalid UTF-8 by default.
func readJSON(body *bytes.Buffer, n *node, v reflect.Value) error {
	if len(bytes.TrimSpace(body.Bytes())) == 0 {
		return nil
	}
	d := jsonDecoders.Get().(*jsontext.Decoder)
	defer jsonDecoders.Put(d)
	d.Reset(body)
	err := jsonReader{d}.value(n, v)
	if err == nil {
		if _, err = d.ReadToken(); err == nil {
			return malformed("There is something after the end of the JSON document.")
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
	}
	var own *SerializationError
	if errors.As(err, &own) {
		return own
	}
	return malformed("The request body is not valid JSON: %s", truncate.String(strings.TrimPrefix(err.Error(), "jsontext: "), 200))
}

type jsonReader struct{ *jsontext.Decoder }

// value reads the next value into v, which is of the type n.typ.
func (d jsonReader) value(n *node, v reflect.Value) error {
	switch n.kind {
	case kindStruct:
		return d.object(n, func(f *field) error { return d.value(f.node, settable(v.FieldByIndex(f.index), f.ptr)) })
	case kindUnion:
		return d.union(n, v)
	case kindList:
		return d.list(n, v)
	case kindMap:
		return d.mapping(n, v)
	}
	raw, err := d.ReadValue()
	if err != nil {
		return err
	}
	if !setScalar(n, v, raw) {
		return d.mismatch(n)
	}
	return nil
}

// object reads an object, and each known member of it with read. Members that
// are null or unknown are ignored, as AWS does.
func (d jsonReader) object(n *node, read func(*field) error) error {
	if err := d.open(n, '{'); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadValue() // raw, since unquoting a known name would allocate
		if err != nil {
			return err
		}
		f := n.byWire[string(name[1:len(name)-1])]
		if f == nil && bytes.IndexByte(name, '\\') >= 0 {
			plain, _ := unquote(name)
			f = n.byWire[plain]
		}
		if f == nil || f.in != model.InBody || d.PeekKind() == 'n' {
			err = d.SkipValue()
		} else {
			err = read(f)
		}
		if err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

func (d jsonReader) union(n *node, v reflect.Value) error {
	if len(n.fields) == 0 {
		return malformed("%s is not supported by this server.", d.location())
	}
	err := d.object(n, func(f *field) error {
		if !v.IsNil() {
			return malformed("%s has more than one member.", d.location())
		}
		c := reflect.New(f.union.Elem())
		v.Set(c)
		return d.value(f.node, c.Elem().FieldByIndex(f.index))
	})
	if err == nil && v.IsNil() {
		return malformed("%s has no member that this server knows.", d.location())
	}
	return err
}

func (d jsonReader) list(n *node, v reflect.Value) error {
	if err := d.open(n, '['); err != nil {
		return err
	}
	s := reflect.MakeSlice(n.typ, 0, 4)
	for d.PeekKind() != ']' {
		s = extend(s)
		if err := d.value(n.elem, elementOf(s.Index(s.Len()-1))); err != nil {
			return err
		}
	}
	v.Set(s)
	_, err := d.ReadToken()
	return err
}

func (d jsonReader) mapping(n *node, v reflect.Value) error {
	if err := d.open(n, '{'); err != nil {
		return err
	}
	m := reflect.MakeMap(n.typ)
	for d.PeekKind() != '}' {
		key, err := d.ReadToken()
		if err != nil {
			return err
		}
		k := reflect.ValueOf(key.String()).Convert(n.typ.Key())
		e := reflect.New(n.typ.Elem()).Elem()
		if err := d.value(n.elem, elementOf(e)); err != nil {
			return err
		}
		m.SetMapIndex(k, e)
	}
	v.Set(m)
	_, err := d.ReadToken()
	return err
}

func (d jsonReader) open(n *node, delimiter jsontext.Kind) error {
	if k := d.PeekKind(); k != delimiter {
		if _, err := d.ReadValue(); err != nil {
			return err // not JSON at all, which is the better message
		}
		return d.mismatch(n)
	}
	if d.StackDepth() >= maxDepth {
		return malformed("The JSON document nests deeper than %d levels.", maxDepth)
	}
	_, err := d.ReadToken()
	return err
}

// mismatch says that the value that was just read is not what n holds.
func (d jsonReader) mismatch(n *node) error {
	return malformed("%s must be %s.", d.location(), n.kind)
}

// location names the value that was just read, or the one that is open.
func (d jsonReader) location() string {
	p := string(d.StackPointer())
	if p == "" {
		return "The request body"
	}
	return "The member " + truncate.String(strings.ReplaceAll(p[1:], "/", "."), 100)
}

// setScalar sets v to what the JSON value raw stands for, and reports whether
// it is of the kind.
func setScalar(n *node, v reflect.Value, raw jsontext.Value) bool {
	switch n.kind {
	case kindString:
		s, ok := unquote(raw)
		if ok {
			v.SetString(s)
		}
		return ok
	case kindBlob:
		return setBlob(v, raw)
	case kindBool:
		v.SetBool(raw[0] == 't')
		return raw[0] == 't' || raw[0] == 'f'
	}
	if raw.Kind() != '0' {
		return false
	}
	if n.kind == kindInt {
		i, err := strconv.ParseInt(string(raw), 10, v.Type().Bits())
		v.SetInt(i)
		return err == nil
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return false
	}
	if n.kind == kindFloat {
		v.SetFloat(f)
		return true
	}
	return n.kind == kindTime && setEpoch(v, f)
}

func unquote(raw jsontext.Value) (string, bool) {
	if raw[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), true
	}
	b, err := jsontext.AppendUnquote(nil, raw)
	return string(b), err == nil
}

// setBlob decodes base64 directly from the body: a layer part has 20 MiB.
func setBlob(v reflect.Value, raw jsontext.Value) bool {
	if raw[0] != '"' {
		return false
	}
	text := []byte(raw[1 : len(raw)-1])
	if bytes.IndexByte(text, '\\') >= 0 { // "\/" is the same as "/"
		s, ok := unquote(raw)
		if !ok {
			return false
		}
		text = []byte(s)
	}
	b := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(b, text)
	if err != nil {
		return false
	}
	v.SetBytes(b[:n])
	return true
}

// The times whose year has four digits, which every protocol can carry.
const minEpoch, maxEpoch = -62135596800, 253402300799

func setEpoch(v reflect.Value, f float64) bool {
	if f < minEpoch || f > maxEpoch {
		return false
	}
	sec, frac := math.Modf(f)
	*v.Addr().Interface().(*time.Time) = time.Unix(int64(sec), int64(math.Round(frac*1e3))*1e6).UTC()
	return true
}

// settable returns the value to decode into, allocated behind a pointer.
func settable(v reflect.Value, ptr bool) reflect.Value {
	if !ptr {
		return v
	}
	if v.IsNil() {
		v.Set(reflect.New(v.Type().Elem()))
	}
	return v.Elem()
}

func elementOf(v reflect.Value) reflect.Value { return settable(v, v.Kind() == reflect.Pointer) }

// extend adds a zero element to a slice.
func extend(s reflect.Value) reflect.Value {
	if s.Len() == s.Cap() {
		grown := reflect.MakeSlice(s.Type(), s.Len(), 2*s.Cap())
		reflect.Copy(grown, s)
		s = grown
	}
	return s.Slice(0, s.Len()+1)
}

// String says what a value of the kind is in JSON.
func (k kind) String() string {
	switch k {
	case kindString:
		return "a string"
	case kindBool:
		return "true or false"
	case kindInt:
		return "an integer"
	case kindFloat:
		return "a number"
	case kindBlob, kindStream:
		return "base64"
	case kindTime:
		return "a timestamp"
	case kindList:
		return "a list"
	case kindMap:
		return "a map"
	default:
		return "a structure"
	}
}
