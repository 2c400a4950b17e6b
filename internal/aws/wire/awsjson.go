package wire

import (
	"net/http"
	"reflect"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire/model"
	"github.com/gatehouse-registry/gatehouse/internal/truncate"
)

const awsJSONType = "application/x-amz-json-1.1"

// awsJSON is awsJson1.1: the operation is in the header X-Amz-Target, and
// everything else in the body.
type awsJSON struct{ *Service }

func (p awsJSON) open(x *exchange) error {
	if x.r.Method != http.MethodPost {
		return &MethodError{Method: x.r.Method, Allow: http.MethodPost}
	}
	target := x.r.Header.Get("X-Amz-Target")
	prefix, name, _ := strings.Cut(target, ".")
	if x.op = p.ops[name]; x.op == nil || prefix != p.table.TargetPrefix {
		return &UnknownOperationError{Operation: truncate.String(target, 200)}
	}
	return x.readBody()
}

func (p awsJSON) decode(x *exchange, v reflect.Value) error { return readJSON(x.body, x.op.in, v) }

func (p awsJSON) encode(x *exchange, v reflect.Value) {
	x.send(awsJSONType, http.StatusOK, func(b []byte) []byte { return appendOutput(b, x.op.out, v) })
}

func (p awsJSON) fail(x *exchange, f failure) { x.failJSON(awsJSONType, f) }

// failJSON writes an error of a JSON protocol. The code is in each of the three
// places of which a client may read one alone (AWS restJson1 protocol, "Operation
// error serialization"): the header X-Amzn-Errortype, __type and code.
func (x *exchange) failJSON(contentType string, f failure) {
	x.send(contentType, f.status, func(b []byte) []byte {
		b = append(b, `{"__type":`...)
		b = appendQuoted(b, f.code)
		b = append(b, `,"code":`...)
		b = append(appendQuoted(b, f.code), ',')
		return append(f.appendMembers(b), '}')
	})
}

// appendOutput appends the body of an answer, which is an object even if it has
// no members.
func appendOutput(b []byte, n *node, v reflect.Value) []byte {
	if n == nil || !v.IsValid() {
		return append(b, "{}"...)
	}
	return appendJSON(b, n, v)
}

// appendMembers appends the members of a JSON error besides its code.
func (f failure) appendMembers(b []byte) []byte {
	if f.members != nil {
		if out := appendMembers(b, f.members, f.value); len(out) > len(b) {
			return out
		}
	}
	b = append(b, `"message":`...)
	return appendQuoted(b, f.message)
}

// setHeaders sets the headers that members of an answer or an error travel in.
func setHeaders(h http.Header, n *node, v reflect.Value) {
	for i := range n.fields {
		f := &n.fields[i]
		fv := v.FieldByIndex(f.index)
		if f.in == model.InHeader && !unset(fv) {
			h.Set(f.name, string(appendText(nil, f.node, reflect.Indirect(fv))))
		}
	}
}
