package mirror

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-registry/gatehouse/internal/client/imagecopy"
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
	// Overwrite lets tags of the registry move that are on another image.
	Overwrite bool
	// Parallel is how many images are copied at a time.
	Parallel int
	Progress func()
}

// Check finds out which images the registry has. No source is asked.
func (c *Images) Check(ctx context.Context, p *Plan) error { return c.each(ctx, p, c.check) }

// Sync copies what the registry does not have. A tag that is on another image there stays,
// unless Overwrite is set.
func (c *Images) Sync(ctx context.Context, p *Plan) error { return c.each(ctx, p, c.sync) }

func (c *Images) each(ctx context.Context, p *Plan, work func(context.Context, *ImageItem) error) error {
	c.markConflicts(p)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(c.Parallel, 1))
	for i := range p.Images {
		item := &p.Images[i]
		group.Go(func() error {
			if item.State == Failed { // it has a conflict
				c.Progress()
				return nil
			}
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

// markConflicts fails the entries whose copies would have one name, although their images
// have different ones: the last copy would win.
func (c *Images) markConflicts(p *Plan) {
	first := map[string]*ImageItem{}
	for i := range p.Images {
		item := &p.Images[i]
		_, to, err := c.target(item)
		if err != nil {
			continue // it fails with this error later
		}
		other := first[to.Name()]
		if other == nil {
			first[to.Name()] = item
			continue
		}
		if other.Reference == item.Reference {
			continue
		}
		item.State, item.Message = Failed, fmt.Sprintf("its copy is %s, as that of %s (%s); give one of them another name", to.Name(), other.Reference, other.Source)
		if other.State != Failed {
			other.State, other.Message = Failed, fmt.Sprintf("its copy is %s, as that of %s (%s); give one of them another name", to.Name(), item.Reference, item.Source)
		}
	}
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

func (c *Images) check(ctx context.Context, item *ImageItem) error {
	from, to, err := c.target(item)
	if err != nil {
		return err
	}
	destination, err := c.destination()
	if err != nil {
		return err
	}
	held, err := destination.Repository(to.Context()).Digest(ctx, to.Identifier())
	switch {
	case err != nil:
		return err
	case held == "":
		item.State, item.Message = Missing, to.Name()+" does not exist"
		return nil
	}
	item.Digest, item.State = held, Held
	if isDigest(from) && held != from.Identifier() {
		item.State, item.Message = Different, fmt.Sprintf("%s is %s, and the list has %s", to.Name(), held, from.Identifier())
	}
	return nil
}

func (c *Images) destination() (*imagecopy.Client, error) {
	return imagecopy.NewClient(remote.WithAuth(c.Auth), remote.WithTransport(c.Transport))
}

func (c *Images) sync(ctx context.Context, item *ImageItem) error {
	from, to, err := c.target(item)
	if err != nil {
		return err
	}
	source, err := imagecopy.NewClient(remote.WithAuthFromKeychain(c.Sources), remote.WithTransport(c.Transport))
	if err != nil {
		return err
	}
	destination, err := c.destination()
	if err != nil {
		return err
	}
	copying := &imagecopy.Copy{From: source.Repository(from.Context()), To: destination.Repository(to.Context()), Overwrite: c.Overwrite}
	found, err := copying.From.Manifest(ctx, from.Identifier())
	if err != nil {
		if errors.Is(err, imagecopy.ErrNotFound) {
			item.State = Missing
		}
		return err
	}
	item.Digest, item.State = found.Digest, Failed
	held, err := copying.CheckTag(ctx, to.Identifier(), found.Digest)
	if err == nil && !held {
		err = c.Create(ctx, to.Context().RepositoryStr())
	}
	if err == nil {
		err = imagecopy.NewWalker(copying.From, copying).Walk(ctx, found, imagecopy.TagOf(to.Identifier()))
	}
	var taken *imagecopy.TagError
	switch {
	case errors.As(err, &taken):
		item.State = Different
	case err != nil:
	case held:
		item.State = Held
	default:
		item.State = Fetched
	}
	return err
}
