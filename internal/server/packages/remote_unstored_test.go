package packages_test

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/removal/removaltest"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/traits"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
	npmsource "github.com/gatehouse-registry/gatehouse/internal/server/source/npm"
)

// A slowDisk is a blob store whose commits wait.
type slowDisk struct {
	blob.Store
	begun chan struct{}
	held  chan struct{}
}

func (d *slowDisk) Create(ctx context.Context, name string) (blob.Writer, error) {
	w, err := d.Store.Create(ctx, name)
	return &slowWriter{w, d}, err
}

type slowWriter struct {
	blob.Writer
	disk *slowDisk
}

func (w *slowWriter) Commit(ctx context.Context) error {
	w.disk.begun <- struct{}{}
	<-w.disk.held
	return w.Writer.Commit(ctx)
}

// onSlowDisk returns a fixture whose repositories app and other take packages from the
// registry through npm-store.
func onSlowDisk(t *testing.T, r *registry) (*fixture, *slowDisk) {
	h := remotely(t, r, source.Settings{}, "app: npm-store", "other: npm-store")
	cache := h.connectWith(source.Config{}, r, npmsource.Codec{})
	disk := &slowDisk{h.blobs, make(chan struct{}, 10), make(chan struct{})}
	removals, _ := removaltest.Open(t, h.db, disk, h.now)
	var err error
	h.Service, err = packages.New(t.Context(), packages.Config{
		DB: h.db, Blobs: disk, Removals: removals, Authz: h.authorizer(), Principals: iamtest.Unbound{}, Damage: h.damage, Now: h.now,
		Remote: cache, SpoolDir: h.spool, Traits: traits.Reader{},
	})
	h.ok(err)
	return h, disk
}

// Clients get a file when it is verified, and do not wait for the disk. Operations that
// could see that the file is missing do.
func TestRemote_AnswersBeforeStoring(t *testing.T) {
	for name, content := range map[string]string{"small": "one", "large": large} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			r.add("left-pad", "1.0.0", content)
			h, disk := onSlowDisk(t, r)
			pad := npm("left-pad")
			for range 2 {
				if got, err := h.read("app", pad, "1.0.0", tarball); err != nil || got != content {
					t.Fatalf("%d bytes, %v", len(got), err)
				}
			}
			<-disk.begun
			type answer struct {
				repository, kept string
			}
			answers := make(chan answer)
			for _, repo := range []string{"app", "npm-store"} {
				go func() { answers <- answer{repo, h.kept(repo, pad)} }()
			}
			read := make(chan error)
			go func() {
				_, err := h.read("other", pad, "1.0.0", tarball) // must be kept there, too
				read <- err
			}()
			select {
			case a := <-answers:
				t.Errorf("before the file is stored, %s has %s", a.repository, a.kept)
			case err := <-read:
				t.Errorf("before the file is stored, it is read from another repository: %v", err)
			case <-time.After(50 * time.Millisecond):
			}
			close(disk.held)
			for range 2 {
				if a := <-answers; a.kept != "1.0.0" {
					t.Errorf("%s has %s", a.repository, a.kept)
				}
			}
			h.ok(<-read)
			if got := h.kept("other", pad); got != "1.0.0" {
				t.Errorf("the other repository has %s", got)
			}
			if n := r.Count(padFile); n != 1 {
				t.Errorf("%d downloads", n)
			}
			h.ok(h.Close())
		})
	}
}

// A server that ends stores what clients have got.
func TestRemote_CloseStores(t *testing.T) {
	r := newRegistry(t)
	r.add("left-pad", "1.0.0", "one")
	h, disk := onSlowDisk(t, r)
	if _, err := h.read("app", npm("left-pad"), "1.0.0", tarball); err != nil {
		t.Fatal(err)
	}
	<-disk.begun
	closed := make(chan error)
	go func() { closed <- h.Close() }()
	close(disk.held)
	h.ok(<-closed)
	r.Close()
	next := reopen(t, h.dir, h.clock)
	if got := next.kept("app", npm("left-pad")); got != "1.0.0" {
		t.Errorf("the next server has %s", got)
	}
}

// A version that a client has can be copied, also before it is stored.
func TestRemote_CopyBeforeStored(t *testing.T) {
	r := newRegistry(t)
	r.add("left-pad", "1.0.0", "one")
	h, disk := onSlowDisk(t, r)
	h.ok(second(h.CreateRepository(h.ctx, packages.NewRepository{ID: domain.Repository("target")})))
	pad := npm("left-pad")
	h.ok(second(h.read("app", pad, "1.0.0", tarball)))
	<-disk.begun
	type answer struct {
		out packages.Outcome
		err error
	}
	copied := make(chan answer)
	go func() {
		out, err := h.CopyVersions(h.ctx, packages.Copy{
			Source: domain.Repository("app"), Destination: domain.Repository("target"), Package: pad, Versions: []string{"1.0.0"},
		})
		copied <- answer{out, err}
	}()
	select {
	case a := <-copied:
		t.Fatalf("before the file is stored: %v, %v", a.out.Failed, a.err)
	case <-time.After(50 * time.Millisecond):
	}
	close(disk.held)
	if a := <-copied; a.err != nil || len(a.out.Successful) != 1 {
		t.Errorf("%v, %v", a.out.Failed, a.err)
	}
	h.ok(h.Close())
}

// A refusal does not wait until other files of the package are stored, and counts once.
func TestRemote_DeniedBeforeStored(t *testing.T) {
	r := newRegistry(t)
	r.times = time.Time{}
	h, disk := onSlowDisk(t, r)
	r.times = h.now().Add(-30 * 24 * time.Hour)
	r.add("left-pad", "1.0.0", "one")
	r.times = h.now()
	r.add("left-pad", "1.1.0", "two")
	h.setPolicy("app", denyIf("NothingYoung", youngerThanWeek))
	h.ok(second(h.read("app", npm("left-pad"), "1.0.0", tarball)))
	<-disk.begun
	denied := make(chan error)
	go func() { denied <- second(h.read("app", npm("left-pad"), "1.1.0", tarball)) }()
	select {
	case err := <-denied:
		fails(t, err, "AccessDenied")
	case <-time.After(5 * time.Second):
		t.Error("the refusal waits for the disk")
		go func() { <-denied }()
	}
	close(disk.held)
	h.ok(h.Close())
	if n := h.Admissions().Denied; n != 1 {
		t.Errorf("it is counted %d times", n)
	}
}
