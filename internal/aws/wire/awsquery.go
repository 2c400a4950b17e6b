package wire

import (
	"net/http"
	"reflect"

	"github.com/gatehouse-registry/gatehouse/internal/truncate"
)

// awsQuery is the protocol of forms: all of a request is parameters, and the
// answer is XML. A client may send them in the query string as well, and by GET,
// as the presigned GetCallerIdentity of many tools does.
type awsQuery struct{ *Service }

func (p awsQuery) open(x *exchange) error {
	if err := x.precheck(p.Service, ""); err != nil {
		return err
	}
	if err := x.readForm(); err != nil {
		return err
	}
	return p.find(x)
}

// readForm reads the body and the parameters into x.
func (x *exchange) readForm() (err error) {
	if m := x.r.Method; m != http.MethodPost && m != http.MethodGet {
		return &MethodError{Method: m, Allow: "GET, POST"}
	}
	if err := x.buffer(DefaultMaxBody); err != nil {
		return err
	}
	x.form, err = parseForm(x.r.URL.RawQuery, x.body.String())
	return err
}

// find finds the operation in the form.
func (p awsQuery) find(x *exchange) error {
	action, version := x.form.get("Action"), x.form.get("Version")
	if x.op = p.ops[action]; x.op == nil || (version != "" && version != p.table.Version) {
		return &UnknownOperationError{Operation: truncate.String(action, 200), Version: truncate.String(version, 100)}
	}
	return nil
}

func (p awsQuery) decode(x *exchange, v reflect.Value) error {
	r := formReader{form: x.form, path: make([]byte, 0, 128)}
	return r.structure(x.op.in, v)
}

func (p awsQuery) encode(x *exchange, v reflect.Value) {
	x.send("text/xml", http.StatusOK, func(b []byte) []byte {
		b = append(append(append(b, '<'), x.op.name...), `Response xmlns="`...)
		b = append(append(b, p.table.Namespace...), `">`...)
		if v.IsValid() && x.op.out != nil {
			b = appendXML(b, x.op.name+"Result", x.op.out, v)
		}
		b = append(b, "<ResponseMetadata><RequestId>"...)
		b = append(appendEscaped(b, x.id), "</RequestId></ResponseMetadata></"...)
		return append(append(b, x.op.name...), "Response>"...)
	})
}

func (p awsQuery) fail(x *exchange, f failure) {
	kind := "Sender"
	if f.status >= http.StatusInternalServerError {
		kind = "Receiver"
	}
	x.send("text/xml", f.status, func(b []byte) []byte {
		b = append(append(b, `<ErrorResponse xmlns="`...), p.table.Namespace...)
		b = append(append(b, `"><Error><Type>`...), kind...)
		b = append(appendEscaped(append(b, "</Type><Code>"...), f.code), "</Code><Message>"...)
		b = append(appendEscaped(b, f.message), "</Message></Error><RequestId>"...)
		return append(appendEscaped(b, x.id), "</RequestId></ErrorResponse>"...)
	})
}
