package imagecopy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// maxManifests bounds what one walk visits.
	maxManifests = 20_000
	// maxDepth bounds how deep indexes are nested, and how long a chain of referrers is.
	maxDepth = 16
)

// A Source has the manifests and the blobs of a repository. Manifest fails with
// [ErrNotFound] if there is none with the tag or the digest.
type Source interface {
	Manifest(ctx context.Context, reference string) (*Manifest, error)
	Blob(ctx context.Context, d Descriptor) (io.ReadCloser, error)
	// Referrers are the manifests whose subject has the digest.
	Referrers(ctx context.Context, digest string) ([]Descriptor, error)
}

// A Visitor gets what a [Walker] finds.
type Visitor interface {
	// Visit gets each manifest once.
	Visit(ctx context.Context, m *Manifest) error
	// Tag gets each tag, after its manifest and everything that refers to it.
	Tag(ctx context.Context, m *Manifest, tag string) error
}

// A Walker visits images of one repository.
type Walker struct {
	source  Source
	visitor Visitor
	// visited are the manifests that were visited with everything below them, or are being
	// visited, and referred those whose referrers were.
	visited, referred map[string]bool
}

// NewWalker returns a walker that has visited nothing.
func NewWalker(s Source, v Visitor) *Walker {
	return &Walker{source: s, visitor: v, visited: map[string]bool{}, referred: map[string]bool{}}
}

// Walk visits a manifest with everything below it and everything that refers to one of
// these. The tag is empty for a manifest that has none.
func (w *Walker) Walk(ctx context.Context, m *Manifest, tag string) error {
	return w.walk(ctx, m, tag, 0)
}

func (w *Walker) walk(ctx context.Context, m *Manifest, tag string, depth int) (err error) {
	if depth > maxDepth {
		return fmt.Errorf("more than %d manifests refer to each other in a chain", maxDepth)
	}
	subjects, err := w.visitTree(ctx, m, nil, 0)
	defer func() {
		if err != nil { // another image may need them, with what refers to them
			for _, subject := range subjects {
				delete(w.visited, subject)
			}
		}
	}()
	if err != nil {
		return err
	}
	for _, subject := range subjects {
		if w.referred[subject] {
			continue
		}
		w.referred[subject] = true
		if err := w.walkReferrers(ctx, subject, depth); err != nil {
			delete(w.referred, subject) // another image may need them
			return fmt.Errorf("what refers to %s: %w", subject, err)
		}
	}
	if tag == "" {
		return nil
	}
	return w.visitor.Tag(ctx, m, tag)
}

// visitTree visits a manifest and what is below it, unless that was done. It adds the
// digests of the manifests to all, also if it fails.
func (w *Walker) visitTree(ctx context.Context, m *Manifest, all []string, depth int) ([]string, error) {
	if w.visited[m.Digest] {
		return all, nil
	}
	if depth > maxDepth {
		return all, errors.New("an index is nested too deeply")
	}
	if len(w.visited) >= maxManifests {
		return all, fmt.Errorf("more than %d manifests belong to the image", maxManifests)
	}
	w.visited[m.Digest] = true
	all = append(all, m.Digest)
	for i := range m.Children() {
		child := &m.Children()[i]
		if w.visited[child.Digest] {
			continue
		}
		below, err := w.source.Manifest(ctx, child.Digest)
		if err == nil {
			all, err = w.visitTree(ctx, below, all, depth+1)
		}
		if err != nil {
			return all, fmt.Errorf("%s, which %s names: %w", child.Digest, m.Digest, err)
		}
	}
	if err := w.visitor.Visit(ctx, m); err != nil {
		return all, err
	}
	return all, nil
}

// walkReferrers visits what refers to a manifest by its subject, and by cosign's tags.
func (w *Walker) walkReferrers(ctx context.Context, subject string, depth int) error {
	referrers, err := w.source.Referrers(ctx, subject)
	if err != nil {
		return err
	}
	if len(referrers) > maxChildren {
		return fmt.Errorf("there are more than %d", maxChildren)
	}
	for i := range referrers {
		if w.visited[referrers[i].Digest] {
			continue
		}
		m, err := w.source.Manifest(ctx, referrers[i].Digest)
		if err != nil {
			return err
		}
		if err := w.walk(ctx, m, "", depth+1); err != nil {
			return err
		}
	}
	for _, suffix := range []string{".sig", ".att", ".sbom"} {
		tag := strings.Replace(subject, ":", "-", 1) + suffix
		m, err := w.source.Manifest(ctx, tag)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := w.walk(ctx, m, tag, depth+1); err != nil {
			return err
		}
	}
	return nil
}
