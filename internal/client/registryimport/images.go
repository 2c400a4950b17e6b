package registryimport

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-registry/gatehouse/internal/client/imagecopy"
)

// images is the key of images in a [Report].
const images = "oci"

// An ImageSource is a registry that images come from.
type ImageSource struct {
	Client   *imagecopy.Client
	Registry name.Registry
	// Repositories calls visit for each repository.
	Repositories func(ctx context.Context, visit func(string) error) error
	// Untagged returns the digests of images without a tag; nil if the registry does not
	// list them.
	Untagged func(ctx context.Context, repository string) ([]string, error)
}

// Images imports the images of a registry: all platforms, and what refers to them.
type Images struct {
	From ImageSource
	To   *imagecopy.Client
	// Registry is where the images go, below Prefix, which ends in a slash if it is not
	// empty.
	Registry name.Registry
	Prefix   string
	// Create makes a repository that may exist already.
	Create func(ctx context.Context, repository string) error
	// RepositoryPrefix chooses the repositories whose names begin with it, and Tag, a
	// pattern as in [path.Match], the tags. What is empty matches everything. With a pattern
	// of tags, images without one are left out.
	RepositoryPrefix, Tag string
	// Overwrite lets tags move that are on another image.
	Overwrite bool
	// Parallel is how many parts of repositories are worked on at a time.
	Parallel int
	DryRun   bool
	Report   *Report
}

// chunk is how many images of a repository are one part of the work.
const chunk = 50

// Run imports what the destination does not have. It fails only if it cannot go on: what
// cannot be imported is in the report.
func (i *Images) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(i.Parallel, 1))
	listed := i.From.Repositories(ctx, func(repository string) error {
		if !strings.HasPrefix(repository, i.RepositoryPrefix) {
			return ctx.Err()
		}
		references, err := i.references(ctx, repository)
		if err != nil {
			return i.failed(ctx, repository, err)
		}
		for len(references) > 0 {
			some := references[:min(chunk, len(references))]
			references = references[len(some):]
			group.Go(func() error { return i.importImages(ctx, repository, some) })
		}
		return ctx.Err()
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return listed
}

// references are the tags and digests of a repository that are to be imported.
func (i *Images) references(ctx context.Context, repository string) ([]string, error) {
	from, err := i.source(repository)
	if err != nil {
		return nil, err
	}
	tags, err := from.Tags(ctx)
	if err != nil {
		return nil, err
	}
	if i.Tag == "" {
		if i.From.Untagged == nil {
			return tags, nil
		}
		untagged, err := i.From.Untagged(ctx, repository)
		return append(tags, untagged...), err
	}
	var all []string
	for _, tag := range tags {
		if ok, _ := path.Match(i.Tag, tag); ok {
			all = append(all, tag)
		}
	}
	return all, nil
}

func (i *Images) source(repository string) (*imagecopy.Remote, error) {
	r, err := named(i.From.Registry, repository)
	if err != nil {
		return nil, err
	}
	return i.From.Client.Repository(r), nil
}

// named is a repository of a registry, which may be one without TLS.
func named(r name.Registry, repository string) (name.Repository, error) {
	var options []name.Option
	if r.Scheme() == "http" {
		options = append(options, name.Insecure)
	}
	return name.NewRepository(r.Name()+"/"+repository, options...)
}

func (i *Images) importImages(ctx context.Context, repository string, references []string) error {
	from, err := i.source(repository)
	if err != nil {
		return i.failed(ctx, repository, err)
	}
	target, err := named(i.Registry, i.Prefix+repository)
	if err != nil {
		return i.failed(ctx, repository, err)
	}
	c := &imagecopy.Copy{From: from, To: i.To.Repository(target), Overwrite: i.Overwrite}
	c.Moved = func(n int64) { i.Report.moved(images, n) }
	if !i.DryRun {
		if err := i.Create(ctx, target.RepositoryStr()); err != nil {
			return i.failed(ctx, repository, err)
		}
	}
	walker := imagecopy.NewWalker(from, c)
	if i.DryRun {
		walker = imagecopy.NewWalker(from, &planner{c: c, counted: map[string]bool{}})
	}
	for _, reference := range references {
		if err := i.importImage(ctx, walker, c, repository, reference); err != nil {
			return err
		}
	}
	return nil
}

func (i *Images) importImage(ctx context.Context, walker *imagecopy.Walker, c *imagecopy.Copy, repository, reference string) error {
	separator, tag := ":", reference
	if imagecopy.IsDigest(reference) {
		separator, tag = "@", ""
	}
	label := repository + separator + reference
	m, err := c.From.Manifest(ctx, reference)
	if err != nil {
		return i.failed(ctx, label, err)
	}
	held, err := c.CheckTag(ctx, reference, m.Digest)
	if err != nil {
		return i.failed(ctx, label, err)
	}
	before := c.Sent
	if err := walker.Walk(ctx, m, tag); err != nil {
		return i.failed(ctx, label, err)
	}
	switch {
	case held && c.Sent == before:
		i.Report.add(images, label, Held, "")
	case i.DryRun:
		i.Report.add(images, label, Planned, "")
	default:
		i.Report.add(images, label, Imported, "")
	}
	return nil
}

func (i *Images) failed(ctx context.Context, label string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	state := Failed
	var taken *imagecopy.TagError
	if errors.As(err, &taken) {
		state = Different
	}
	i.Report.add(images, label, state, fmt.Sprint(err))
	return nil
}

// A planner counts what a copy would send.
type planner struct {
	c       *imagecopy.Copy
	counted map[string]bool // blobs
}

// Visit implements [imagecopy.Visitor].
func (p *planner) Visit(ctx context.Context, m *imagecopy.Manifest) error {
	has, err := p.c.To.Digest(ctx, m.Digest)
	if err != nil || has == m.Digest {
		return err
	}
	p.c.Sent++
	for _, b := range m.Blobs() {
		if !p.counted[b.Digest] {
			p.counted[b.Digest] = true
			p.c.Moved(b.Size)
		}
	}
	return nil
}

// Tag implements [imagecopy.Visitor].
func (p *planner) Tag(context.Context, *imagecopy.Manifest, string) error { return nil }
