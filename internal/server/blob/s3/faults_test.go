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
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
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

// A chopped body ends without an error after n bytes, as a cut connection looks to a
// proxy's client.
type choppedBody struct {
	io.ReadCloser
	left int
}

func (b *choppedBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errors.New("cut by the test")
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func TestRead_InterruptedBody(t *testing.T) {
	p, c := newProxy(t)
	s := blobtest.OpenS3(t, c)
	content := noise(4, large)
	mustPut(t, s, "object", content)
	p.change = func(b io.ReadCloser) io.ReadCloser { return &choppedBody{b, 3 << 20} }
	holds(t, s, "object", content)
	o, err := s.Open(t.Context(), "object")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	got := make([]byte, 9<<20)
	if _, err := o.ReadAt(got, 1<<20); err != nil || !bytes.Equal(got, content[1<<20:10<<20]) {
		t.Errorf("ReadAt: %v", err)
	}
	p.change = func(b io.ReadCloser) io.ReadCloser { return &choppedBody{b, 0} }
	if _, err := o.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, o); err == nil || n > 0 {
		t.Errorf("a body that never comes = %d bytes, %v", n, err)
	}
}

// A flippedBody has one wrong bit.
type flippedBody struct {
	io.ReadCloser
	at int
}

func (b *flippedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.at >= 0 && b.at < n {
		p[b.at] ^= 1
	}
	b.at -= n
	return n, err
}

// Who reads a whole object that was changed finds it too short, and not wrong.
func TestRead_CorruptBody(t *testing.T) {
	for _, size := range []int{1000, large} {
		p, c := newProxy(t)
		s := blobtest.OpenS3(t, c)
		mustPut(t, s, "object", noise(5, size))
		p.change = func(b io.ReadCloser) io.ReadCloser { return &flippedBody{b, size / 2} }
		o, err := s.Open(t.Context(), "object")
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		n, err := io.CopyN(io.Discard, o, int64(size))
		if !fault.Is(err, "BlobCorrupt") || n == int64(size) {
			t.Errorf("reading %d bytes of which one is wrong = %d, %v", size, n, err)
		}
	}
}

// The store's errors say what is wrong, to the client and in the log.
func TestErrors_SayWhatToDo(t *testing.T) {
	for _, c := range []struct {
		status     int
		code       string
		kind       fault.Kind
		wantCode   string
		wantDetail string
	}{
		{403, "AccessDenied", fault.Unavailable, "BlobStoreDenied", "lists the permissions"},
		{403, "InvalidAccessKeyId", fault.Unavailable, "BlobStoreCredentials", "missing, wrong or expired"},
		{403, "SignatureDoesNotMatch", fault.Unavailable, "BlobStoreCredentials", "missing, wrong or expired"},
		{400, "ExpiredToken", fault.Unavailable, "BlobStoreCredentials", "missing, wrong or expired"},
		{404, "NoSuchBucket", fault.Unavailable, "BlobStoreBucketMissing", "create it, or correct its name"},
		{301, "PermanentRedirect", fault.Unavailable, "BlobStoreRegion", "correct region and endpoint"},
		{400, "AuthorizationHeaderMalformed", fault.Unavailable, "BlobStoreRegion", "correct region and endpoint"},
		{507, "XMinioStorageFull", fault.StorageFull, "StorageFull", "no room left"},
		{403, "QuotaExceeded", fault.StorageFull, "StorageFull", "quota"},
		{400, "BadDigest", fault.Unavailable, "BlobStoreChecksum", "checksum"},
	} {
		t.Run(c.code, func(t *testing.T) {
			p, config := newProxy(t)
			s := blobtest.OpenS3(t, config)
			mustPut(t, s, "there", []byte("x"))
			p.harm = func(string, int) http.HandlerFunc { return answer(c.status, c.code) }
			for what, err := range map[string]error{
				"small": put(t.Context(), s, "small", []byte("x")), "large": put(t.Context(), s, "large", noise(6, large)),
				"Delete": s.Delete(t.Context(), "there"), "Check": s.Check(t.Context()),
			} {
				f := fault.From(err)
				if f == nil || f.Kind != c.kind || f.Code != c.wantCode || !strings.Contains(err.Error(), c.wantDetail) || errors.Is(err, blob.ErrNotFound) {
					t.Errorf("%s: %v", what, err)
					continue
				}
				if strings.Contains(f.Message, config.Bucket) {
					t.Errorf("%s: the client is told about the bucket: %s", what, f.Message)
				}
			}
		})
	}
}

// A store that goes on failing is unavailable, and its errors are no missing objects.
func TestErrors_LastingFailure(t *testing.T) {
	for code, status := range map[string]int{"SlowDown": 503, "InternalError": 500} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			p, config := newProxy(t)
			s := blobtest.OpenS3(t, config)
			mustPut(t, s, "object", []byte("x"))
			p.harm = func(string, int) http.HandlerFunc { return answer(status, code) }
			_, err := s.Open(t.Context(), "object")
			if f := fault.From(err); f.Kind != fault.Unavailable || errors.Is(err, blob.ErrNotFound) {
				t.Errorf("Open = %v", err)
			}
		})
	}
}

// A store without conditional writes is used without them.
func TestCommit_StoreWithoutConditions(t *testing.T) {
	p, c := newProxy(t)
	p.harm = func(op string, _ int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") != "" {
				answer(501, "NotImplemented")(w, r)
				return
			}
			p.next.ServeHTTP(w, r)
		}
	}
	s := blobtest.OpenS3(t, c)
	if err := s.Claim(t.Context(), "one"); err != nil {
		t.Error(err)
	}
	if err := s.Claim(t.Context(), "two"); !errors.Is(err, s3.ErrOwned) {
		t.Errorf("Claim by another = %v, want ErrOwned", err)
	}
	for i, size := range []int{10, large} {
		name := fmt.Sprintf("object-%d", i)
		mustPut(t, s, name, noise(7, size))
		holds(t, s, name, noise(7, size))
	}
}

func TestClaim_SeveralServers(t *testing.T) {
	c := blobtest.S3Config(t)
	var wg sync.WaitGroup
	var refused atomic.Int32
	for i := range 8 {
		wg.Go(func() {
			s, err := s3.Open(t.Context(), c)
			if err == nil {
				err = s.Claim(t.Context(), fmt.Sprintf("installation-%d", i%2))
			}
			switch {
			case errors.Is(err, s3.ErrOwned):
				refused.Add(1)
			case err != nil:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if refused.Load() != 4 {
		t.Errorf("%d servers were refused, want the 4 of the other installation", refused.Load())
	}
}

// What a request costs is part of the design: the requests of usual uses are counted.
func TestStore_Requests(t *testing.T) {
	p, c := newProxy(t)
	s := blobtest.OpenS3(t, c)
	want := func(what, requests string) {
		t.Helper()
		if got := p.taken(); got != requests {
			t.Errorf("%s needs the requests %q, want %q", what, got, requests)
		}
	}
	mustPut(t, s, "small", noise(8, 8<<20))
	want("an object of one part", "PutObject")

	w, err := s.Create(t.Context(), "config")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(noise(8, 20_000)); err != nil {
		t.Fatal(err)
	}
	state, err := w.Suspend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want("suspending a few bytes", "")
	if w, err = s.Resume(t.Context(), "config", state); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("resuming and committing a few bytes", "HeadObject PutObject")

	o, err := s.Open(t.Context(), "small")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	want("opening", "HeadObject")
	if _, err := io.Copy(io.Discard, o); err != nil {
		t.Fatal(err)
	}
	want("reading", "GetObject")
	// As archive/zip reads a directory of 200 KiB: the end of it, then all of it.
	p4, size := make([]byte, 4<<10), o.Size()
	for _, off := range []int64{size - 1024, size - 65*1024} {
		if _, err := o.ReadAt(p4[:1024], off); err != nil {
			t.Fatal(err)
		}
	}
	for off := size - 200<<10; off < size; off += 4 << 10 {
		if _, err := o.ReadAt(p4, off); err != nil {
			t.Fatal(err)
		}
	}
	want("reading the directory of a zip file", "GetObject")
}

func TestSetAside_LargeObject(t *testing.T) {
	p, c := newProxy(t)
	s := blobtest.OpenS3(t, c)
	s.SetMaxCopy(6 << 20)
	content := noise(9, large)
	mustPut(t, s, "object", content)
	p.taken()
	if err := s.SetAside(t.Context(), "object", time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := p.taken(); strings.Count(got, "UploadPart") != 3 || strings.Contains(got, "CopyObject") {
		t.Errorf("the copy needs %q, want 3 parts", got)
	}
	holds(t, s, "object", content)
	if err := s.SetAside(t.Context(), "object", time.Now()); err != nil {
		t.Fatal(err)
	}
	p.harm = func(op string, n int) http.HandlerFunc {
		if op == "UploadPart" && n == 2 {
			return answer(403, "AccessDenied")
		}
		return nil
	}
	p.taken()
	if _, err := s.Open(t.Context(), "object"); err == nil || errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Open = %v although the copy failed", err)
	}
	p.harm = nil
	holds(t, s, "object", content)
}

// Purge ends what killed servers and lost answers left beside committed objects, and
// leaves the uploads that may still go on.
func TestPurge_LeftoversOfUploads(t *testing.T) {
	c := blobtest.S3Config(t)
	s, client := blobtest.OpenS3(t, c), blobtest.S3Client(t, c)
	content := noise(10, large)
	w, err := s.Create(t.Context(), "committed")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Suspend(t.Context()); err != nil { // and then the server was killed
		t.Fatal(err)
	}
	mustPut(t, s, "committed", content)
	if w, err = s.Create(t.Context(), "unfinished"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	state, err := w.Suspend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	left := func() int {
		uploads, err := client.ListMultipartUploads(t.Context(), &awss3.ListMultipartUploadsInput{Bucket: &c.Bucket, Prefix: &c.Prefix})
		if err != nil {
			t.Fatal(err)
		}
		prefix := c.Prefix + "tails/"
		tails, err := client.ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{Bucket: &c.Bucket, Prefix: &prefix})
		if err != nil {
			t.Fatal(err)
		}
		return len(uploads.Uploads) + len(tails.Contents)
	}
	if _, err := s.Purge(t.Context(), time.Now().Add(-time.Hour)); err != nil || left() != 4 {
		t.Errorf("Purge removed what is young: %v, %d left", err, left())
	}
	if _, err := s.Purge(t.Context(), time.Now().Add(time.Hour)); err != nil || left() != 2 {
		t.Errorf("after Purge: %v, %d are left, want the upload and the tail of the unfinished object", err, left())
	}
	holds(t, s, "committed", content)
	if w, err = s.Resume(t.Context(), "unfinished", state); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	holds(t, s, "unfinished", content)
}

// A part of an acknowledged upload that another server has overwritten is noticed when
// the upload is resumed.
func TestResume_PartOverwritten(t *testing.T) {
	c := blobtest.S3Config(t)
	s, client := blobtest.OpenS3(t, c), blobtest.S3Client(t, c)
	w, err := s.Create(t.Context(), "object")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(noise(11, large)); err != nil {
		t.Fatal(err)
	}
	state, err := w.Suspend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	uploads, err := client.ListMultipartUploads(t.Context(), &awss3.ListMultipartUploadsInput{Bucket: &c.Bucket, Prefix: &c.Prefix})
	if err != nil || len(uploads.Uploads) != 1 {
		t.Fatal(uploads, err)
	}
	second := int32(2)
	_, err = client.UploadPart(t.Context(), &awss3.UploadPartInput{
		Bucket: &c.Bucket, Key: uploads.Uploads[0].Key, UploadId: uploads.Uploads[0].UploadId, PartNumber: &second, Body: bytes.NewReader(noise(12, 8<<20)),
		ChecksumAlgorithm: "CRC32C",
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Resume(t.Context(), "object", state); !errors.Is(err, blob.ErrState) {
		t.Errorf("Resume = %v, want ErrState", err)
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

func TestMetrics_CountRequestsAndRetries(t *testing.T) {
	p, c := newProxy(t)
	p.harm = func(op string, n int) http.HandlerFunc {
		if op == "PutObject" && n == 1 {
			return answer(503, "SlowDown")
		}
		return nil
	}
	s := blobtest.OpenS3(t, c)
	mustPut(t, s, "object", []byte("x"))
	if _, err := s.Open(t.Context(), "none"); !errors.Is(err, blob.ErrNotFound) {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(s.Metrics()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			key := f.GetName()
			for _, l := range m.Label {
				key += " " + l.GetValue()
			}
			got[key] += m.GetCounter().GetValue()
		}
	}
	for key, want := range map[string]float64{
		"gatehouse_blob_s3_requests_total PutObject ok": 1, "gatehouse_blob_s3_requests_total HeadObject missing": 1,
		"gatehouse_blob_s3_requests_total ListObjectsV2 ok": 1, "gatehouse_blob_s3_retries_total": 1,
		"gatehouse_blob_missing_total": 1, "gatehouse_blob_written_bytes_total": 1,
	} {
		if got[key] != want {
			t.Errorf("%s = %v, want %v", key, got[key], want)
		}
	}
}

// startServer starts an S3 server of the test's own on a port that it keeps. The
// function that it returns kills the server and starts it again.
func startServer(t *testing.T) (c s3.Config, restart func()) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/bucket", 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	var running *exec.Cmd
	kill := func() {
		if running != nil {
			_ = running.Process.Kill()
			_ = running.Wait()
		}
	}
	t.Cleanup(kill)
	restart = func() {
		kill()
		cmd := exec.Command(os.Getenv("GATEHOUSE_TEST_VERSITYGW"), "--port", address, "--quiet", "posix", dir)
		cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+os.Getenv("AWS_ACCESS_KEY_ID"), "ROOT_SECRET_KEY="+os.Getenv("AWS_SECRET_ACCESS_KEY"))
		if err := cmd.Start(); err != nil {
			t.Error(err)
			return
		}
		running = cmd
		for range 100 {
			if c, err := net.DialTimeout("tcp", address, time.Second); err == nil {
				c.Close()
				return
			}
			time.Sleep(50 * time.Millisecond) // it is starting
		}
		t.Error("the S3 server does not start")
	}
	restart()
	c, err = s3.ParseURL("s3://bucket/p?endpoint=http://" + address)
	if err != nil {
		t.Fatal(err)
	}
	return c, restart
}

// The S3 server is killed and started again while objects are written and read. Nothing
// that was acknowledged is lost, and no upload fails, since the requests are repeated.
func TestStore_ServerKilled(t *testing.T) {
	c, restart := startServer(t)
	s := blobtest.OpenS3(t, c)
	var wg sync.WaitGroup
	var written atomic.Int32
	done := make(chan struct{})
	for i := range 3 {
		wg.Go(func() {
			for j := range 6 {
				name, content := fmt.Sprintf("object-%d-%d", i, j), noise(byte(10*i+j), 1000+j%3*9<<20)
				if err := put(t.Context(), s, name, content); err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				written.Add(1)
				o, err := s.Open(t.Context(), name)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				if got, err := io.ReadAll(o); err != nil || !bytes.Equal(got, content) {
					t.Errorf("%s has other bytes: %v", name, err)
				}
				o.Close()
			}
		})
	}
	go func() { wg.Wait(); close(done) }()
	kills := 0
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		case <-time.After(700 * time.Millisecond):
			restart()
			kills++
		}
	}
	if kills == 0 || written.Load() != 18 {
		t.Errorf("%d kills, %d of 18 objects written", kills, written.Load())
	}
	for i := range 3 {
		for j := range 6 {
			holds(t, s, fmt.Sprintf("object-%d-%d", i, j), noise(byte(10*i+j), 1000+j%3*9<<20))
		}
	}
}
