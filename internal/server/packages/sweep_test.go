package packages_test

import (
	"strings"
	"testing"
	"time"
)

// What was staged when the process died is deleted, and nothing else: not what
// is published, not what another may still publish, and nothing of another store.
func TestSweepStaged(t *testing.T) {
	h := open(t)
	h.clock.Store(time.Now().Unix()) // the files' own times are the machine's
	h.repositories("store")
	repo := domain.Repository("store")
	h.mustPublish("store", npm("lib"), "1.0.0", "a", "kept")
	h.mustPublish("store", npm("lib"), "2.0.0", "a", "deleted")
	h.ok(h.DeleteVersions(h.ctx, repo, npm("lib"), []string{"2.0.0"}))
	_, err := h.Stage(h.ctx, repo, npm("lib"), strings.NewReader("abandoned"), 100)
	h.ok(err)
	w, err := h.blobs.Create(h.ctx, "image-another")
	h.ok(err)
	h.ok(w.Commit(h.ctx))

	h.pass(47 * time.Hour)
	h.ok(h.SweepStaged(h.ctx))
	if n := h.objects(); n != 4 {
		t.Fatalf("%d objects: what is not two days old must stay", n)
	}
	h.pass(2 * time.Hour)
	again := reopen(t, h.dir, h.clock)
	again.ok(again.SweepStaged(again.ctx))
	if n := again.objects(); n != 2 {
		t.Fatalf("%d objects, want the published and the image's", n)
	}
	again.runWork() // the deleted one is gone already
	if n := again.objects(); n != 2 {
		t.Fatalf("%d objects", n)
	}
	if s, err := again.read("store", npm("lib"), "1.0.0", "a"); s != "kept" || err != nil {
		t.Fatalf("%q, %v", s, err)
	}
}

// The next process finds everything that was acknowledged.
func TestNew_Reopen(t *testing.T) {
	h := open(t)
	h.repositories("base", "store: base")
	h.mustPublish("base", npm("lib"), "1.0.0", "a", "one")
	h.ok(second(h.SetRepositoryPolicy(h.ctx, domain.Repository("store"), allowOther("codeartifact:ReadFromRepository"), "")))
	again := reopen(t, h.dir, h.clock)
	if got := again.versions("store", npm("lib")); got != "1.0.0" {
		t.Fatalf("versions = %q", got)
	}
	if s, err := again.read("store", npm("lib"), "1.0.0", "a"); s != "one" || err != nil {
		t.Fatalf("%q, %v", s, err)
	}
	p, err := again.RepositoryPolicy(again.ctx, domain.Repository("store"))
	if err != nil || p.Document != allowOther("codeartifact:ReadFromRepository") {
		t.Fatalf("%+v, %v", p, err)
	}
	again.ok(again.Authorized(as(t, other, "guest", everything), domain.Repository("store"), "codeartifact:ReadFromRepository"))
	r, err := again.DescribeRepository(again.ctx, domain.Repository("store"))
	if err != nil || len(r.Upstreams) != 1 || r.Upstreams[0] != "base" {
		t.Fatalf("%+v, %v", r, err)
	}
}
