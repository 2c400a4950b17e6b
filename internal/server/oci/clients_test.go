package oci_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// requests counts what a client sends, by method and status.
type requests struct{ sent []string }

func (q *requests) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		q.sent = append(q.sent, r.Method+" "+r.URL.Path+" "+resp.Status[:3])
	}
	return resp, err
}

func (q *requests) count(part ...string) int {
	n := 0
	for _, s := range q.sent {
		if !slices.ContainsFunc(part, func(p string) bool { return !strings.Contains(s, p) }) {
			n++
		}
	}
	return n
}

// What crane and its library do: push and pull an image and an index, mount,
// list, attach, delete.
func TestHandler_GoContainerRegistry(t *testing.T) {
	r := newRegistry(t)
	for _, repo := range []string{"team/app", "team/derived"} {
		r.create(t, account, repo, images.Settings{})
	}
	traffic := &requests{}
	options := []remote.Option{
		remote.WithAuth(&authn.Basic{Username: "AWS", Password: account + "/admin"}),
		remote.WithTransport(traffic), remote.WithContext(t.Context()), remote.WithJobs(1),
	}
	reference := func(s string) name.Reference {
		ref, err := name.ParseReference(strings.TrimPrefix(r.url, "http://") + "/" + s)
		if err != nil {
			t.Fatal(err)
		}
		return ref
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	image, err := random.Image(64<<10, 5)
	check(err)
	app := reference("team/app:v1")
	check(remote.Write(app, image, options...))
	pulled, err := remote.Image(app, options...)
	check(err)
	readAll(t, pulled)
	sameDigest(t, image, pulled)

	// A second push finds that everything exists.
	traffic.sent = nil
	check(remote.Write(app, image, options...))
	if n := traffic.count("POST"); n != 0 {
		t.Errorf("pushing again sent %d uploads: %q", n, traffic.sent)
	}

	// An image with the same layers mounts them.
	derived := mutate.Annotations(pulled, map[string]string{"org.example.derived": "yes"}).(v1.Image)
	traffic.sent = nil
	check(remote.Write(reference("team/derived:v1"), derived, options...))
	if mounted, uploaded := traffic.count("POST", "team/derived/blobs/uploads", "201"), traffic.count("PATCH"); mounted != 5 || uploaded > 1 {
		t.Errorf("%d layers mounted, %d blobs uploaded: %q", mounted, uploaded, traffic.sent)
	}
	pulled, err = remote.Image(reference("team/derived:v1"), options...)
	check(err)
	readAll(t, pulled)

	index, err := random.Index(8<<10, 2, 3)
	check(err)
	check(remote.WriteIndex(reference("team/app:multi"), index, options...))
	pulledIndex, err := remote.Index(reference("team/app:multi"), options...)
	check(err)
	sameDigest(t, index, pulledIndex)
	children, err := pulledIndex.IndexManifest()
	check(err)
	for _, child := range children.Manifests {
		image, err := pulledIndex.Image(child.Digest)
		check(err)
		readAll(t, image)
	}

	// An attestation of the image, found by its subject.
	descriptor, err := remote.Head(app, options...)
	check(err)
	attestation := mutate.Subject(mutate.MediaType(mutate.ConfigMediaType(derived, "application/vnd.example.attestation.v1"), types.OCIManifestSchema1), *descriptor).(v1.Image)
	digest, err := attestation.Digest()
	check(err)
	check(remote.Write(app.Context().Digest(digest.String()), attestation, options...))
	referrers, err := remote.Referrers(app.Context().Digest(descriptor.Digest.String()), append(options, remote.WithFilter("artifactType", "application/vnd.example.attestation.v1"))...)
	check(err)
	manifest, err := referrers.IndexManifest()
	check(err)
	if len(manifest.Manifests) != 1 || manifest.Manifests[0].Digest != digest {
		t.Errorf("referrers %+v", manifest.Manifests)
	}

	tags, err := remote.List(app.Context(), append(options, remote.WithPageSize(1))...)
	check(err)
	if !slices.Equal(tags, []string{"multi", "v1"}) {
		t.Errorf("tags %q", tags)
	}
	repositories, err := remote.Catalog(t.Context(), app.Context().Registry, options...)
	check(err)
	if !slices.Equal(repositories, []string{"team/app", "team/derived"}) {
		t.Errorf("catalog %q", repositories)
	}
	check(remote.Delete(app, options...))
	if _, err := remote.Head(app, options...); err == nil {
		t.Error("the tag is still there")
	}
	check(remote.Delete(app.Context().Digest(descriptor.Digest.String()), options...))
}

// readAll pulls an image's config and layers; the library checks their digests
// and sizes.
func readAll(t *testing.T, image v1.Image) {
	t.Helper()
	if _, err := image.RawConfigFile(); err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range layers {
		r, err := layer.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func sameDigest(t *testing.T, a, b interface{ Digest() (v1.Hash, error) }) {
	t.Helper()
	want, err := a.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.Digest(); err != nil || got != want {
		t.Errorf("pulled %v, %v; pushed %v", got, err, want)
	}
}
