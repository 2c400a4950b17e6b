package egress

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/gatehouse-registry/gatehouse/internal/idletimeout"
)

// An answerBody is the body of an answer: bounded, with a limit of its idle time, and
// decompressed if that was asked for. It ends the exchange when it is closed.
type answerBody struct {
	upstream *Upstream
	ctx      context.Context
	cancel   context.CancelCauseFunc
	url      string // without user and query
	status   int
	began    time.Time
	raw      io.ReadCloser // as received
	reader   io.Reader     // what the caller gets
	received int64         // bytes of raw

	once sync.Once
}

// receive makes the answer that the caller gets.
func (u *Upstream) receive(ctx context.Context, cancel context.CancelCauseFunc, r Request, res *http.Response, began time.Time) (*Response, error) {
	out := &Response{Status: res.StatusCode, Header: res.Header, URL: res.Request.URL.String(), Length: res.ContentLength}
	b := &answerBody{
		upstream: u, ctx: ctx, cancel: cancel, url: shown(res.Request.URL.String()), status: res.StatusCode, began: began,
		raw: idletimeout.Body(res.Body, idletimeout.Limits{Idle: u.limits.Idle, MinRate: u.limits.MinRate}, cancel),
	}
	out.Body = b
	if r.Method == http.MethodHead {
		b.reader = strings.NewReader("")
		u.services.Metrics.answered(u.label, res.StatusCode, u.services.Now().Sub(began))
		return out, nil
	}
	if res.ContentLength > r.MaxBytes {
		res.Body.Close()
		return nil, fmt.Errorf("%w: it has %d bytes, and the limit is %d", ErrTooLarge, res.ContentLength, r.MaxBytes)
	}
	b.reader = &boundedBody{struct {
		io.Reader
		io.Closer
	}{readerFunc(b.readRaw), res.Body}, r.MaxBytes}
	coding := strings.ToLower(strings.TrimSpace(res.Header.Get("Content-Encoding")))
	switch {
	case !r.Compressed || coding == "" || coding == "identity":
		// Servers that take .tgz for an encoding of .tar say so without being asked. The
		// bytes are the file all the same.
	case coding == "gzip" || coding == "x-gzip":
		b.reader = &boundedBody{io.NopCloser(&gunzip{from: b.reader}), r.MaxBytes}
		out.Length = -1
		res.Header.Del("Content-Encoding")
		res.Header.Del("Content-Length")
	default:
		res.Body.Close()
		return nil, fmt.Errorf("%w: Content-Encoding %q", errEncoding, coding)
	}
	u.services.Metrics.answered(u.label, res.StatusCode, u.services.Now().Sub(began))
	return out, nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// readRaw counts what is received.
func (b *answerBody) readRaw(p []byte) (int, error) {
	n, err := b.raw.Read(p)
	b.received += int64(n)
	return n, err
}

// Read implements io.Reader.
func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.reader.Read(p)
	switch err {
	case nil:
	case io.EOF:
		b.finish(nil)
	default:
		if cause := context.Cause(b.ctx); cause != nil {
			err = cause
		}
		failed := b.upstream.bodyFailure(b.url, err)
		b.finish(failed)
		err = failed
	}
	return n, err
}

// Close implements io.Closer.
func (b *answerBody) Close() error {
	b.finish(nil)
	return b.raw.Close()
}

// finish ends the exchange once: it counts and logs.
func (b *answerBody) finish(failed *Error) {
	b.once.Do(func() {
		b.cancel(nil)
		b.upstream.fetched(b, failed)
	})
}

// A gunzip decompresses; its header is read with the first read, so that an error of it
// is one of the body.
type gunzip struct {
	from io.Reader
	z    *gzip.Reader
}

// Read implements io.Reader.
func (g *gunzip) Read(p []byte) (n int, err error) {
	if g.z == nil {
		if g.z, err = gzip.NewReader(g.from); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
	}
	return g.z.Read(p)
}
