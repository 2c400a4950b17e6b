package bundle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
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
}

const (
	maxManifest = 4 << 20
	maxChildren = 10_000
	maxDepth    = 5
)

// refName is the annotation of a descriptor in index.json that has the reference of an image
// (OCI Image Specification, "Pre-Defined Annotation Keys").
const refName = "org.opencontainers.image.ref.name"

// A descriptor is one of a manifest, of an index or of index.json.
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
}

// A manifest is what all kinds of manifests have.
type manifest struct {
	Config    *descriptor  `json:"config"`
	Layers    []descriptor `json:"layers"`
	Manifests []descriptor `json:"manifests"`
}

// sha256Of returns the digits of a digest.
func (d *descriptor) sha256Of() (string, error) {
	if len(d.Digest) == 71 && d.Digest[:7] == "sha256:" && isDigest(d.Digest[7:]) {
		return d.Digest[7:], nil
	}
	return "", fmt.Errorf("%.100q is not a SHA-256 digest", d.Digest)
}

func (i *Images) options(ctx context.Context) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.WithAuth(i.Auth), remote.WithTransport(i.Transport)}
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
	var index struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Manifests     []descriptor `json:"manifests"`
	}
	index.SchemaVersion, index.MediaType = 2, string(types.OCIImageIndex)
	for _, reference := range x.Images.References {
		ref, err := x.Images.parse(reference)
		if err != nil {
			return err
		}
		found, err := remote.Get(ref, x.Images.options(ctx)...)
		if err != nil {
			return fmt.Errorf("image %s: %w", reference, err)
		}
		line := fmt.Sprintf("image %s %q", found.Digest, reference)
		if x.writer.inventory[line] {
			x.summary.LeftOut++
			continue
		}
		x.writer.inventory[line] = true
		tree := imageTree{x: x, repository: ref.Context()}
		if err := tree.add(ctx, found, reference, 0); err != nil {
			return fmt.Errorf("image %s: %w", reference, err)
		}
		index.Manifests = append(index.Manifests, tree.top...)
		x.summary.Images++
	}
	if len(index.Manifests) == 0 {
		return nil
	}
	var err error
	x.writer.index, err = json.Marshal(index)
	return err
}

// An imageTree adds an image with everything below it and everything that refers to it.
type imageTree struct {
	x          *exporter
	repository name.Repository
	top        []descriptor // for index.json: subjects come before what refers to them
}

func (t *imageTree) add(ctx context.Context, found *remote.Descriptor, reference string, depth int) error {
	if depth >= maxDepth {
		return nil
	}
	subjects, err := t.addManifest(ctx, found.Manifest, found.Digest, 0)
	if err != nil {
		return err
	}
	t.top = append(t.top, descriptor{
		MediaType: string(found.MediaType), Digest: found.Digest.String(), Size: found.Size, Annotations: map[string]string{refName: reference},
	})
	for _, subject := range subjects {
		index, err := remote.Referrers(t.repository.Digest(subject.String()), t.x.Images.options(ctx)...)
		if missing(err) {
			continue
		}
		if err != nil {
			return err
		}
		referrers, err := index.IndexManifest()
		if err != nil {
			return err
		}
		if len(referrers.Manifests) > maxChildren {
			return fmt.Errorf("more than %d manifests refer to %s", maxChildren, subject)
		}
		for _, r := range referrers.Manifests {
			referrer, err := remote.Get(t.repository.Digest(r.Digest.String()), t.x.Images.options(ctx)...)
			if err != nil {
				return err
			}
			if err := t.add(ctx, referrer, t.repository.RepositoryStr()+"@"+r.Digest.String(), depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func missing(err error) bool {
	var e *transport.Error
	return errors.As(err, &e) && e.StatusCode == http.StatusNotFound
}

// addManifest adds a manifest with its blobs and those below it. It returns the digests of
// the manifests.
func (t *imageTree) addManifest(ctx context.Context, text []byte, d v1.Hash, depth int) ([]v1.Hash, error) {
	if depth >= maxDepth {
		return nil, errors.New("an index is nested too deeply")
	}
	if d.Algorithm != "sha256" || digest(text) != d.Hex {
		return nil, fmt.Errorf("the manifest %s does not have its digest", d)
	}
	t.x.writer.blobs[d.Hex] = content{d.Hex, int64(len(text)), func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }}
	m, err := parseManifest(text)
	if err != nil {
		return nil, err
	}
	for _, b := range m.blobs() {
		sum, err := b.sha256Of()
		if err != nil {
			return nil, err
		}
		at := t.repository.Digest(b.Digest)
		t.x.writer.blobs[sum] = content{sum, b.Size, func(ctx context.Context) (io.ReadCloser, error) {
			layer, err := remote.Layer(at, t.x.Images.options(ctx)...)
			if err != nil {
				return nil, err
			}
			return layer.Compressed()
		}}
	}
	all := []v1.Hash{d}
	for _, child := range m.Manifests {
		found, err := remote.Get(t.repository.Digest(child.Digest), t.x.Images.options(ctx)...)
		if err != nil {
			return nil, err
		}
		below, err := t.addManifest(ctx, found.Manifest, found.Digest, depth+1)
		if err != nil {
			return nil, err
		}
		all = append(all, below...)
	}
	return all, nil
}

func parseManifest(text []byte) (*manifest, error) {
	m := new(manifest)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("a manifest cannot be read: %w", err)
	}
	if len(m.Layers)+len(m.Manifests) > maxChildren {
		return nil, fmt.Errorf("a manifest names more than %d others", maxChildren)
	}
	return m, nil
}

// blobs are the layers and the configuration, each once.
func (m *manifest) blobs() []descriptor {
	all := slices.Clone(m.Layers)
	if m.Config != nil {
		all = append(all, *m.Config)
	}
	slices.SortFunc(all, func(a, b descriptor) int { return bytes.Compare([]byte(a.Digest), []byte(b.Digest)) })
	return slices.CompactFunc(all, func(a, b descriptor) bool { return a.Digest == b.Digest })
}

// ImportImages pushes the images of the bundle. step is called after each.
func (b *Bundle) ImportImages(ctx context.Context, images *Images, report *Report, step func()) error {
	if b.open(indexMember) == nil {
		return nil
	}
	text, err := b.read(indexMember, maxIndex)
	if err != nil {
		return err
	}
	var index manifest
	if err := json.Unmarshal(text, &index); err != nil {
		return fmt.Errorf("%s cannot be read: %w", indexMember, err)
	}
	created := map[string]bool{}
	for i := range index.Manifests {
		d := &index.Manifests[i]
		reference := d.Annotations[refName]
		to, err := images.parse(reference)
		if err != nil {
			report.fail("image "+reference, err)
			continue
		}
		if held, err := remote.Head(to, images.options(ctx)...); err == nil && held.Digest.String() == d.Digest {
			report.count(&report.Held)
			step()
			continue
		}
		if repository := to.Context().RepositoryStr(); !created[repository] {
			if err := images.Create(ctx, repository); err != nil {
				return err
			}
			created[repository] = true
		}
		switch err := b.push(ctx, images, to, d, 0); {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			report.fail("image "+reference, err)
		default:
			report.count(&report.Imported)
		}
		step()
	}
	return nil
}

// push sends what a manifest names, and then the manifest.
func (b *Bundle) push(ctx context.Context, images *Images, to name.Reference, d *descriptor, depth int) error {
	if depth >= maxDepth {
		return errors.New("an index is nested too deeply")
	}
	sum, err := d.sha256Of()
	if err != nil {
		return err
	}
	text, err := b.read(blobFolder+sum, maxManifest)
	if err != nil {
		return err
	}
	m, err := parseManifest(text)
	if err != nil {
		return err
	}
	for _, blob := range m.blobs() {
		sum, err := blob.sha256Of()
		if err != nil {
			return err
		}
		content := b.blob(sum)
		if content == nil {
			return fmt.Errorf("the bundle does not have the blob %s", blob.Digest)
		}
		if err := remote.WriteLayer(to.Context(), bundleLayer{content, v1.Hash{Algorithm: "sha256", Hex: sum}, blob.MediaType}, images.options(ctx)...); err != nil {
			return err
		}
	}
	for i := range m.Manifests {
		child := &m.Manifests[i]
		if err := b.push(ctx, images, to.Context().Digest(child.Digest), child, depth+1); err != nil {
			return err
		}
	}
	return remote.Put(to, rawManifest{text, d.MediaType}, images.options(ctx)...)
}

// A rawManifest is a manifest as it is in the bundle.
type rawManifest struct {
	text      []byte
	mediaType string
}

func (m rawManifest) RawManifest() ([]byte, error) { return m.text, nil }

func (m rawManifest) MediaType() (types.MediaType, error) { return types.MediaType(m.mediaType), nil }

// A bundleLayer is a blob of the bundle. It is sent as it is.
type bundleLayer struct {
	content   *io.SectionReader
	digest    v1.Hash
	mediaType string
}

func (l bundleLayer) Digest() (v1.Hash, error) { return l.digest, nil }

func (l bundleLayer) DiffID() (v1.Hash, error) { return l.digest, nil }

func (l bundleLayer) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(l.content, 0, l.content.Size())), nil
}

func (l bundleLayer) Uncompressed() (io.ReadCloser, error) { return l.Compressed() }

func (l bundleLayer) Size() (int64, error) { return l.content.Size(), nil }

func (l bundleLayer) MediaType() (types.MediaType, error) { return types.MediaType(l.mediaType), nil }
