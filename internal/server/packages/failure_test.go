package packages_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/removal/removaltest"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// A failing store fails at the next call of one kind.
type failing struct {
	blob.Store
	commit, delete, open error
}

func (f *failing) Create(ctx context.Context, name string) (blob.Writer, error) {
	w, err := f.Store.Create(ctx, name)
	return failingWriter{w, f}, err
}

func (f *failing) SetAside(ctx context.Context, name string, now time.Time) error {
	if f.delete != nil {
		return f.delete
	}
	return f.Store.SetAside(ctx, name, now)
}

func (f *failing) Delete(ctx context.Context, name string) error {
	if f.delete != nil {
		return f.delete
	}
	return f.Store.Delete(ctx, name)
}

func (f *failing) Open(ctx context.Context, name string) (blob.Object, error) {
	if f.open != nil {
		return nil, f.open
	}
	return f.Store.Open(ctx, name)
}

type failingWriter struct {
	blob.Writer
	store *failing
}

func (w failingWriter) Commit(ctx context.Context) error {
	if w.store.commit != nil {
		return w.store.commit
	}
	return w.Writer.Commit(ctx)
}

func openFailing(t *testing.T) (*fixture, *failing) {
	h := open(t)
	f := &failing{Store: h.blobs}
	removals, queue := removaltest.Open(t, h.db, f, h.now)
	h.work = queue
	s, err := packages.New(h.ctx, packages.Config{DB: h.db, Blobs: f, Removals: removals, Authz: h.authorizer(), Principals: iamtest.Unbound{}, Now: h.now})
	h.ok(err)
	h.Service = s
	h.repositories("base", "app: base")
	return h, f
}

// What is not durable is not acknowledged, and leaves nothing behind.
func TestStage_CommitFails(t *testing.T) {
	h, f := openFailing(t)
	f.commit = errBroken
	_, err := h.Stage(h.ctx, domain.Repository("base"), npm("lib"), strings.NewReader("x"), 10)
	if !errors.Is(err, errBroken) || h.objects() != 0 {
		t.Fatalf("%v, %d objects", err, h.objects())
	}
}

// What could not be removed is tried again.
func TestDeleteVersions_SetAsideFails(t *testing.T) {
	h, f := openFailing(t)
	h.mustPublish("base", npm("lib"), "1.0.0", "a", "one")
	h.ok(h.DeleteVersions(h.ctx, domain.Repository("base"), npm("lib"), []string{"1.0.0"}))
	h.pass(time.Hour)
	f.delete = errBroken
	h.runWork()
	if h.objects() != 1 {
		t.Fatalf("%d objects", h.objects())
	}
	f.delete = nil
	h.pass(time.Minute)
	h.runWork()
	if h.objects() != 0 {
		t.Fatalf("%d objects", h.objects())
	}
}

// An object that cannot be read now is a failure of the server. One that is missing is
// "no such asset". Nothing is retained by a download that did not happen.
func TestOpenAsset_OpenFails(t *testing.T) {
	h, f := openFailing(t)
	h.mustPublish("base", npm("lib"), "1.0.0", "a", "one")
	f.open = errBroken
	if _, err := h.read("app", npm("lib"), "1.0.0", "a"); !errors.Is(err, errBroken) {
		t.Fatalf("%v, want %v", err, errBroken)
	}
	f.open = blob.ErrNotFound
	_, missing := h.read("app", npm("lib"), "1.0.0", "a")
	fails(t, missing, "ResourceNotFound")
	_, err := h.DescribePackage(h.ctx, domain.Repository("app"), npm("lib"))
	fails(t, err, "ResourceNotFound")
}

// A publication whose transaction could not run keeps its content until a
// sweep has looked whether a row names it.
func TestPublish_DatabaseFails(t *testing.T) {
	h, _ := openFailing(t)
	staged, err := h.Stage(h.ctx, domain.Repository("base"), npm("lib"), strings.NewReader("x"), 10)
	h.ok(err)
	ctx, cancel := context.WithCancel(h.ctx)
	cancel()
	_, err = h.Publish(ctx, packages.Publication{
		Repository: domain.Repository("base"), Package: npm("lib"), Version: "1.0.0", Assets: []packages.StagedAsset{{Name: "a", Content: staged}},
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if got := h.versions("base", npm("lib")); got != "none" {
		t.Fatalf("versions = %q", got)
	}
	h.mustPublish("base", npm("lib"), "1.0.0", "a", "x")
}
