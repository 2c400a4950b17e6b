package bundle

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/gatehouse-registry/gatehouse/internal/client/imagecopy"
)

// Images are images of a container registry.
type Images struct {
	Registry  name.Registry
	Auth      authn.Authenticator
	Transport http.RoundTripper
	// References are REPOSITORY:TAG or REPOSITORY@DIGEST; used by Export only.
	References []string
	// Create makes a repository that may exist already; used by Import only.
	Create func(ctx context.Context, repository string) error
	// Overwrite lets tags of the registry move that are on another image; used by Import only.
	Overwrite bool
}

// maxManifest bounds a manifest, in bytes.
const maxManifest = 4 << 20

// refName is the annotation of a descriptor in index.json that has the reference of an image
// (OCI Image Specification, "Pre-Defined Annotation Keys").
const refName = "org.opencontainers.image.ref.name"

// An imageIndex is index.json.
type imageIndex struct {
	SchemaVersion int                    `json:"schemaVersion"`
	MediaType     string                 `json:"mediaType"`
	Manifests     []imagecopy.Descriptor `json:"manifests"`
}

func (i *Images) client() (*imagecopy.Client, error) {
	return imagecopy.NewClient(remote.WithAuth(i.Auth), remote.WithTransport(i.Transport))
}

func (i *Images) parse(reference string) (name.Reference, error) {
	var options []name.Option
	if i.Registry.Scheme() == "http" {
		options = append(options, name.Insecure)
	}
	return name.ParseReference(i.Registry.Name()+"/"+reference, options...)
}

// addImages adds the images and what refers to them.
func (x *exporter) addImages(ctx context.Context) error {
	client, err := x.Images.client()
	if err != nil {
		return err
	}
	index := imageIndex{SchemaVersion: 2, MediaType: string(types.OCIImageIndex)}
	for _, reference := range x.Images.References {
		if err := x.addImage(ctx, client, &index, reference); err != nil {
			return fmt.Errorf("image %s: %w", reference, err)
		}
	}
	if len(index.Manifests) == 0 {
		return nil
	}
	x.writer.index, err = json.Marshal(index)
	return err
}

func (x *exporter) addImage(ctx context.Context, client *imagecopy.Client, index *imageIndex, reference string) error {
	ref, err := x.Images.parse(reference)
	if err != nil {
		return err
	}
	from := client.Repository(ref.Context())
	found, err := from.Manifest(ctx, ref.Identifier())
	if err != nil {
		return err
	}
	line := fmt.Sprintf("image %s %q", found.Digest, reference)
	if x.writer.inventory[line] {
		x.summary.LeftOut++
		return nil
	}
	x.writer.inventory[line] = true
	c := &collector{writer: &x.writer, from: from, repository: ref.Context().RepositoryStr()}
	if err := imagecopy.NewWalker(from, c).Walk(ctx, found, imagecopy.TagOf(ref.Identifier())); err != nil {
		return err
	}
	index.Manifests = append(index.Manifests, c.entries()...)
	x.summary.Images++
	return nil
}

// A collector adds what a walk visits to a bundle.
type collector struct {
	writer     *writer
	from       *imagecopy.Remote
	repository string
	found      []*imagecopy.Manifest
	named      []imagecopy.Descriptor // one for each tag
}

// Visit implements [imagecopy.Visitor].
func (c *collector) Visit(_ context.Context, m *imagecopy.Manifest) error {
	sum, err := m.SHA256()
	if err != nil {
		return err
	}
	c.writer.blobs[sum] = content{sum, m.Size, func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(m.Text)), nil }}
	for _, b := range m.Blobs() {
		sum, err := b.SHA256()
		if err != nil {
			return err
		}
		c.writer.blobs[sum] = content{sum, b.Size, func(ctx context.Context) (io.ReadCloser, error) { return c.from.Blob(ctx, b) }}
	}
	c.found = append(c.found, m)
	return nil
}

// Tag implements [imagecopy.Visitor].
func (c *collector) Tag(_ context.Context, m *imagecopy.Manifest, tag string) error {
	c.named = append(c.named, entry(m, c.repository+":"+tag))
	return nil
}

// entries are the descriptors for index.json: what nothing else names by its digest, and
// then the tags.
func (c *collector) entries() []imagecopy.Descriptor {
	named := map[string]bool{}
	for _, m := range c.found {
		for _, child := range m.Children() {
			named[child.Digest] = true
		}
	}
	for i := range c.named {
		named[c.named[i].Digest] = true
	}
	var all []imagecopy.Descriptor
	for _, m := range c.found {
		if !named[m.Digest] {
			all = append(all, entry(m, c.repository+"@"+m.Digest))
		}
	}
	return append(all, c.named...)
}

func entry(m *imagecopy.Manifest, reference string) imagecopy.Descriptor {
	d := m.Descriptor
	d.Annotations = map[string]string{refName: reference}
	return d
}

// ImportImages pushes the images of the bundle. A tag that is on another image stays, and
// is in the report, unless Overwrite is set. step is called after each.
func (b *Bundle) ImportImages(ctx context.Context, images *Images, report *Report, step func()) error {
	if b.open(indexMember) == nil {
		return nil
	}
	text, err := b.read(indexMember, maxIndex)
	if err != nil {
		return err
	}
	var index imageIndex
	if err := json.Unmarshal(text, &index); err != nil {
		return fmt.Errorf("%s cannot be read: %w", indexMember, err)
	}
	client, err := images.client()
	if err != nil {
		return err
	}
	p := &pusher{b: b, images: images, client: client, created: map[string]bool{}, types: map[string]string{}}
	for i := range index.Manifests {
		d := &index.Manifests[i]
		p.types[d.Digest] = d.MediaType
	}
	for i := range index.Manifests {
		d := &index.Manifests[i]
		held, err := p.push(ctx, d)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			report.fail("image "+d.Annotations[refName], err)
		case held:
			report.count(&report.Held)
		default:
			report.count(&report.Imported)
		}
		step()
	}
	return nil
}

// A pusher brings images of a bundle to a registry. It is the source of a walk, too.
type pusher struct {
	b       *Bundle
	images  *Images
	client  *imagecopy.Client
	created map[string]bool
	types   map[string]string // digest → media type
}

func (p *pusher) push(ctx context.Context, d *imagecopy.Descriptor) (held bool, err error) {
	to, err := p.images.parse(d.Annotations[refName])
	if err != nil {
		return false, err
	}
	copying := &imagecopy.Copy{From: p, To: p.client.Repository(to.Context()), Overwrite: p.images.Overwrite}
	if held, err := copying.CheckTag(ctx, to.Identifier(), d.Digest); held || err != nil {
		return held, err
	}
	if repository := to.Context().RepositoryStr(); !p.created[repository] {
		if err := p.images.Create(ctx, repository); err != nil {
			return false, err
		}
		p.created[repository] = true
	}
	m, err := p.Manifest(ctx, d.Digest)
	if err != nil {
		return false, err
	}
	return false, imagecopy.NewWalker(p, copying).Walk(ctx, m, imagecopy.TagOf(to.Identifier()))
}

// Manifest implements [imagecopy.Source]. The bundle has no tags but those of index.json.
func (p *pusher) Manifest(_ context.Context, reference string) (*imagecopy.Manifest, error) {
	d := imagecopy.Descriptor{Digest: reference}
	sum, err := d.SHA256()
	if err != nil || p.b.blob(sum) == nil {
		return nil, fmt.Errorf("%w in the bundle: %s", imagecopy.ErrNotFound, reference)
	}
	text, err := p.b.read(blobFolder+sum, maxManifest)
	if err != nil {
		return nil, err
	}
	m, err := imagecopy.NewManifest(reference, p.types[reference], text)
	if err != nil {
		return nil, err
	}
	for _, child := range m.Children() { // their types are where they are named
		p.types[child.Digest] = child.MediaType
	}
	return m, nil
}

// Blob implements [imagecopy.Source].
func (p *pusher) Blob(_ context.Context, d imagecopy.Descriptor) (io.ReadCloser, error) {
	sum, err := d.SHA256()
	if err != nil {
		return nil, err
	}
	content := p.b.blob(sum)
	if content == nil {
		return nil, fmt.Errorf("the bundle does not have the blob %s", d.Digest)
	}
	return io.NopCloser(content), nil
}

// Referrers implements [imagecopy.Source]. What refers to an image has its own entry in
// index.json.
func (p *pusher) Referrers(context.Context, string) ([]imagecopy.Descriptor, error) { return nil, nil }
