package packages_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// Content whose object is missing, too short or damaged does not exist for readers (if
// its size shows it), and publishing the same bytes again restores it, also for other
// repositories that share it and for readers with a cached package.
func TestPublish_RestoresLostContent(t *testing.T) {
	for what, damage := range map[string]struct {
		do     func(path string) error
		hidden bool
	}{
		"missing":   {os.Remove, true},
		"too short": {func(path string) error { return os.Truncate(path, 3) }, true},
		"changed":   {func(path string) error { return os.WriteFile(path, []byte("damaged!"), 0o600) }, false},
	} {
		t.Run(what, func(t *testing.T) {
			h := open(t)
			h.repositories("origin", "app: origin")
			id := npm("lib")
			h.mustPublish("origin", id, "1.0.0", "a", "contents")
			h.ok(second(h.read("app", id, "1.0.0", "a")))
			h.ok(h.damageObjects(damage.do))
			for _, repo := range []string{"origin", "app"} {
				_, err := h.read(repo, id, "1.0.0", "a")
				if damage.hidden {
					fails(t, err, "ResourceNotFound")
					_, _, _, err = h.GetAsset(h.ctx, domain.Repository(repo), id, "1.0.0", "", "a")
					fails(t, err, "ResourceNotFound")
				}
			}
			if found := h.damage.Found(); found == 0 && damage.hidden {
				t.Error("the damage is not counted")
			}
			h.mustPublish("origin", id, "1.0.0", "a", "contents")
			for _, repo := range []string{"origin", "app"} {
				if s, err := h.read(repo, id, "1.0.0", "a"); s != "contents" || err != nil {
					t.Fatalf("%s: %q, %v", repo, s, err)
				}
			}
			// What is swept is the damaged object.
			h.pass(1 << 40)
			h.ok(h.SweepGarbage(h.ctx))
			if s, err := h.read("app", id, "1.0.0", "a"); s != "contents" || err != nil || h.objects() != 1 {
				t.Fatalf("after the sweep: %q, %v, %d objects", s, err, h.objects())
			}
		})
	}
}

// Another version with the same content restores it too.
func TestPublish_RestoresSharedContent(t *testing.T) {
	h := open(t)
	h.repositories("store")
	h.mustPublish("store", npm("lib"), "1.0.0", "a", "contents")
	h.ok(h.damageObjects(os.Remove))
	h.mustPublish("store", npm("other"), "2.0.0", "a", "contents")
	for id, version := range map[packages.PackageID]string{npm("lib"): "1.0.0", npm("other"): "2.0.0"} {
		if s, err := h.read("store", id, version, "a"); s != "contents" || err != nil {
			t.Fatalf("%v: %q, %v", id, s, err)
		}
	}
}

// damageObjects does something to the file of each object.
func (h *fixture) damageObjects(do func(path string) error) error {
	return filepath.WalkDir(filepath.Join(h.dir, "blobs"), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if filepath.Base(path)[:8] != "package-" {
			return nil
		}
		return do(path)
	})
}

func testLog(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }
