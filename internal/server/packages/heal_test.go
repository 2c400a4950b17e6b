package packages_test

import (
	"log/slog"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// Content whose object is missing, too short or damaged does not exist for readers (if
// its size shows it), and publishing the same bytes again restores it, also for other
// repositories that share it and for readers with a cached package.
func TestPublish_RestoresLostContent(t *testing.T) {
	for what, damage := range map[string]struct {
		bytes  []byte
		hidden bool
	}{
		"missing":   {nil, true},
		"too short": {[]byte("con"), true},
		"changed":   {[]byte("damaged!"), false},
	} {
		t.Run(what, func(t *testing.T) {
			h := open(t)
			h.repositories("origin", "app: origin")
			id := npm("lib")
			h.mustPublish("origin", id, "1.0.0", "a", "contents")
			h.ok(second(h.read("app", id, "1.0.0", "a")))
			h.damageObjects(damage.bytes)
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
			h.runWork()
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
	h.damageObjects(nil)
	h.mustPublish("store", npm("other"), "2.0.0", "a", "contents")
	for id, version := range map[packages.PackageID]string{npm("lib"): "1.0.0", npm("other"): "2.0.0"} {
		if s, err := h.read("store", id, version, "a"); s != "contents" || err != nil {
			t.Fatalf("%v: %q, %v", id, s, err)
		}
	}
}

// damageObjects gives each object other bytes; nil removes it.
func (h *fixture) damageObjects(content []byte) {
	h.t.Helper()
	var names []string
	for info, err := range h.blobs.List(h.t.Context(), "") {
		h.ok(err)
		names = append(names, info.Name)
	}
	for _, name := range names {
		h.blobs.Damage(h.t, name, content)
	}
}

func testLog(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }
