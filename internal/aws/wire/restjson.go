package wire

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire/model"
	"github.com/gatehouse-registry/gatehouse/internal/truncate"
)

// restJSON is restJson1: the operation is the method and the path, and each
// member is in the path, in the query string, in a header or in the body.
type restJSON struct {
	*Service
	paths map[string]map[string]*operation // by path and method
	// labelled are the paths that have members.
	labelled []labelledPath
}

// A labelledPath is a path in which some segments are members: their names are in braces.
type labelledPath struct {
	path     string
	segments []string
}

// match reports whether a path that a client sent has the form.
func (l *labelledPath) match(path string) bool {
	segments := strings.Split(path, "/")
	if len(segments) != len(l.segments) {
		return false
	}
	for i, s := range l.segments {
		isMember := strings.HasPrefix(s, "{")
		if isMember && segments[i] == "" || !isMember && s != segments[i] {
			return false
		}
	}
	return true
}

// value returns the segment of a path that matches, unescaped.
func (l *labelledPath) value(path, name string) (string, error) {
	i := slices.Index(l.segments, "{"+name+"}")
	return url.PathUnescape(strings.Split(path, "/")[i])
}

// template returns the path of the table to which the path of a request belongs, or "".
func (p restJSON) template(path string) string {
	if p.paths[path] != nil {
		return path
	}
	for i := range p.labelled {
		if p.labelled[i].match(path) {
			return p.labelled[i].path
		}
	}
	return ""
}

func newRestJSON(s *Service) restJSON {
	p := restJSON{Service: s, paths: map[string]map[string]*operation{}}
	for _, o := range s.ops {
		if p.paths[o.Path] == nil {
			p.paths[o.Path] = map[string]*operation{}
			if strings.Contains(o.Path, "{") {
				p.labelled = append(p.labelled, labelledPath{o.Path, strings.Split(o.Path, "/")})
			}
		}
		p.paths[o.Path][o.Method] = o
	}
	return p
}

func (p restJSON) open(x *exchange) error {
	path := x.r.URL.EscapedPath()
	methods, ok := p.paths[p.template(path)]
	if !ok {
		return &UnknownOperationError{Operation: x.r.Method + " " + truncate.String(path, 200)}
	}
	if x.op = methods[x.r.Method]; x.op == nil {
		allow := make([]string, 0, len(methods))
		for m := range methods {
			allow = append(allow, m)
		}
		slices.Sort(allow)
		return &MethodError{Method: x.r.Method, Allow: strings.Join(allow, ", ")}
	}
	if x.op.streams {
		return nil
	}
	return x.readBody()
}

func (p restJSON) decode(x *exchange, v reflect.Value) error {
	query, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		return malformed("The query string of the request has an invalid escape or separator.")
	}
	for i := range x.op.in.fields {
		f := &x.op.in.fields[i]
		switch f.in {
		case model.InQuery:
			err = f.setTexts(v, query[f.name])
		case model.InHeader:
			err = f.setTexts(v, x.r.Header.Values(f.name))
		case model.InPath:
			l := labelledPath{x.op.Path, strings.Split(x.op.Path, "/")}
			text, unescapeErr := l.value(x.r.URL.EscapedPath(), f.name)
			if unescapeErr != nil {
				return malformed("The path of the request has an invalid escape.")
			}
			err = f.setTexts(v, []string{text})
		case model.InPayload:
			v.FieldByIndex(f.index).Set(reflect.ValueOf(x.r.Body))
		}
		if err != nil {
			return err
		}
	}
	if x.body == nil {
		return nil
	}
	return readJSON(x.body, x.op.in, v)
}

// setTexts sets the field of v to the texts of a query parameter or a header.
func (f *field) setTexts(v reflect.Value, texts []string) error {
	if len(texts) == 0 {
		return nil
	}
	fv := settable(v.FieldByIndex(f.index), f.ptr)
	if f.node.kind != kindList {
		if len(texts) > 1 {
			return malformed("The parameter %s occurs more than once.", f.name)
		}
		if !setText(f.node, fv, texts[0]) {
			return malformed("The parameter %s must be %s.", f.name, f.node.kind)
		}
		return nil
	}
	fv.Set(reflect.MakeSlice(f.node.typ, len(texts), len(texts)))
	for i, text := range texts {
		if !setText(f.node.elem, elementOf(fv.Index(i)), text) {
			return malformed("The parameter %s must be %s.", f.name, f.node.elem.kind)
		}
	}
	return nil
}

func (p restJSON) encode(x *exchange, v reflect.Value) {
	if v.IsValid() && x.op.out != nil {
		setHeaders(x.w.Header(), x.op.out, v)
		if f := x.op.out.payload(); f != nil {
			body, ok := v.FieldByIndex(f.index).Interface().(io.ReadCloser)
			if !ok {
				body = http.NoBody
			}
			x.stream(body)
			return
		}
	}
	x.send("application/json", http.StatusOK, func(b []byte) []byte { return appendOutput(b, x.op.out, v) })
}

// payload returns the member that is the whole body, or nil.
func (n *node) payload() *field {
	for i := range n.fields {
		if n.fields[i].in == model.InPayload {
			return &n.fields[i]
		}
	}
	return nil
}

func (p restJSON) fail(x *exchange, f failure) { x.failJSON("application/json", f) }

// fileOf returns the file behind a body that has one.
func fileOf(body io.Reader) io.Reader {
	if f, ok := body.(interface{ File() *os.File }); ok {
		return f.File()
	}
	return body
}
