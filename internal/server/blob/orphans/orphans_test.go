package orphans_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/local"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/orphans"
)

type fixture struct {
	*testing.T
	dir   string
	store *local.Store
	named []string
	sweep orphans.Sweep
}

func setup(t *testing.T) *fixture {
	dir := t.TempDir()
	store, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	f := &fixture{T: t, dir: dir, store: store}
	now := time.Now()
	f.sweep = orphans.Sweep{
		Store: store, Prefix: "image-", Now: now, Before: now.Add(-24 * time.Hour), Created: now.Add(-100 * 24 * time.Hour),
		Named: func(_ context.Context, names []string) ([]string, error) {
			var found []string
			for _, name := range names {
				if slices.Contains(f.named, name) {
					found = append(found, name)
				}
			}
			return found, nil
		},
	}
	return f
}

// put stores an object that was written that long ago.
func (f *fixture) put(name string, age time.Duration) {
	f.Helper()
	w, err := f.store.Create(f.Context(), name)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := w.Write([]byte(name)); err != nil {
		f.Fatal(err)
	}
	if err := w.Commit(f.Context()); err != nil {
		f.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(f.dir, "*", name))
	at := f.sweep.Now.Add(-age)
	if len(files) != 1 || os.Chtimes(files[0], at, at) != nil {
		f.Fatalf("%s is in %v", name, files)
	}
}

func (f *fixture) run(want int) {
	f.Helper()
	if n, err := f.sweep.Run(f.Context()); n != want || err != nil {
		f.Errorf("Run = %d, %v, want %d", n, err, want)
	}
}

func (f *fixture) want(names ...string) {
	f.Helper()
	var got []string
	for info, err := range f.store.List(f.Context(), "") {
		if err != nil {
			f.Fatal(err)
		}
		got = append(got, info.Name)
	}
	slices.Sort(got)
	if !slices.Equal(got, names) {
		f.Errorf("objects = %q, want %q", got, names)
	}
}

const day = 24 * time.Hour

func TestSweep_RemovesOrphansAlone(t *testing.T) {
	f := setup(t)
	f.named = []string{"image-named"}
	f.put("image-named", 3*day)
	f.put("image-orphan", 3*day)
	f.put("image-young", time.Hour)
	f.put("package-other", 3*day)
	f.run(1)
	f.want("image-named", "image-young", "package-other")
}

// The object was there before the database: the database cannot know it.
func TestSweep_LeavesObjectsOlderThanTheDatabase(t *testing.T) {
	f := setup(t)
	f.sweep.Created = f.sweep.Now.Add(-2 * day)
	f.put("image-older", 3*day)
	f.put("image-younger", 36*time.Hour)
	f.run(1)
	f.want("image-older")
}

func TestSweep_ImplausibleShare(t *testing.T) {
	f := setup(t)
	for i := range 60 {
		name := fmt.Sprintf("image-%d", i)
		f.put(name, 3*day)
		if i >= 30 {
			f.named = append(f.named, name)
		}
	}
	if n, err := f.sweep.Run(t.Context()); n != 0 || !errors.Is(err, orphans.ErrImplausible) {
		t.Errorf("Run = %d, %v, want ErrImplausible", n, err)
	}
	f.sweep.MaxShare = 0.5
	f.run(30)
}

func TestSweep_FewObjectsAreAlwaysPlausible(t *testing.T) {
	f := setup(t)
	for i := range 20 {
		f.put(fmt.Sprintf("image-%d", i), 3*day)
	}
	f.run(20)
}

// While the clock was ten years ahead, an upload failed.
func TestSweep_ObjectFromTheFuture(t *testing.T) {
	f := setup(t)
	f.put("image-future", -3650*day)
	f.put("image-clock-skew", -time.Hour)
	f.run(1)
	f.want("image-clock-skew")
}

func TestSweep_ObjectIsRestoredWhenOpened(t *testing.T) {
	f := setup(t)
	f.put("image-orphan", 3*day)
	f.run(1)
	o, err := f.store.Open(t.Context(), "image-orphan")
	if err != nil {
		t.Fatal(err)
	}
	o.Close()
	f.want("image-orphan")
	f.run(1)
	if _, err := f.store.Purge(t.Context(), f.sweep.Now.Add(2*day)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.store.Open(t.Context(), "image-orphan"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Open after Purge = %v, want ErrNotFound", err)
	}
}
