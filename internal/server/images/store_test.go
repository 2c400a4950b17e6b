package images_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/advisories"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/integrity"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/removal/removaltest"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/events"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/scantest"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// A store is a Service on a real database and real files.
type store struct {
	*images.Service
	dir   string
	disk  *blobtest.Store
	blobs blob.Store // the disk, perhaps with faults
	db    *db.DB
	work  *work.Queue
	clock *clock
	authz *grants
	signs *fakeSigner
	// damage counts the damaged objects that the store found.
	damage *integrity.Monitor
	close  func()
	log    *events.Log
	// known are the advisories that images are compared with.
	known *advisories.Service
	// auditing guards audit.
	auditing sync.Mutex
	audit    []images.ServiceEvent
	// auditErr is what writing an audit record returns.
	auditErr error
	// onAudit is called before a record is written, if it is not nil.
	onAudit func()
}

// A clock stands still until advance is called.
type clock struct{ us atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	// SweepObjects compares it with the times of files, which the machine sets.
	c.us.Store(time.Now().UnixMicro())
	return c
}

func (c *clock) now() time.Time { return time.UnixMicro(c.us.Load()) }

func (c *clock) advance(d time.Duration) { c.us.Add(d.Microseconds()) }

// grants allows everything except what is in denied: "action" or "action resource".
type grants struct {
	denied map[string]bool
	asking sync.Mutex
	asked  []authz.Request
}

func (g *grants) Authorize(_ context.Context, req *authz.Request) error {
	if g.denied[req.Action] || g.denied[req.Action+" "+req.Resource] {
		g.asking.Lock()
		g.asked = append(g.asked, *req)
		g.asking.Unlock()
		return fault.New(fault.Denied, "AccessDenied", "not authorized to perform: %s on resource: %s", req.Action, req.Resource)
	}
	return nil
}

func newStore(t testing.TB) *store {
	t.Helper()
	return openStore(t, t.TempDir(), newClock(), func(b blob.Store) blob.Store { return b })
}

// openStore opens a store in dir. A store that was open there before looks as if its
// process had been killed.
func openStore(t testing.TB, dir string, c *clock, wrap func(blob.Store) blob.Store) *store {
	t.Helper()
	d := dbtest.OpenAt(t, dir)
	b := blobtest.OpenAt(t, dir)
	s := &store{dir: dir, disk: b, blobs: wrap(b), db: d, clock: c, authz: new(grants), signs: new(fakeSigner), damage: integrity.NewMonitor(slog.New(slog.DiscardHandler))}
	s.close = sync.OnceFunc(func() { d.Close(); b.Close() })
	t.Cleanup(s.close)
	var err error
	removals, queue := removaltest.Open(t, d, s.blobs, c.now)
	s.work = queue
	s.log, err = events.New(t.Context(), events.Config{DB: d, Work: queue, Now: c.now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if s.known, err = advisories.New(t.Context(), advisories.Config{DB: d, Operators: anyOperator{}, Now: c.now, OnChange: func(ctx context.Context, tx *db.Tx) error { return s.AdvisoriesChanged(ctx, tx) }}); err != nil {
		t.Fatal(err)
	}
	s.Service, err = images.New(t.Context(), images.Config{Scanning: images.Scanning{Reader: scantest.Reader{}, Advisories: s.known}, DB: d, Blobs: s.blobs, Removals: removals, Events: s.log, Work: queue, Audit: s.record, Signer: s.signs, Authz: s.authz, Principals: iamtest.Unbound{}, Damage: s.damage, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	if err := queue.Handle(slices.Concat(s.LifecycleWork(), s.ReplicationWork(), s.StorageClassWork(), s.ScanWork(), s.SigningWork())...); err != nil {
		t.Fatal(err)
	}
	return s
}

// anyOperator may do everything.
type anyOperator struct{}

func (anyOperator) Authorize(context.Context, string, string) error { return nil }

func (s *store) record(_ context.Context, e images.ServiceEvent) error {
	if s.onAudit != nil {
		s.onAudit()
	}
	if s.auditErr != nil {
		return s.auditErr
	}
	s.auditing.Lock()
	defer s.auditing.Unlock()
	s.audit = append(s.audit, e)
	return nil
}

var app = images.RepositoryID{Account: "000000000001", Region: "us-east-1", Name: "team/app"}

func named(name string) images.RepositoryID {
	id := app
	id.Name = name
	return id
}

func (s *store) create(t testing.TB, id images.RepositoryID) {
	t.Helper()
	if _, err := s.CreateRepository(t.Context(), id, images.Settings{Mutability: images.Mutable}); err != nil {
		t.Fatal(err)
	}
}

// push stores content as a blob, and returns its descriptor.
func (s *store) push(t testing.TB, id images.RepositoryID, content string) ocispec.Descriptor {
	t.Helper()
	d := digest.FromString(content)
	if _, err := s.PutBlob(t.Context(), id, d, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: d, Size: int64(len(content))}
}

// image returns an OCI image manifest.
func image(config ocispec.Descriptor, layers ...ocispec.Descriptor) []byte {
	config.MediaType = ocispec.MediaTypeImageConfig
	return manifest("config", config, "layers", layers)
}

// index returns an OCI image index.
func index(manifests ...ocispec.Descriptor) []byte {
	return manifest("manifests", append([]ocispec.Descriptor{}, manifests...))
}

func describe(mediaType string, body []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
}

// put stores a manifest with tags and fails the test if it cannot.
func (s *store) put(t testing.TB, id images.RepositoryID, body []byte, tags ...string) digest.Digest {
	t.Helper()
	m, err := s.PutManifest(t.Context(), id, images.PutManifest{Tags: tags, Body: bytes.NewReader(body)})
	if err != nil {
		t.Fatal(err)
	}
	return m.Digest
}

// pushImage pushes an image of a config and a layer, whose contents depend on name.
func (s *store) pushImage(t testing.TB, id images.RepositoryID, name string, tags ...string) digest.Digest {
	t.Helper()
	return s.put(t, id, image(s.push(t, id, "config of "+name), s.push(t, id, "layer of "+name)), tags...)
}

// wantBlob fails the test unless the repository has content.
func (s *store) wantBlob(t testing.TB, id images.RepositoryID, content string) {
	t.Helper()
	if err := s.readBlob(t.Context(), id, content); err != nil {
		t.Error(err)
	}
}

func (s *store) readBlob(ctx context.Context, id images.RepositoryID, content string) error {
	b, o, err := s.OpenBlob(ctx, id, digest.FromString(content))
	if err != nil {
		return err
	}
	defer o.Close()
	got, err := io.ReadAll(o)
	if err != nil || string(got) != content || b.Size != int64(len(content)) || o.Size() != b.Size {
		return fmt.Errorf("blob = %d bytes, size %d, %v; want %d bytes", len(got), b.Size, err, len(content))
	}
	return nil
}

// wantFault fails the test unless err is a fault with the code.
func wantFault(t testing.TB, err error, code string) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("err = %v, want fault %s", err, code)
	}
}

// objects returns how many objects the blob store has.
func (s *store) objects(t testing.TB) (n int) {
	t.Helper()
	if err := s.work.RunDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, err := range s.blobs.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func reader(content string) io.Reader { return bytes.NewReader([]byte(content)) }
