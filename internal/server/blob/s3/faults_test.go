//go:build stores

package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/s3"
)

// A proxy is in front of the S3 server and does harm.
type proxy struct {
	mu       sync.Mutex
	requests []string // the operations, in the order of their arrival
	// harm returns what happens to a request; nil means that it is passed on.
	harm func(operation string, n int) http.HandlerFunc
	next *httputil.ReverseProxy
	// change is applied to the body of the answer to a GetObject.
	change func(io.ReadCloser) io.ReadCloser
}

// newProxy returns a proxy and the configuration of the store behind it.
func newProxy(t *testing.T) (*proxy, s3.Config) {
	t.Helper()
	c := blobtest.S3Config(t)
	to, err := url.Parse(c.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{next: &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host }, // the host is signed
		ErrorLog: log.New(io.Discard, "", 0),                                              // the harm that the tests do
	}}
	p.next.ModifyResponse = func(res *http.Response) error {
		if p.change != nil && operation(res.Request) == "GetObject" {
			res.Body = p.change(res.Body)
		}
		return nil
	}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	c.Endpoint = server.URL
	return p, c
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	op := operation(r)
	p.requests = append(p.requests, op)
	n := 0
	for _, seen := range p.requests {
		if seen == op {
			n++
		}
	}
	var harm http.HandlerFunc
	if p.harm != nil {
		harm = p.harm(op, n)
	}
	p.mu.Unlock()
	if harm != nil {
		harm(w, r)
		return
	}
	p.next.ServeHTTP(w, r)
}

// taken returns the operations since the last call.
func (p *proxy) taken() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := strings.Join(p.requests, " ")
	p.requests = nil
	return all
}

func operation(r *http.Request) string {
	q := r.URL.Query()
	switch {
	case r.Method == http.MethodHead:
		return "HeadObject"
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		return "AbortMultipartUpload"
	case r.Method == http.MethodDelete:
		return "DeleteObject"
	case r.Method == http.MethodPost && q.Has("uploads"):
		return "CreateMultipartUpload"
	case r.Method == http.MethodPost:
		return "CompleteMultipartUpload"
	case r.Method == http.MethodPut && q.Has("partNumber"):
		return "UploadPart"
	case r.Method == http.MethodPut && r.Header.Get("X-Amz-Copy-Source") != "":
		return "CopyObject"
	case r.Method == http.MethodPut:
		return "PutObject"
	case q.Has("uploadId"):
		return "ListParts"
	case q.Has("uploads"):
		return "ListMultipartUploads"
	case q.Has("list-type"):
		return "ListObjectsV2"
	}
	return "GetObject"
}

// answer answers with an error of the store.
func answer(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>made by the test</Message></Error>`, code)
	}
}

// lose passes the request on and cuts the connection instead of answering.
func (p *proxy) lose(w http.ResponseWriter, r *http.Request) {
	p.next.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// cut cuts the connection in the middle of the request's body.
func cut(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.CopyN(io.Discard, r.Body, 1000)
	panic(http.ErrAbortHandler)
}

// slow passes the request on after a while.
func (p *proxy) slow(w http.ResponseWriter, r *http.Request) {
	select {
	case <-time.After(300 * time.Millisecond):
	case <-r.Context().Done():
	}
	p.next.ServeHTTP(w, r)
}

func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func put(ctx context.Context, s blob.Store, name string, content []byte) error {
	w, err := s.Create(ctx, name)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(content); err != nil {
		return err
	}
	return w.Commit(ctx)
}

func mustPut(t *testing.T, s blob.Store, name string, content []byte) {
	t.Helper()
	if err := put(t.Context(), s, name, content); err != nil {
		t.Fatal(err)
	}
}

func holds(t *testing.T, s blob.Store, name string, want []byte) {
	t.Helper()
	o, err := s.Open(t.Context(), name)
	if err != nil {
		t.Fatalf("Open(%s): %v", name, err)
	}
	defer o.Close()
	if got, err := io.ReadAll(o); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%s has %d bytes that are not the %d written: %v", name, len(got), len(want), err)
	}
}

const large = 17<<20 + 3

// An answer that is lost does not make a stored object a failed one, nor a name in use.
func TestCommit_LostAnswer(t *testing.T) {
	for name, size := range map[string]int{"PutObject": 1000, "CompleteMultipartUpload": large} {
		t.Run(name, func(t *testing.T) {
			p, c := newProxy(t)
			p.harm = func(op string, n int) http.HandlerFunc {
				if op == name && n == 1 {
					return p.lose
				}
				return nil
			}
			s := blobtest.OpenS3(t, c)
			mustPut(t, s, "object", noise(1, size))
			if taken := p.taken(); strings.Count(taken, name) != 2 {
				t.Errorf("the requests were %s; the test did not lose an answer", taken)
			}
			holds(t, s, "object", noise(1, size))
			if err := put(t.Context(), s, "object", noise(2, size)); !errors.Is(err, blob.ErrInUse) {
				t.Errorf("another object of the name = %v, want ErrInUse", err)
			}
			holds(t, s, "object", noise(1, size))
		})
	}
}

// A store that says too early that an upload is complete is not believed.
func TestCommit_CompletedWithoutObject(t *testing.T) {
	p, c := newProxy(t)
	p.harm = func(op string, _ int) http.HandlerFunc {
		if op != "CompleteMultipartUpload" {
			return nil
		}
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, `<CompleteMultipartUploadResult><ETag>"x-3"</ETag></CompleteMultipartUploadResult>`)
		}
	}
	s := blobtest.OpenS3(t, c)
	if err := put(t.Context(), s, "object", noise(1, large)); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Commit = %v, want ErrNotFound", err)
	}
}

// Each operation of an upload fails twice, in each way, and succeeds the third time.
func TestUpload_EveryOperationFailsTwice(t *testing.T) {
	content := noise(3, large)
	for what, harm := range map[string]func(*proxy) http.HandlerFunc{
		"500":      func(*proxy) http.HandlerFunc { return answer(500, "InternalError") },
		"throttle": func(*proxy) http.HandlerFunc { return answer(503, "SlowDown") },
		"cut":      func(*proxy) http.HandlerFunc { return cut },
		"lost":     func(p *proxy) http.HandlerFunc { return p.lose },
		"slow":     func(p *proxy) http.HandlerFunc { return p.slow },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			p, c := newProxy(t)
			p.harm = func(op string, n int) http.HandlerFunc {
				if n <= 2 {
					return harm(p)
				}
				return nil
			}
			s := blobtest.OpenS3(t, c)
			w, err := s.Create(t.Context(), "object")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(content[:9<<20]); err != nil {
				t.Fatal(err)
			}
			state, err := w.Suspend(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if w, err = s.Resume(t.Context(), "object", state); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(content[9<<20:]); err != nil {
				t.Fatal(err)
			}
			if err := w.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			holds(t, s, "object", content)
			if err := s.SetAside(t.Context(), "object", time.Now()); err != nil {
				t.Fatal(err)
			}
			holds(t, s, "object", content)
			if err := s.Delete(t.Context(), "object"); err != nil {
				t.Fatal(err)
			}
			for info := range s.List(t.Context(), "") {
				t.Errorf("%s is left", info.Name)
			}
		})
	}
}

// A cancelled request ends its upload at once, also while the store is slow.
func TestWrite_Cancelled(t *testing.T) {
	p, c := newProxy(t)
	hold := make(chan struct{})
	defer close(hold)
	p.harm = func(op string, _ int) http.HandlerFunc {
		if op != "UploadPart" {
			return nil
		}
		return func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			select {
			case <-hold:
			case <-r.Context().Done():
			}
		}
	}
	s := blobtest.OpenS3(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := put(ctx, s, "object", noise(13, 5*8<<20)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Write = %v, want the end of the context", err)
	}
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("it took %v", d)
	}
}
