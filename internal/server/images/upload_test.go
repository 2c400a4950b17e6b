package images_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/diskspace"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// noise is n bytes that do not repeat.
func noise(n int) string {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(b)
	return string(b)
}

func TestAppendUpload(t *testing.T) {
	for _, c := range []struct {
		name      string
		announced digest.Algorithm
		final     digest.Algorithm
		chunks    []int
		last      int // bytes in the last request
	}{
		{"docker", "", digest.SHA256, []int{2 << 20}, 0},
		{"chunks", "", digest.SHA256, []int{1, 700_000, 512 << 10, 0, 3}, 5},
		{"only the closing request", "", digest.SHA256, nil, 1 << 20},
		{"nothing at all", "", digest.SHA256, nil, 0},
		{"sha512 announced", digest.SHA512, digest.SHA512, []int{100, 100}, 100},
		{"sha512 unannounced", "", digest.SHA512, []int{600_000}, 7},
		{"sha512 announced and not used", digest.SHA512, digest.SHA256, []int{600_000}, 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t)
			s.create(t, app)
			u, err := s.StartUpload(t.Context(), app, c.announced)
			if err != nil {
				t.Fatal(err)
			}
			var content strings.Builder
			for i, n := range c.chunks {
				chunk, at := noise(n), int64(content.Len())
				if i%2 == 1 {
					at = images.AnyOffset
				}
				content.WriteString(chunk)
				up, err := s.AppendUpload(t.Context(), app, u.ID, at, iotest.HalfReader(reader(chunk)))
				if err != nil || up.Size != int64(content.Len()) {
					t.Fatalf("%+v, %v", up, err)
				}
				if up, err = s.UploadStatus(t.Context(), app, u.ID); err != nil || up.Size != int64(content.Len()) {
					t.Fatalf("status %+v, %v", up, err)
				}
			}
			at, last := int64(content.Len()), noise(c.last)
			content.WriteString(last)
			var body io.Reader
			if c.last > 0 {
				body = reader(last)
			}
			d := c.final.FromString(content.String())
			b, err := s.CompleteUpload(t.Context(), app, u.ID, at, body, d)
			if err != nil || b != (images.Blob{Digest: d, Size: int64(content.Len())}) {
				t.Fatalf("%+v, %v", b, err)
			}
			_, o, err := s.OpenBlob(t.Context(), app, d)
			if err != nil {
				t.Fatal(err)
			}
			defer o.Close()
			if got, err := io.ReadAll(o); err != nil || string(got) != content.String() {
				t.Errorf("%d bytes read, %v", len(got), err)
			}
			_, err = s.UploadStatus(t.Context(), app, u.ID)
			wantFault(t, err, "UploadNotFound")
		})
	}
}

func TestAppendUpload_Offset(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	u, err := s.StartUpload(t.Context(), app, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AppendUpload(t.Context(), app, u.ID, 0, reader("abc")); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{0, 2, 4} {
		up, err := s.AppendUpload(t.Context(), app, u.ID, at, reader("x"))
		wantFault(t, err, "UploadOffset")
		if up.Size != 3 {
			t.Errorf("the fault came with %+v", up)
		}
		_, err = s.CompleteUpload(t.Context(), app, u.ID, at, reader("x"), digest.FromString("abcx"))
		wantFault(t, err, "UploadOffset")
	}
	if _, err := s.CompleteUpload(t.Context(), app, u.ID, 3, reader("x"), digest.FromString("abcx")); err != nil {
		t.Fatal(err)
	}
	s.wantBlob(t, app, "abcx")
}

// The bytes of a chunk are recorded, and the answer of the commit is lost: the client is
// told that it failed, asks how far the upload is, and goes on from there.
func TestAppendUpload_UnclearCommit(t *testing.T) {
	for _, before := range []string{"", "before "} {
		s := newStore(t)
		s.create(t, app)
		u, err := s.StartUpload(t.Context(), app, "")
		if err != nil {
			t.Fatal(err)
		}
		if before != "" {
			if _, err := s.AppendUpload(t.Context(), app, u.ID, 0, reader(before)); err != nil {
				t.Fatal(err)
			}
		}
		s.db.LoseAnswer()
		if _, err := s.AppendUpload(t.Context(), app, u.ID, images.AnyOffset, reader("chunk ")); !errors.Is(err, db.ErrUnclearCommit) {
			t.Fatalf("err = %v", err)
		}
		up, err := s.AppendUpload(t.Context(), app, u.ID, images.AnyOffset, reader("rest"))
		if want := len(before + "chunk rest"); err != nil || up.Size != int64(want) {
			t.Errorf("after %q: %+v, %v, want %d bytes", before, up, err, want)
		}
	}
}

func TestUpload_OtherRepository(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.create(t, named("other"))
	u, err := s.StartUpload(t.Context(), app, "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.AppendUpload(t.Context(), named("other"), u.ID, 0, reader("x"))
	wantFault(t, err, "UploadNotFound")
	_, err = s.CompleteUpload(t.Context(), named("other"), u.ID, 0, reader("x"), digest.FromString("x"))
	wantFault(t, err, "UploadNotFound")
	wantFault(t, s.CancelUpload(t.Context(), named("other"), u.ID), "UploadNotFound")
}

func TestAppendUpload_Interrupted(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	u, err := s.StartUpload(t.Context(), app, "")
	if err != nil {
		t.Fatal(err)
	}
	content, broken := noise(1_500_000), errors.New("connection reset")
	_, err = s.AppendUpload(t.Context(), app, u.ID, 0, io.MultiReader(reader(content[:600_000]), iotest.ErrReader(broken)))
	wantFault(t, err, "UploadInterrupted")
	if !errors.Is(err, broken) {
		t.Errorf("err = %v", err)
	}
	// If the client of a request left, its body returns io.ErrUnexpectedEOF.
	_, err = s.CompleteUpload(t.Context(), app, u.ID, 600_000, io.MultiReader(reader(content[600_000:700_000]), iotest.ErrReader(io.ErrUnexpectedEOF)), digest.FromString(content))
	wantFault(t, err, "UploadInterrupted")
	if up, err := s.UploadStatus(t.Context(), app, u.ID); err != nil || up.Size != 700_000 {
		t.Fatalf("%+v, %v", up, err)
	}
	if _, err := s.CompleteUpload(t.Context(), app, u.ID, 700_000, reader(content[700_000:]), digest.FromString(content)); err != nil {
		t.Fatal(err)
	}
	s.wantBlob(t, app, content)
	_, err = s.PutBlob(t.Context(), app, digest.FromString("x"), iotest.ErrReader(broken))
	wantFault(t, err, "UploadInterrupted")
	if n := s.objects(t); n != 1 {
		t.Errorf("%d objects, want the blob's", n)
	}
}

func TestCompleteUpload_DigestMismatch(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	for _, d := range []digest.Digest{digest.FromString("other"), digest.SHA512.FromString("other")} {
		_, err := s.PutBlob(t.Context(), app, d, reader("content"))
		wantFault(t, err, "DigestMismatch")
		u, err := s.StartUpload(t.Context(), app, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.AppendUpload(t.Context(), app, u.ID, 0, reader("con")); err != nil {
			t.Fatal(err)
		}
		_, err = s.CompleteUpload(t.Context(), app, u.ID, 3, reader("tent"), d)
		wantFault(t, err, "DigestMismatch")
		_, err = s.UploadStatus(t.Context(), app, u.ID)
		wantFault(t, err, "UploadNotFound")
		_, err = s.BlobInfo(t.Context(), app, d)
		wantFault(t, err, "BlobNotFound")
	}
	for d, code := range map[digest.Digest]string{"sha256:x": "InvalidDigest", "": "InvalidDigest", "md5:d41d8cd98f00b204e9800998ecf8427e": "DigestUnsupported"} {
		_, err := s.PutBlob(t.Context(), app, d, reader("content"))
		wantFault(t, err, code)
	}
	if n := s.objects(t); n != 0 {
		t.Errorf("%d objects left", n)
	}
}

// A request that waits for another one is not applied if its client leaves.
func TestAppendUpload_ClientLeftWhileWaiting(t *testing.T) {
	for name, second := range map[string]func(context.Context, *store, string, io.Reader) error{
		"append": func(ctx context.Context, s *store, id string, body io.Reader) error {
			_, err := s.AppendUpload(ctx, app, id, images.AnyOffset, body)
			return err
		},
		"complete": func(ctx context.Context, s *store, id string, body io.Reader) error {
			_, err := s.CompleteUpload(ctx, app, id, images.AnyOffset, body, digest.FromString("firstsecond"))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			s.create(t, app)
			u, err := s.StartUpload(t.Context(), app, "")
			if err != nil {
				t.Fatal(err)
			}
			body, client := io.Pipe()
			var requests sync.WaitGroup
			requests.Go(func() {
				if _, err := s.AppendUpload(t.Context(), app, u.ID, images.AnyOffset, body); err != nil {
					t.Error(err)
				}
			})
			if _, err := io.WriteString(client, "fir"); err != nil { // returns when it is read
				t.Fatal(err)
			}
			ctx, leave := context.WithCancel(t.Context())
			requests.Go(func() {
				// As in net/http: that the client left is noticed after the body was read.
				err := second(ctx, s, u.ID, io.MultiReader(strings.NewReader("second"), atEnd(leave)))
				wantFault(t, err, "UploadInterrupted")
			})
			for s.UploadUsers(u.ID) < 2 {
				runtime.Gosched()
			}
			if _, err := io.WriteString(client, "st"); err != nil {
				t.Fatal(err)
			}
			if err := client.Close(); err != nil {
				t.Fatal(err)
			}
			requests.Wait()
			if got, err := s.UploadStatus(t.Context(), app, u.ID); err != nil || got.Size != 5 {
				t.Errorf("the upload has %d bytes, %v, want those of the first request", got.Size, err)
			}
			d := digest.FromString("first, and more")
			if _, err := s.CompleteUpload(t.Context(), app, u.ID, 5, strings.NewReader(", and more"), d); err != nil {
				t.Error(err)
			}
			s.wantBlob(t, app, "first, and more")
		})
	}
}

// atEnd is an empty reader that calls a function when it is read.
type atEnd func()

func (f atEnd) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}

// A client that did not get the answer sends the request again, and succeeds.
func TestCompleteUpload_Repeated(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	u, err := s.StartUpload(t.Context(), app, "")
	if err != nil {
		t.Fatal(err)
	}
	d := digest.FromString("content")
	for _, body := range []io.Reader{strings.NewReader("content"), nil, strings.NewReader("content")} {
		b, err := s.CompleteUpload(t.Context(), app, u.ID, images.AnyOffset, body, d)
		if err != nil || b.Digest != d || b.Size != 7 {
			t.Errorf("CompleteUpload = %+v, %v", b, err)
		}
	}
	_, err = s.CompleteUpload(t.Context(), app, u.ID, images.AnyOffset, nil, digest.FromString("other"))
	wantFault(t, err, "UploadNotFound")
}

// A closing request whose body is cut leaves the upload as it was: the client sends the
// whole body again, without a range.
func TestCompleteUpload_Interrupted(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	for _, first := range []string{"", noise(100)} {
		u, err := s.StartUpload(t.Context(), app, "")
		if err != nil {
			t.Fatal(err)
		}
		if first != "" {
			if _, err := s.AppendUpload(t.Context(), app, u.ID, 0, strings.NewReader(first)); err != nil {
				t.Fatal(err)
			}
		}
		rest := noise(2 << 20)
		d := digest.FromString(first + rest)
		_, err = s.CompleteUpload(t.Context(), app, u.ID, images.AnyOffset, io.MultiReader(strings.NewReader(rest[:1<<20]), brokenReader{}), d)
		wantFault(t, err, "UploadInterrupted")
		if got, err := s.UploadStatus(t.Context(), app, u.ID); err != nil || got.Size != int64(len(first)) {
			t.Errorf("the upload has %d bytes, %v, want %d", got.Size, err, len(first))
		}
		if _, err := s.CompleteUpload(t.Context(), app, u.ID, images.AnyOffset, strings.NewReader(rest), d); err != nil {
			t.Error(err)
		}
		s.wantBlob(t, app, first+rest)
	}
}

// fullStore has room for a limited number of bytes.
type fullStore struct {
	blob.Store
	room *int
}

type fullWriter struct {
	blob.Writer
	room *int
}

func (s fullStore) Create(ctx context.Context, name string) (blob.Writer, error) {
	w, err := s.Store.Create(ctx, name)
	return &fullWriter{w, s.room}, err
}

func (s fullStore) Resume(ctx context.Context, name string, state blob.State) (blob.Writer, error) {
	w, err := s.Store.Resume(ctx, name, state)
	return &fullWriter{w, s.room}, err
}

func (w *fullWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p[:min(len(p), *w.room)])
	if *w.room -= n; err == nil && n < len(p) {
		err = diskspace.Fault(errors.New("no space left on device"))
	}
	return n, err
}

// If the disk is full, an upload keeps what was acknowledged and nothing more, and
// continues from there when there is space.
func TestAppendUpload_DiskFull(t *testing.T) {
	room := 1_000_000
	s := openStore(t, t.TempDir(), newClock(), func(b blob.Store) blob.Store { return fullStore{b, &room} })
	s.create(t, app)
	content := noise(3_000_000)
	u, err := s.StartUpload(t.Context(), app, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, acknowledged := range []int{0, 600_000} {
		if acknowledged > 0 {
			room = 1_000_000
			if _, err := s.AppendUpload(t.Context(), app, u.ID, 0, strings.NewReader(content[:acknowledged])); err != nil {
				t.Fatal(err)
			}
		}
		_, err = s.AppendUpload(t.Context(), app, u.ID, int64(acknowledged), strings.NewReader(content[acknowledged:]))
		if f := fault.From(err); f.Kind != fault.StorageFull {
			t.Errorf("err = %v, want a full disk", err)
		}
		if got, err := s.UploadStatus(t.Context(), app, u.ID); err != nil || got.Size != int64(acknowledged) {
			t.Errorf("the upload has %d bytes, %v, want %d", got.Size, err, acknowledged)
		}
		stored := int64(0)
		for info, err := range s.blobs.List(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			stored += info.Size
		}
		if stored != int64(acknowledged) {
			t.Errorf("%d bytes are stored, want %d", stored, acknowledged)
		}
	}
	room = 10_000_000
	if _, err := s.CompleteUpload(t.Context(), app, u.ID, 600_000, strings.NewReader(content[600_000:]), digest.FromString(content)); err != nil {
		t.Fatal(err)
	}
	s.wantBlob(t, app, content)
}

func TestCancelUpload(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	u, err := s.StartUpload(t.Context(), app, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AppendUpload(t.Context(), app, u.ID, 0, reader("x")); err != nil {
		t.Fatal(err)
	}
	if err := s.CancelUpload(t.Context(), app, u.ID); err != nil {
		t.Fatal(err)
	}
	wantFault(t, s.CancelUpload(t.Context(), app, u.ID), "UploadNotFound")
	if n := s.objects(t); n != 0 {
		t.Errorf("%d objects left", n)
	}
}

// A registry stores one object for a blob, however often it is pushed.
func TestPutBlob_StoredOnce(t *testing.T) {
	s := newStore(t)
	other, foreign := named("other"), app
	foreign.Account = "000000000002"
	for _, id := range []images.RepositoryID{app, other, foreign} {
		s.create(t, id)
	}
	s.push(t, app, "content")
	s.push(t, app, "content")
	_, err := s.BlobInfo(t.Context(), other, digest.FromString("content"))
	wantFault(t, err, "BlobNotFound")
	s.push(t, other, "content")
	if n := s.objects(t); n != 1 {
		t.Errorf("%d objects, want 1", n)
	}
	s.push(t, foreign, "content")
	if n := s.objects(t); n != 2 {
		t.Errorf("%d objects, want one in each registry", n)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := s.PutBlob(t.Context(), app, digest.FromString("together"), reader("together")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := s.objects(t); n != 3 {
		t.Errorf("%d objects, want 3", n)
	}
	for _, id := range []images.RepositoryID{app, other, foreign} {
		s.wantBlob(t, id, "content")
	}
	s.wantBlob(t, app, "together")
}

// Writers to one upload take turns: their bytes do not mix.
func TestAppendUpload_Concurrent(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	u, err := s.StartUpload(t.Context(), app, "")
	if err != nil {
		t.Fatal(err)
	}
	const size = 600_000
	writers := []string{"a", "b", "c", "d"}
	var wg sync.WaitGroup
	for _, w := range writers {
		wg.Go(func() {
			if _, err := s.AppendUpload(t.Context(), app, u.ID, images.AnyOffset, reader(strings.Repeat(w, size))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if up, err := s.UploadStatus(t.Context(), app, u.ID); err != nil || up.Size != int64(len(writers)*size) {
		t.Fatalf("%+v, %v", up, err)
	}
	var orders []digest.Digest
	permute(writers, func(order string) { orders = append(orders, digest.FromString(order)) }, size)
	if _, err = s.CompleteLayer(t.Context(), app, u.ID, orders); err != nil {
		t.Error(err)
	}
}

// permute calls visit with every order of words, each repeated.
func permute(words []string, visit func(string), repeat int) {
	if len(words) == 0 {
		visit("")
	}
	for i, w := range words {
		rest := append(append([]string{}, words[:i]...), words[i+1:]...)
		permute(rest, func(tail string) { visit(strings.Repeat(w, repeat) + tail) }, repeat)
	}
}
