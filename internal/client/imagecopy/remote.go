package imagecopy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A Client reads and writes the repositories of registries, with one login for each.
type Client struct {
	puller *remote.Puller
	pusher *remote.Pusher
}

// NewClient returns a client. The options say how it logs in.
func NewClient(options ...remote.Option) (*Client, error) {
	puller, err := remote.NewPuller(options...)
	if err != nil {
		return nil, err
	}
	pusher, err := remote.NewPusher(options...)
	if err != nil {
		return nil, err
	}
	return &Client{puller, pusher}, nil
}

// Repository returns a repository of a registry.
func (c *Client) Repository(r name.Repository) *Remote { return &Remote{c, r} }

// Repositories calls visit for each repository of a registry, as its catalog lists them.
func (c *Client) Repositories(ctx context.Context, r name.Registry, visit func(string) error) error {
	catalog, err := c.puller.Catalogger(ctx, r)
	if err != nil {
		return err
	}
	for catalog.HasNext() {
		page, err := catalog.Next(ctx)
		if err != nil {
			return err
		}
		for _, repository := range page.Repos {
			if err := visit(repository); err != nil {
				return err
			}
		}
	}
	return nil
}

// A Remote is a repository of a registry.
type Remote struct {
	client     *Client
	repository name.Repository
}

var _ Source = (*Remote)(nil)

func (r *Remote) reference(reference string) name.Reference {
	if IsDigest(reference) {
		return r.repository.Digest(reference)
	}
	return r.repository.Tag(reference)
}

// Tags are the tags of the repository.
func (r *Remote) Tags(ctx context.Context) ([]string, error) {
	return r.client.puller.List(ctx, r.repository)
}

// Digest returns the digest of a manifest, or an empty one if there is none.
func (r *Remote) Digest(ctx context.Context, reference string) (string, error) {
	d, err := r.client.puller.Head(ctx, r.reference(reference))
	if isNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return d.Digest.String(), nil
}

// Manifest implements [Source].
func (r *Remote) Manifest(ctx context.Context, reference string) (*Manifest, error) {
	d, err := r.client.puller.Get(ctx, r.reference(reference))
	if isNotFound(err) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, r.reference(reference))
	}
	if err != nil {
		return nil, err
	}
	return NewManifest(d.Digest.String(), string(d.MediaType), d.Manifest)
}

func isNotFound(err error) bool {
	var e *transport.Error
	return errors.As(err, &e) && e.StatusCode == http.StatusNotFound
}

// Blob implements [Source]. Reading fails at the end if the bytes do not have the digest.
func (r *Remote) Blob(ctx context.Context, d Descriptor) (io.ReadCloser, error) {
	layer, err := r.client.puller.Layer(ctx, r.repository.Digest(d.Digest))
	if err != nil {
		return nil, err
	}
	return layer.Compressed()
}

// Referrers implements [Source].
func (r *Remote) Referrers(ctx context.Context, digest string) ([]Descriptor, error) {
	index, err := remote.Referrers(r.repository.Digest(digest), remote.Reuse(r.client.puller), remote.WithContext(ctx))
	if isNotFound(err) {
		return nil, nil // a registry without referrers
	}
	if err != nil {
		return nil, err
	}
	list, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	all := make([]Descriptor, len(list.Manifests))
	for i, m := range list.Manifests {
		all[i] = Descriptor{MediaType: string(m.MediaType), Digest: m.Digest.String(), Size: m.Size, ArtifactType: m.ArtifactType}
	}
	return all, nil
}

// A Copy writes what a walk visits to a repository. It sends no blob and no manifest that is
// there.
type Copy struct {
	From Source
	To   *Remote
	// Moved is told how many bytes of blobs were sent; nil if nobody asks.
	Moved func(int64)
	// Overwrite lets a tag move that is on another manifest. Without it, such a tag fails
	// with a [TagError].
	Overwrite bool
	// Sent counts the manifests that were sent by their digests.
	Sent int
}

// A TagError is a tag that is on another manifest in the repository that is written.
type TagError struct{ Name, Has, Want string }

func (e *TagError) Error() string {
	return fmt.Sprintf("%s is %s already, and the source has %s; it is not overwritten", e.Name, e.Has, e.Want)
}

// CheckTag fails with a [TagError] if the repository has the tag on another manifest and
// the copy may not overwrite it. held means that the tag is as it must be.
func (c *Copy) CheckTag(ctx context.Context, tag, digest string) (held bool, err error) {
	has, err := c.To.Digest(ctx, tag)
	switch {
	case err != nil:
		return false, err
	case has == digest:
		return true, nil
	case has != "" && !c.Overwrite:
		return false, &TagError{c.To.repository.Tag(tag).Name(), has, digest}
	}
	return false, nil
}

// Visit implements [Visitor].
func (c *Copy) Visit(ctx context.Context, m *Manifest) error {
	has, err := c.To.Digest(ctx, m.Digest)
	if err != nil || has == m.Digest {
		return err
	}
	for _, b := range m.Blobs() {
		if err := c.To.client.pusher.Upload(ctx, c.To.repository, &layer{ctx, c, b}); err != nil {
			return fmt.Errorf("%s: %w", b.Digest, err)
		}
	}
	c.Sent++
	return c.To.client.pusher.Put(ctx, c.To.reference(m.Digest), rawManifest{m})
}

// Tag implements [Visitor].
func (c *Copy) Tag(ctx context.Context, m *Manifest, tag string) error {
	if held, err := c.CheckTag(ctx, tag, m.Digest); held || err != nil {
		return err
	}
	return c.To.client.pusher.Put(ctx, c.To.reference(tag), rawManifest{m})
}

// A rawManifest is a manifest for package remote.
type rawManifest struct{ m *Manifest }

func (r rawManifest) RawManifest() ([]byte, error) { return r.m.Text, nil }

func (r rawManifest) MediaType() (types.MediaType, error) {
	return types.MediaType(r.m.Descriptor.MediaType), nil
}

// A layer is a blob for package remote, which opens it again for each attempt.
type layer struct {
	ctx  context.Context
	copy *Copy
	d    Descriptor
}

func (l *layer) Digest() (v1.Hash, error) { return v1.NewHash(l.d.Digest) }

func (l *layer) DiffID() (v1.Hash, error) { return l.Digest() }

func (l *layer) Compressed() (io.ReadCloser, error) {
	content, err := l.copy.From.Blob(l.ctx, l.d)
	if err != nil || l.copy.Moved == nil {
		return content, err
	}
	return &moving{content, l.copy.Moved}, nil
}

func (l *layer) Uncompressed() (io.ReadCloser, error) { return l.Compressed() }

func (l *layer) Size() (int64, error) { return l.d.Size, nil }

func (l *layer) MediaType() (types.MediaType, error) { return types.MediaType(l.d.MediaType), nil }

type moving struct {
	io.ReadCloser
	moved func(int64)
}

func (m *moving) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	m.moved(int64(n))
	return n, err
}
