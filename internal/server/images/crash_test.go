package images_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// errKilled is the panic that stands for a killed process.
var errKilled = errors.New("killed")

// A killableStore kills the process at its n-th step: every operation has
// one step before it takes effect and one after. After that, every operation panics,
// because nothing runs in a killed process.
type killableStore struct {
	blob.Store
	left int
	dead bool
}

func (m *killableStore) step() {
	if m.left--; m.left == 0 || m.dead {
		m.dead = true
		panic(errKilled)
	}
}

// do runs an operation between its two steps.
func do[T any](m *killableStore, operation func() (T, error)) (T, error) {
	m.step()
	v, err := operation()
	m.step()
	return v, err
}

func (m *killableStore) Create(ctx context.Context, name string) (blob.Writer, error) {
	w, err := do(m, func() (blob.Writer, error) { return m.Store.Create(ctx, name) })
	return &killableWriter{w, m}, err
}

func (m *killableStore) Resume(ctx context.Context, name string, state blob.State) (blob.Writer, error) {
	w, err := do(m, func() (blob.Writer, error) { return m.Store.Resume(ctx, name, state) })
	return &killableWriter{w, m}, err
}

func (m *killableStore) Delete(ctx context.Context, name string) error {
	_, err := do(m, func() (struct{}, error) { return struct{}{}, m.Store.Delete(ctx, name) })
	return err
}

type killableWriter struct {
	blob.Writer
	m *killableStore
}

func (w *killableWriter) Write(p []byte) (int, error) {
	return do(w.m, func() (int, error) { return w.Writer.Write(p) })
}

func (w *killableWriter) Suspend(ctx context.Context) (blob.State, error) {
	return do(w.m, func() (blob.State, error) { return w.Writer.Suspend(ctx) })
}

func (w *killableWriter) Commit(ctx context.Context) error {
	_, err := do(w.m, func() (struct{}, error) { return struct{}{}, w.Writer.Commit(ctx) })
	return err
}

func (w *killableWriter) Rollback() {
	if !w.m.dead {
		w.Writer.Rollback()
	}
}

func (w *killableWriter) Abort() {
	if !w.m.dead {
		w.Writer.Abort()
	}
}

// The process is killed at each step of a chunked push. What it acknowledged survives,
// and the client can continue from there.
func TestAppendUpload_KilledAtAnyStep(t *testing.T) {
	chunks := []string{noise(600_000), noise(10), noise(1000)}
	content := strings.Join(chunks, "")
	d := digest.FromString(content)
	for _, c := range []struct {
		name string
		d    digest.Digest
		// present means that the registry has the blob already, in another repository.
		present bool
	}{{"new", d, false}, {"sha512 unannounced", digest.SHA512.FromString(content), false}, {"present", d, true}} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t)
			s.create(t, app)
			s.create(t, named("other"))
			if c.present {
				s.push(t, named("other"), content)
			}
			for step, survived := 1, false; !survived; step++ {
				var acknowledged images.Upload
				done := false
				m := &killableStore{left: step}
				dying := openStore(t, s.dir, s.clock, func(b blob.Store) blob.Store { m.Store = b; return m })
				survived = live(func() {
					u, err := dying.StartUpload(t.Context(), app, "")
					if err != nil {
						t.Fatal(err)
					}
					acknowledged = u
					for _, chunk := range chunks[:2] {
						if u, err = dying.AppendUpload(t.Context(), app, u.ID, u.Size, reader(chunk)); err != nil {
							t.Fatal(err)
						}
						acknowledged = u
					}
					if _, err := dying.CompleteUpload(t.Context(), app, u.ID, u.Size, reader(chunks[2]), c.d); err != nil {
						t.Fatal(err)
					}
					done = true
				})
				after := openStore(t, s.dir, s.clock, same)
				resume(t, after, acknowledged, done, content, c.d)
				clean(t, after, c.d, c.present)
			}
		})
	}
}

// live runs fn and reports whether the process survived it.
func live(fn func()) (survived bool) {
	defer func() {
		if r := recover(); r != nil && r != any(errKilled) {
			panic(r)
		}
	}()
	fn()
	return true
}

// resume does what a client does after its connection broke.
func resume(t *testing.T, s *store, acknowledged images.Upload, done bool, content string, d digest.Digest) {
	t.Helper()
	b, err := s.BlobInfo(t.Context(), app, d)
	if done && err != nil {
		t.Fatalf("an acknowledged blob is lost: %v", err)
	}
	if fault.Is(err, "BlobNotFound") {
		u, err := s.UploadStatus(t.Context(), app, acknowledged.ID)
		if err != nil || u.Size < acknowledged.Size {
			t.Fatalf("after %d bytes were acknowledged: %+v, %v", acknowledged.Size, u, err)
		}
		b, err = s.CompleteUpload(t.Context(), app, u.ID, u.Size, reader(content[u.Size:]), d)
		if err != nil {
			t.Fatalf("cannot go on after %d bytes: %v", u.Size, err)
		}
	} else if err != nil {
		t.Fatal(err)
	}
	if b.Size != int64(len(content)) {
		t.Errorf("size %d", b.Size)
	}
	_, o, err := s.OpenBlob(t.Context(), app, d)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if got, err := io.ReadAll(o); err != nil || string(got) != content {
		t.Fatalf("%d bytes, %v: not what was pushed", len(got), err)
	}
}

// clean deletes the blob, and checks that the sweeps remove everything that the killed
// process left behind.
func clean(t *testing.T, s *store, d digest.Digest, present bool) {
	t.Helper()
	if err := s.DeleteBlob(t.Context(), app, d); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SweepBlobs(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	later := openStore(t, s.dir, &clock{}, same)
	later.clock.us.Store(s.clock.us.Load())
	later.clock.advance(25 * time.Hour)
	if _, err := later.SweepUploads(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := later.SweepObjects(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	want := 0
	if present {
		want = 1
	}
	if n := s.objects(t); n != want {
		t.Fatalf("%d objects are left, want %d", n, want)
	}
}

// The same for a blob in one request. The client only knows whether it got an answer.
func TestPutBlob_KilledAtAnyStep(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	for step, survived := 1, false; !survived; step++ {
		content := fmt.Sprintf("content %d", step)
		m := &killableStore{left: step}
		dying := openStore(t, s.dir, s.clock, func(b blob.Store) blob.Store { m.Store = b; return m })
		survived = live(func() {
			if _, err := dying.PutBlob(t.Context(), app, digest.FromString(content), reader(content)); err != nil {
				t.Error(err)
			}
		})
		after := openStore(t, s.dir, s.clock, same)
		err := after.readBlob(t.Context(), app, content)
		if survived && err != nil {
			t.Errorf("an acknowledged blob is lost: %v", err)
		}
		if !survived && !fault.Is(err, "BlobNotFound") {
			t.Errorf("step %d: %v", step, err)
		}
		after.push(t, app, content)
		after.wantBlob(t, app, content)
		clean(t, after, digest.FromString(content), false)
	}
}
