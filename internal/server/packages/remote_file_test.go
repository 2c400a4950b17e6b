package packages_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
	npmsource "github.com/gatehouse-registry/gatehouse/internal/server/source/npm"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/upstreamtest"
)

const padFile = "/left-pad/-/left-pad-1.0.0.tgz"

// part asks for a part of the tarball of left-pad 1.0.0, as a handler does.
func (h *fixture) part(repo string) (*httptest.ResponseRecorder, error) {
	r := httptest.NewRequestWithContext(h.ctx, http.MethodGet, "/", nil)
	r.Header.Set("Range", "bytes=16-31")
	w := httptest.NewRecorder()
	a, o, err := h.OpenAsset(r.Context(), domain.Repository(repo), npm("left-pad"), "1.0.0", tarball)
	if err != nil {
		return w, err
	}
	return w, formats.ServeAsset(w, r, a, o)
}

// A part of a file is complete for the client, who has nothing to compare it with. So it is
// sent only after the whole file has the right hashes.
func TestRemote_PartIsVerified(t *testing.T) {
	r := newRegistry(t)
	r.add("left-pad", "1.0.0", large)
	h := remotely(t, r, source.Settings{}, "app: npm-store")
	r.Fail(padFile, upstreamtest.WrongBytes())
	w, err := h.part("app")
	fails(t, err, "UpstreamMismatch")
	if w.Body.Len() != 0 {
		t.Errorf("the client got %d bytes that were not verified", w.Body.Len())
	}
	r.Heal()
	if w, err := h.part("app"); err != nil || w.Code != http.StatusPartialContent || w.Body.String() != large[16:32] {
		t.Errorf("the right bytes: %d, %q, %v", w.Code, w.Body, err)
	}
	if got := h.kept("app", npm("left-pad")); got != "1.0.0" {
		t.Errorf("kept: %s", got)
	}
}

// A telling codec is one of a registry that tells sizes.
type telling struct {
	npmsource.Codec
	size int64
}

func (c telling) Package(ctx context.Context, r *source.Registry, id packages.PackageID, known string) (*packages.RemotePackage, string, error) {
	p, validator, err := c.Codec.Package(ctx, r, id, known)
	if err == nil {
		for i := range p.Versions {
			p.Versions[i].Assets[0].Size = c.size
		}
	}
	return p, validator, err
}

func TestRemote_StatDownloadsNothing(t *testing.T) {
	r := newRegistry(t)
	r.add("left-pad", "1.0.0", large)
	h := open(t)
	h.connectWith(source.Config{}, r, telling{size: int64(len(large))})
	h.repositories("npm-store")
	h.ok(second(h.AssociateExternalConnection(h.ctx, domain.Repository("npm-store"), npmjs)))
	a, o, err := h.StatAsset(h.ctx, domain.Repository("npm-store"), npm("left-pad"), "1.0.0", tarball)
	h.ok(err)
	w := httptest.NewRecorder()
	h.ok(formats.ServeAsset(w, httptest.NewRequestWithContext(h.ctx, http.MethodHead, "/", nil), a, o))
	if got := w.Header().Get("Content-Length"); w.Code != http.StatusOK || got != "1048576" {
		t.Errorf("HEAD: %d, %s bytes", w.Code, got)
	}
	if n := r.Count(padFile); n != 0 || h.kept("npm-store", npm("left-pad")) != "none" {
		t.Errorf("%d downloads because of HEAD", n)
	}
	h.wantRead("npm-store", npm("left-pad"), "1.0.0", large)
	_, o, err = h.StatAsset(h.ctx, domain.Repository("npm-store"), npm("left-pad"), "1.0.0", tarball)
	h.ok(err)
	if o.Close(); o.Size() != int64(len(large)) {
		t.Errorf("a kept file has %d bytes", o.Size())
	}
}

// Content of which the domain has lost the bytes is replaced by what a registry has.
func TestRemote_RestoresLostContent(t *testing.T) {
	r := newRegistry(t)
	r.add("left-pad", "1.0.0", "contents")
	h := remotely(t, r, source.Settings{}, "other-store")
	h.ok(second(h.AssociateExternalConnection(h.ctx, domain.Repository("other-store"), npmjs)))
	h.wantRead("npm-store", npm("left-pad"), "1.0.0", "contents")
	h.damageObjects(nil)
	for _, repo := range []string{"other-store", "npm-store"} {
		h.wantRead(repo, npm("left-pad"), "1.0.0", "contents")
	}
	h.pass(1 << 40)
	h.runWork()
	h.wantRead("npm-store", npm("left-pad"), "1.0.0", "contents")
	if n := h.objects(); n != 1 {
		t.Errorf("%d objects after the sweep", n)
	}
}

// If the temporary file cannot be written, it is neither the client's fault nor the
// registry's, and nothing is kept.
func TestRemote_NoTemporaryFile(t *testing.T) {
	r := newRegistry(t)
	content := large + strings.Repeat("more", 1000)
	r.add("left-pad", "1.0.0", content)
	h := remotely(t, r, source.Settings{})
	h.ok(os.Remove(h.spool))
	got, err := h.read("npm-store", npm("left-pad"), "1.0.0", tarball)
	if f := fault.From(err); f == nil || f.Kind != fault.Internal || len(got) == len(content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if h.kept("npm-store", npm("left-pad")) != "none" || h.objects() != 0 {
		t.Errorf("%d objects were kept", h.objects())
	}
	h.ok(os.Mkdir(h.spool, 0o700))
	h.wantRead("npm-store", npm("left-pad"), "1.0.0", content)
}
