package mirror

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-registry/gatehouse/internal/client/lockedversions"
)

// Images copies images into a container registry: all platforms, and what refers to them
// (signatures, attestations, SBOMs), by the referrers API and by cosign's tags.
type Images struct {
	// Registry is the registry that the copies go to, and Auth opens it.
	Registry name.Registry
	Auth     authn.Authenticator
	// Sources opens the registries that images come from.
	Sources authn.Keychain
	// Transport is for both.
	Transport http.RoundTripper
	// Prefix stands in front of the names of repositories, with a slash at its end if it
	// is not empty.
	Prefix string
	// Create makes a repository that may exist already.
	Create func(ctx context.Context, repository string) error
	// Parallel is how many images are copied at a time.
	Parallel int
	Progress func()
}

// maxReferrers bounds what may refer to one image, and maxDepth how deep a chain of
// referrers is followed.
const (
	maxReferrers = 1000
	maxDepth     = 4
)

// Check finds out which images the registry has. No source is asked.
func (c *Images) Check(ctx context.Context, p *Plan) error { return c.each(ctx, p, c.check) }

// Sync copies what the registry does not have, or has under the tag in another version.
func (c *Images) Sync(ctx context.Context, p *Plan) error { return c.each(ctx, p, c.sync) }

func (c *Images) each(ctx context.Context, p *Plan, work func(context.Context, *ImageItem) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(c.Parallel, 1))
	for i := range p.Images {
		item := &p.Images[i]
		group.Go(func() error {
			if err := work(ctx, item); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if item.State == Unknown {
					item.State = Failed
				}
				item.Message = err.Error()
			}
			c.Progress()
			return nil
		})
	}
	return group.Wait()
}

// target returns the image as its source has it, and where its copy is.
func (c *Images) target(item *ImageItem) (from, to name.Reference, err error) {
	if from, err = name.ParseReference(item.Reference); err != nil {
		return nil, nil, fmt.Errorf("%q is not the name of an image: %w", item.Reference, err)
	}
	repository := item.Repository
	if repository == "" {
		repository = from.Context().RepositoryStr()
	}
	into, err := name.NewRepository(c.Registry.Name()+"/"+c.Prefix+repository, c.options()...)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case item.Tag != "":
		return from, into.Tag(item.Tag), nil
	case isDigest(from):
		return from, into.Digest(from.Identifier()), nil
	}
	return from, into.Tag(from.Identifier()), nil
}

// CopyOf returns the name of the copy of an image in its registry, REPOSITORY:TAG or
// REPOSITORY@DIGEST. prefix stands in front of it.
func CopyOf(i *lockedversions.Image, prefix string) (string, error) {
	c := Images{Registry: anyRegistry, Prefix: strings.Trim(prefix, "/")}
	if c.Prefix != "" {
		c.Prefix += "/"
	}
	_, to, err := c.target(&ImageItem{Image: *i})
	if err != nil {
		return "", err
	}
	return strings.TrimPrefix(to.Name(), anyRegistry.Name()+"/"), nil
}

// anyRegistry stands for a registry whose name does not matter.
var anyRegistry = name.MustParseReference("localhost:1/a").Context().Registry

func isDigest(r name.Reference) bool {
	_, ok := r.(name.Digest)
	return ok
}

func (c *Images) options() []name.Option {
	if c.Registry.Scheme() == "http" {
		return []name.Option{name.Insecure}
	}
	return nil
}

func (c *Images) source(ctx context.Context) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(c.Sources), remote.WithTransport(c.Transport)}
}

func (c *Images) destination(ctx context.Context) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.WithAuth(c.Auth), remote.WithTransport(c.Transport)}
}

func (c *Images) check(ctx context.Context, item *ImageItem) error {
	from, to, err := c.target(item)
	if err != nil {
		return err
	}
	held, err := remote.Head(to, c.destination(ctx)...)
	switch {
	case isMissing(err):
		item.State, item.Message = Missing, to.Name()+" does not exist"
		return nil
	case err != nil:
		return err
	}
	item.Digest, item.State = held.Digest.String(), Held
	if isDigest(from) && held.Digest.String() != from.Identifier() {
		item.State, item.Message = Different, fmt.Sprintf("%s is %s, and the list has %s", to.Name(), held.Digest, from.Identifier())
	}
	return nil
}

// isMissing reports whether a registry said that there is no such thing.
func isMissing(err error) bool {
	var e *transport.Error
	return errors.As(err, &e) && e.StatusCode == http.StatusNotFound
}

func (c *Images) sync(ctx context.Context, item *ImageItem) error {
	from, to, err := c.target(item)
	if err != nil {
		return err
	}
	found, err := remote.Get(from, c.source(ctx)...)
	if err != nil {
		if isMissing(err) {
			item.State = Missing
		}
		return err
	}
	item.Digest, item.State = found.Digest.String(), Held
	held, err := remote.Head(to, c.destination(ctx)...)
	if err != nil && !isMissing(err) {
		item.State = Failed
		return err
	}
	if err != nil || held.Digest != found.Digest {
		item.State = Fetched
		if err := c.Create(ctx, to.Context().RepositoryStr()); err != nil {
			item.State = Failed
			return err
		}
		if err := c.copy(ctx, found, to); err != nil {
			item.State = Failed
			return err
		}
	}
	if err := c.referrers(ctx, from.Context(), to.Context(), found, 0); err != nil {
		item.State = Failed
		return fmt.Errorf("what refers to the image: %w", err)
	}
	return nil
}

// copy writes an image, or all images of an index. Layers that are there are not sent.
func (c *Images) copy(ctx context.Context, found *remote.Descriptor, to name.Reference) error {
	if found.MediaType.IsIndex() {
		index, err := found.ImageIndex()
		if err != nil {
			return err
		}
		return remote.WriteIndex(to, index, c.destination(ctx)...)
	}
	image, err := found.Image()
	if err != nil {
		return err
	}
	return remote.Write(to, image, c.destination(ctx)...)
}

// referrers copies what refers to an image, and to the images of an index.
func (c *Images) referrers(ctx context.Context, from, to name.Repository, found *remote.Descriptor, depth int) error {
	if depth >= maxDepth {
		return nil
	}
	subjects := []v1.Hash{found.Digest}
	if found.MediaType.IsIndex() {
		index, err := found.ImageIndex()
		if err != nil {
			return err
		}
		manifest, err := index.IndexManifest()
		if err != nil {
			return err
		}
		for _, m := range manifest.Manifests {
			subjects = append(subjects, m.Digest)
		}
	}
	for _, subject := range subjects {
		if err := c.referrersOf(ctx, from, to, subject, depth); err != nil {
			return err
		}
		for _, suffix := range []string{".sig", ".att", ".sbom"} {
			tag := strings.Replace(subject.String(), ":", "-", 1) + suffix
			if err := c.copyReference(ctx, from.Tag(tag), to.Tag(tag)); err != nil && !isMissing(err) {
				return err
			}
		}
	}
	return nil
}

func (c *Images) referrersOf(ctx context.Context, from, to name.Repository, subject v1.Hash, depth int) error {
	index, err := remote.Referrers(from.Digest(subject.String()), c.source(ctx)...)
	if isMissing(err) {
		return nil // a registry without referrers
	}
	if err != nil {
		return err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	if len(manifest.Manifests) > maxReferrers {
		return fmt.Errorf("more than %d manifests refer to %s", maxReferrers, subject)
	}
	for _, m := range manifest.Manifests {
		at := from.Digest(m.Digest.String())
		if err := c.copyReference(ctx, at, to.Digest(m.Digest.String())); err != nil {
			return err
		}
		found, err := remote.Get(at, c.source(ctx)...)
		if err != nil {
			return err
		}
		if err := c.referrers(ctx, from, to, found, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// copyReference copies one manifest unless it is there.
func (c *Images) copyReference(ctx context.Context, from, to name.Reference) error {
	found, err := remote.Get(from, c.source(ctx)...)
	if err != nil {
		return err
	}
	if held, err := remote.Head(to, c.destination(ctx)...); err == nil && held.Digest == found.Digest {
		return nil
	}
	return c.copy(ctx, found, to)
}
