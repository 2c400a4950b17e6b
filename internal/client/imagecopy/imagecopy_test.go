package imagecopy_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/gatehouse-registry/gatehouse/internal/client/imagecopy"
)

const (
	indexType = "application/vnd.oci.image.index.v1+json"
	imageType = "application/vnd.oci.image.manifest.v1+json"
)

// A memory is a source of manifests that a test makes.
type memory struct {
	manifests map[string]*imagecopy.Manifest // by digest or tag
	blobs     map[string]string
	referrers map[string][]imagecopy.Descriptor
	asked     int
	broken    map[string]bool // blobs that cannot be read
}

func newMemory() *memory {
	return &memory{manifests: map[string]*imagecopy.Manifest{}, blobs: map[string]string{}, referrers: map[string][]imagecopy.Descriptor{}, broken: map[string]bool{}}
}

func (m *memory) Manifest(_ context.Context, reference string) (*imagecopy.Manifest, error) {
	m.asked++
	if found := m.manifests[reference]; found != nil {
		return found, nil
	}
	return nil, imagecopy.ErrNotFound
}

func (m *memory) Blob(_ context.Context, d imagecopy.Descriptor) (io.ReadCloser, error) {
	if m.broken[d.Digest] {
		return nil, errBroken
	}
	return io.NopCloser(strings.NewReader(m.blobs[d.Digest])), nil
}

var errBroken = errors.New("the source is broken")

func (m *memory) Referrers(_ context.Context, digest string) ([]imagecopy.Descriptor, error) {
	return m.referrers[digest], nil
}

func digest(text string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))) }

// add adds a manifest of a document.
func (m *memory) add(t *testing.T, mediaType string, document map[string]any) *imagecopy.Manifest {
	t.Helper()
	document["schemaVersion"], document["mediaType"] = 2, mediaType
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := imagecopy.NewManifest(digest(string(text)), mediaType, text)
	if err != nil {
		t.Fatal(err)
	}
	m.manifests[manifest.Digest] = manifest
	return manifest
}

// image adds an image with one layer.
func (m *memory) image(t *testing.T, content string) *imagecopy.Manifest {
	t.Helper()
	descriptor := func(mediaType, text string) map[string]any {
		m.blobs[digest(text)] = text
		return map[string]any{"mediaType": mediaType, "digest": digest(text), "size": len(text)}
	}
	return m.add(t, imageType, map[string]any{
		"config": descriptor("application/vnd.oci.image.config.v1+json", `{"architecture":"`+content+`","os":"linux"}`),
		"layers": []any{descriptor("application/vnd.oci.image.layer.v1.tar", content)},
	})
}

func (m *memory) index(t *testing.T, children ...*imagecopy.Manifest) *imagecopy.Manifest {
	t.Helper()
	list := make([]any, len(children))
	for i, c := range children {
		list[i] = c.Descriptor
	}
	return m.add(t, indexType, map[string]any{"manifests": list})
}

// A recorder is a visitor.
type recorder struct{ visited, tags []string }

func (r *recorder) Visit(_ context.Context, m *imagecopy.Manifest) error {
	r.visited = append(r.visited, m.Digest)
	return nil
}

func (r *recorder) Tag(_ context.Context, _ *imagecopy.Manifest, tag string) error {
	r.tags = append(r.tags, tag)
	return nil
}

// Each level of the index names both of the next one: there are 2^14 paths to the image.
func TestWalk_Diamonds(t *testing.T) {
	m := newMemory()
	left, right := m.image(t, "amd64"), m.image(t, "arm64")
	for range 14 {
		left, right = m.index(t, left, right), m.index(t, right, left)
	}
	r := new(recorder)
	if err := imagecopy.NewWalker(m, r).Walk(t.Context(), left, "1.0"); err != nil {
		t.Fatal(err)
	}
	if len(r.visited) != 29 || !slices.Equal(r.tags, []string{"1.0"}) {
		t.Errorf("visited %d manifests, tags %q", len(r.visited), r.tags)
	}
	if m.asked > 200 {
		t.Errorf("the source was asked %d times", m.asked)
	}
	last := r.visited[len(r.visited)-1]
	if last != left.Digest {
		t.Error("the index comes before what it names")
	}
}

// A source can claim that two manifests refer to each other.
func TestWalk_ReferrersInALoop(t *testing.T) {
	m := newMemory()
	a, b := m.image(t, "a"), m.image(t, "b")
	m.referrers[a.Digest] = []imagecopy.Descriptor{b.Descriptor, b.Descriptor}
	m.referrers[b.Digest] = []imagecopy.Descriptor{a.Descriptor, b.Descriptor}
	signature := m.image(t, "signature")
	m.manifests[strings.Replace(b.Digest, ":", "-", 1)+".sig"] = signature
	r := new(recorder)
	if err := imagecopy.NewWalker(m, r).Walk(t.Context(), a, "1.0"); err != nil {
		t.Fatal(err)
	}
	if want := []string{a.Digest, b.Digest, signature.Digest}; !slices.Equal(r.visited, want) {
		t.Errorf("visited %q, want %q", r.visited, want)
	}
	if m.asked > 20 {
		t.Errorf("the source was asked %d times", m.asked)
	}
}

func TestWalk_Bounds(t *testing.T) {
	m := newMemory()
	deep := m.image(t, "amd64")
	for range 30 {
		deep = m.index(t, deep)
	}
	chain := m.image(t, "chain")
	for i, subject := 0, chain; i < 30; i++ {
		next := m.image(t, fmt.Sprint(i))
		m.referrers[subject.Digest] = []imagecopy.Descriptor{next.Descriptor}
		subject = next
	}
	for _, root := range []*imagecopy.Manifest{deep, chain} {
		if err := imagecopy.NewWalker(m, new(recorder)).Walk(t.Context(), root, ""); err == nil {
			t.Error("there is no bound")
		}
	}
}

func TestNewManifest_Hostile(t *testing.T) {
	for _, text := range []string{"", "x", `{"layers": [{"digest": "sha256:../../etc"}]}`, `{"config": {"digest": "md5:00"}}`, `{"manifests": [{"digest": ""}]}`} {
		if _, err := imagecopy.NewManifest(digest(text), imageType, []byte(text)); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
	if _, err := imagecopy.NewManifest(digest("{}"), imageType, []byte("{ }")); err == nil {
		t.Error("another text than the digest says was accepted")
	}
}

// A target is a registry that images are copied to.
type target struct {
	uploads atomic.Int64
	fail    atomic.Bool // refuses manifests
	remote  *imagecopy.Remote
}

func newTarget(t *testing.T) *target {
	t.Helper()
	target := new(target)
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost || r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
			target.uploads.Add(1)
			if target.fail.Load() && r.Method == http.MethodPut {
				w.WriteHeader(http.StatusForbidden)
				return
			}
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	repository, err := name.NewRepository(strings.TrimPrefix(server.URL, "http://")+"/team/app", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	client, err := imagecopy.NewClient()
	if err != nil {
		t.Fatal(err)
	}
	target.remote = client.Repository(repository)
	return target
}

func (g *target) copy(t *testing.T, m *memory, image *imagecopy.Manifest, tag string, overwrite bool) error {
	c := &imagecopy.Copy{From: m, To: g.remote, Overwrite: overwrite}
	return imagecopy.NewWalker(m, c).Walk(t.Context(), image, tag)
}

// A copy that failed goes on with what is missing, and one that is complete sends nothing.
func TestCopy_Resumes(t *testing.T) {
	m, g := newMemory(), newTarget(t)
	first, second := m.image(t, "amd64"), m.image(t, "arm64")
	index := m.index(t, first, second)
	m.broken[digest("arm64")] = true
	if err := g.copy(t, m, index, "1.0", false); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	if d, err := g.remote.Digest(t.Context(), "1.0"); d != "" || err != nil {
		t.Errorf("the tag is on an image that is not complete: %s, %v", d, err)
	}
	clear(m.broken)
	g.fail.Store(true)
	if err := g.copy(t, m, index, "1.0", false); err == nil {
		t.Fatal("a refused manifest is no error")
	}
	g.fail.Store(false)
	g.uploads.Store(0)
	if err := g.copy(t, m, index, "1.0", false); err != nil {
		t.Fatal(err)
	}
	if n := g.uploads.Load(); n != 3 { // the second image, the index, the tag
		t.Errorf("%d uploads", n)
	}
	if err := g.copy(t, m, index, "1.0", false); err != nil || g.uploads.Load() != 3 {
		t.Errorf("%v, %d uploads", err, g.uploads.Load())
	}
	if got, err := g.remote.Manifest(t.Context(), "1.0"); err != nil || got.Digest != index.Digest || string(got.Text) != string(index.Text) {
		t.Errorf("%v, %v", got, err)
	}
}

// A failure does not make another image with the same parts incomplete.
func TestWalk_AgainAfterAFailure(t *testing.T) {
	m, g := newMemory(), newTarget(t)
	amd64 := m.image(t, "amd64")
	index := m.index(t, amd64, m.image(t, "arm64"))
	signature := strings.Replace(amd64.Digest, ":", "-", 1) + ".sig"
	m.manifests[signature] = m.image(t, "signature")
	w := imagecopy.NewWalker(m, &imagecopy.Copy{From: m, To: g.remote})
	m.broken[digest("arm64")] = true
	if err := w.Walk(t.Context(), index, "1.0"); err == nil {
		t.Fatal("no error")
	}
	clear(m.broken)
	if err := w.Walk(t.Context(), index, "latest"); err != nil {
		t.Fatal(err)
	}
	if d, err := g.remote.Digest(t.Context(), "latest"); d != index.Digest || err != nil {
		t.Errorf("%s, %v", d, err)
	}
	if d, err := g.remote.Digest(t.Context(), signature); d != m.manifests[signature].Digest || err != nil {
		t.Errorf("the signature of what was copied before the failure is %q, %v", d, err)
	}
}

// The same image by another name gets what refers to it, too, if that failed at first.
func TestWalk_AgainAfterAFailureOfReferrers(t *testing.T) {
	m, g := newMemory(), newTarget(t)
	image, signature := m.image(t, "image"), m.image(t, "signature")
	m.referrers[image.Digest] = []imagecopy.Descriptor{signature.Descriptor}
	w := imagecopy.NewWalker(m, &imagecopy.Copy{From: m, To: g.remote})
	m.broken[digest("signature")] = true
	if err := w.Walk(t.Context(), image, "1.0"); err == nil {
		t.Fatal("no error")
	}
	clear(m.broken)
	if err := w.Walk(t.Context(), image, "latest"); err != nil {
		t.Fatal(err)
	}
	if d, err := g.remote.Digest(t.Context(), signature.Digest); d != signature.Digest || err != nil {
		t.Errorf("the signature is %q, %v", d, err)
	}
}

func TestCopy_TakenTag(t *testing.T) {
	m, g := newMemory(), newTarget(t)
	old, other := m.image(t, "old"), m.image(t, "other")
	if err := g.copy(t, m, old, "1.0", false); err != nil {
		t.Fatal(err)
	}
	var taken *imagecopy.TagError
	if err := g.copy(t, m, other, "1.0", false); !errors.As(err, &taken) || taken.Has != old.Digest || taken.Want != other.Digest {
		t.Errorf("%v", err)
	}
	if d, err := g.remote.Digest(t.Context(), "1.0"); d != old.Digest || err != nil {
		t.Errorf("%s, %v", d, err)
	}
	if err := g.copy(t, m, other, "1.0", true); err != nil {
		t.Error(err)
	}
	if d, err := g.remote.Digest(t.Context(), "1.0"); d != other.Digest || err != nil {
		t.Errorf("%s, %v", d, err)
	}
}
