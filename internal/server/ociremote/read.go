package ociremote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
)

// MaxManifest is the largest manifest that is read, in bytes.
const MaxManifest = 4 << 20

// manifestTypes are the media types of manifests that a registry may answer with.
var manifestTypes = []string{
	ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest,
	"application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.docker.distribution.manifest.v2+json",
	"application/vnd.oci.artifact.manifest.v1+json",
}

// A Manifest is a manifest as the registry has it.
type Manifest struct {
	Digest    digest.Digest
	MediaType string
	Body      []byte
}

func manifestHeader() http.Header {
	return http.Header{"Accept": {strings.Join(manifestTypes, ", ")}}
}

// IsNotFound reports whether the registry said that it does not have what was asked for.
func IsNotFound(err error) bool { return egress.IsNotFound(err) }

// Head returns the digest that a tag or a digest has now. The digest is what the registry
// says; it is empty if the registry does not say it. Registries that count pulls do not count
// this.
func (r *Registry) Head(ctx context.Context, name, reference string) (digest.Digest, error) {
	res, err := r.do(ctx, egress.Request{Method: http.MethodHead, URL: "v2/" + name + "/manifests/" + reference, Header: manifestHeader()}, pullScope(name))
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	d := digest.Digest(res.Header.Get("Docker-Content-Digest"))
	if d.Validate() != nil {
		return "", nil
	}
	return d, nil
}

// Manifest returns a manifest by its tag or digest.
func (r *Registry) Manifest(ctx context.Context, name, reference string) (*Manifest, error) {
	res, err := r.do(ctx, egress.Request{URL: "v2/" + name + "/manifests/" + reference, Header: manifestHeader(), MaxBytes: MaxManifest}, pullScope(name))
	if err != nil {
		return nil, err
	}
	body, err := readAll(res)
	if err != nil {
		return nil, err
	}
	mediaType, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil || !strings.Contains(mediaType, "json") {
		return nil, &BadAnswer{fmt.Sprintf("the manifest %s of %s has the media type %q, which is not one of a manifest", reference, name, res.Header.Get("Content-Type"))}
	}
	want := digest.Digest(reference)
	if want.Validate() != nil {
		want = digest.Digest(res.Header.Get("Docker-Content-Digest"))
	}
	if want.Validate() != nil || !want.Algorithm().Available() {
		want = digest.FromBytes(body)
	}
	if got := want.Algorithm().FromBytes(body); got != want {
		return nil, &BadAnswer{fmt.Sprintf("the manifest %s of %s has the digest %s instead of %s", reference, name, got, want)}
	}
	return &Manifest{want, mediaType, body}, nil
}

// Blob opens a blob; close it. If the bytes do not have the digest or the size, reading fails
// at the end.
func (r *Registry) Blob(ctx context.Context, name string, d digest.Digest, size int64) (io.ReadCloser, error) {
	if err := d.Validate(); err != nil {
		return nil, &BadAnswer{"a manifest names a layer by " + string(d) + ", which is not a digest"}
	}
	res, err := r.do(ctx, egress.Request{URL: "v2/" + name + "/blobs/" + string(d), MaxBytes: max(size, 1)}, pullScope(name))
	if err != nil {
		return nil, err
	}
	if res.Length >= 0 && res.Length != size {
		res.Body.Close()
		return nil, &BadAnswer{fmt.Sprintf("the layer %s of %s has %d bytes instead of %d", d, name, res.Length, size)}
	}
	return &blobBody{ReadCloser: res.Body, digest: d, verifier: d.Verifier(), size: size}, nil
}

// A blobBody checks what it has read at the end.
type blobBody struct {
	io.ReadCloser
	digest     digest.Digest
	verifier   digest.Verifier
	read, size int64
}

// Read implements io.Reader.
func (b *blobBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	_, _ = b.verifier.Write(p[:n]) // a hash
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	switch {
	case b.read != b.size:
		return n, &BadAnswer{fmt.Sprintf("the layer %s has %d bytes instead of %d", b.digest, b.read, b.size)}
	case !b.verifier.Verified():
		return n, &BadAnswer{fmt.Sprintf("the bytes that came for the layer %s have another digest", b.digest)}
	}
	return n, err
}

// maxReferrers bounds the list of referrers of one manifest.
const maxReferrers = 200

// Referrers returns the manifests whose subject is d. If the registry does not have the API,
// they come from the tag that stands for it (OCI distribution-spec 1.1, Referrers Tag Schema).
func (r *Registry) Referrers(ctx context.Context, name string, d digest.Digest) ([]ocispec.Descriptor, error) {
	res, err := r.do(ctx, egress.Request{
		URL: "v2/" + name + "/referrers/" + string(d), Header: http.Header{"Accept": {ocispec.MediaTypeImageIndex}}, MaxBytes: MaxManifest,
	}, pullScope(name))
	var body []byte
	switch {
	case IsNotFound(err):
		m, err := r.Manifest(ctx, name, string(d.Algorithm())+"-"+d.Encoded())
		if IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		body = m.Body
	case err != nil:
		return nil, err
	default:
		if body, err = readAll(res); err != nil {
			return nil, err
		}
	}
	var index ocispec.Index
	if err := json.Unmarshal(body, &index); err != nil {
		return nil, &BadAnswer{fmt.Sprintf("the list of referrers of %s is not an index", d)}
	}
	if len(index.Manifests) > maxReferrers {
		index.Manifests = index.Manifests[:maxReferrers]
	}
	return index.Manifests, nil
}
