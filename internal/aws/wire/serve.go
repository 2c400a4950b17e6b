package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"sync"

	"github.com/gatehouse-registry/gatehouse/internal/randid"
)

// A protocol is what distinguishes the three AWS protocols.
type protocol interface {
	// open finds the operation and reads the body, both into x.
	open(x *exchange) error
	// decode reads the operation's input into v.
	decode(x *exchange, v reflect.Value) error
	// encode writes the operation's output. v is not valid if there is none.
	encode(x *exchange, v reflect.Value)
	// fail writes an error.
	fail(x *exchange, f failure)
}

// An exchange is one request and its answer.
type exchange struct {
	*Service
	w    http.ResponseWriter
	r    *http.Request
	id   string
	op   *operation
	body *bytes.Buffer // nil if the body streams; from the pool
	form form          // of awsQuery
	// unbuffer gives back what the body took of [Options].Buffer; nil if it took none.
	unbuffer func()
}

// ServeHTTP answers a request for an operation of the service.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := s.exchange(w, r)
	defer x.end()
	if err := s.proto.open(x); err != nil {
		x.fail(err)
		return
	}
	x.run()
}

func (s *Service) exchange(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{Service: s, w: w, r: r, id: s.options.RequestID(r)}
	if x.id == "" {
		x.id = randomID(r)
	}
	w.Header().Set("X-Amzn-Requestid", x.id)
	return x
}

// run answers once the operation is found and the body is read.
func (x *exchange) run() {
	out, err := x.call()
	if err != nil {
		x.fail(err)
		return
	}
	var v reflect.Value
	if out != nil {
		v = reflect.ValueOf(out).Elem()
	}
	x.proto.encode(x, v)
}

func (x *exchange) call() (any, error) {
	var body []byte
	if x.body != nil {
		if body = x.body.Bytes(); body == nil {
			body = []byte{}
		}
	}
	ctx, err := x.options.Authenticate(x.r, x.op.name, body)
	if err != nil {
		return nil, err
	}
	if x.op.call == nil {
		return nil, &UnimplementedError{Service: x.table.Name, Operation: x.op.name}
	}
	in := x.op.newIn()
	if x.op.in != nil {
		v := reflect.ValueOf(in).Elem()
		if err := x.proto.decode(x, v); err != nil {
			return nil, err
		}
		if err := validate(x.op.in, v); err != nil {
			return nil, err
		}
	}
	x.release() // nothing that was decoded points into the body
	if x.options.Intercept == nil {
		return x.op.call(ctx, in)
	}
	return x.options.Intercept(ctx, x.op.name, in, func(ctx context.Context) (any, error) { return x.op.call(ctx, in) })
}

// end is called when the request has been answered.
func (x *exchange) end() {
	x.release()
	if x.unbuffer != nil {
		x.unbuffer()
	}
}

// release gives the body back to the pool.
func (x *exchange) release() {
	if x.body != nil {
		putBuffer(x.body)
		x.body = nil
	}
}

// buffers are what the bodies of requests are read into.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPooled is the largest buffer that is worth keeping, in bytes.
const maxPooled = 256 << 10

func putBuffer(b *bytes.Buffer) {
	if b.Cap() <= maxPooled {
		b.Reset()
		buffers.Put(b)
	}
}

// readBody reads the body of an operation that was found into x.
func (x *exchange) readBody() error {
	if err := x.precheck(x.Service, x.op.name); err != nil {
		return err
	}
	return x.buffer(x.op.maxBody)
}

// precheck looks at the credentials of a request with a body that is not small.
func (x *exchange) precheck(s *Service, op string) error {
	if isSmall(x.r) || s.options.Precheck == nil {
		return nil
	}
	return s.options.Precheck(x.r, op)
}

func isSmall(r *http.Request) bool { return r.ContentLength >= 0 && r.ContentLength <= SmallBody }

// buffer reads the whole body of the request into a buffer of the pool.
func (x *exchange) buffer(limit int64) error {
	if x.r.ContentLength > limit {
		return &TooLargeError{Limit: limit}
	}
	b := buffers.Get().(*bytes.Buffer)
	x.body = b
	if x.r.Body == nil || x.r.Body == http.NoBody {
		return nil
	}
	body := io.Reader(x.r.Body)
	if !isSmall(x.r) && x.options.Buffer != nil {
		body, x.unbuffer = x.options.Buffer(x.r)
	}
	if n := x.r.ContentLength; n > 0 {
		b.Grow(int(min(n, maxPooled)) + bytes.MinRead) // more only as it really comes
	}
	if _, err := b.ReadFrom(io.LimitReader(body, limit+1)); err != nil {
		if buffer := (*BufferError)(nil); errors.As(err, &buffer) {
			return buffer.Err
		}
		return malformed("The request body could not be read to its end.")
	}
	if int64(b.Len()) > limit {
		return &TooLargeError{Limit: limit}
	}
	return nil
}

// outputs are the buffers that answers are built in.
var outputs = sync.Pool{New: func() any { b := make([]byte, 0, 1<<10); return &b }}

// send writes an answer whose body is what build appends.
func (x *exchange) send(contentType string, status int, build func([]byte) []byte) {
	buf := outputs.Get().(*[]byte)
	b := build((*buf)[:0])
	h := x.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	x.w.WriteHeader(status)
	_, _ = x.w.Write(b) // a client that has left needs no answer
	if cap(b) <= maxPooled {
		*buf = b
		outputs.Put(buf)
	}
}

// stream sends a body while it is read, and closes it. If the body is a file of
// this machine, or has one, the kernel sends it.
func (x *exchange) stream(body io.ReadCloser) {
	defer body.Close()
	h := x.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	if sized, ok := body.(interface{ Size() int64 }); ok {
		h.Set("Content-Length", strconv.FormatInt(sized.Size(), 10))
	}
	x.w.WriteHeader(http.StatusOK)
	if _, err := io.Copy(x.w, fileOf(body)); err != nil {
		// The status was sent. Only closing the connection can report the error.
		panic(http.ErrAbortHandler)
	}
}

// randomID makes a request id, which has the form of a UUID as AWS's do.
func randomID(*http.Request) string { return randid.UUID() }
