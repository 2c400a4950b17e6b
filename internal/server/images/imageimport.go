package images

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/events"
	"github.com/gatehouse-registry/gatehouse/internal/server/ociremote"
)

const (
	// maxImported is how many manifests one import stores, at most: the image, its children
	// and what refers to them.
	maxImported = 500
	// maxNesting is how deep indexes may be nested.
	maxNesting = 4
	// importedBlobs is how many layers of an import are fetched at a time.
	importedBlobs = 4
)

// An imageImport brings an image of another registry here: first layers, then manifests,
// children before their index, and the tag last. So whatever is here is complete, and a pull
// that is interrupted leaves nothing that could be pulled. What refers to the image
// (signatures, SBOMs) follows.
type imageImport struct {
	s      *Service
	remote *ociremote.Registry
	rule   *CacheRule
	id     RepositoryID
	ref    Reference
	name   string // in the other registry

	repo     *Repository
	imported int
	stored   []digest.Digest // manifests whose referrers are to follow
}

// run imports the image, or finds that the one here is the newest.
func (i *imageImport) run(ctx context.Context) error {
	i.repo = i.s.repositories.get(i.id)
	if i.repo != nil && i.ref.Tag != "" {
		newest, err := i.isNewest(ctx)
		if err != nil || newest {
			return err
		}
	}
	reference := i.ref.Tag
	if reference == "" {
		reference = string(i.ref.Digest)
	}
	m, err := i.remote.Manifest(ctx, i.name, reference)
	if err != nil {
		return err
	}
	if err := CheckDigest(m.Digest); err != nil {
		return err
	}
	if i.repo, err = i.s.createForCause(ctx, i.id, CausePullThroughCache); err != nil {
		return err
	}
	var tags []string
	if i.ref.Tag != "" {
		tags = []string{i.ref.Tag}
	}
	if err := i.store(ctx, m, tags, 0); err != nil {
		return err
	}
	i.importReferrers(ctx)
	if err := i.s.noteCheck(ctx, i.repo, i.ref.Tag); err != nil {
		return err
	}
	return i.record(ctx, m.Digest)
}

// isNewest reports whether the image that has the tag here is the one that the other registry
// has, or must stay because the tag is immutable.
func (i *imageImport) isNewest(ctx context.Context) (bool, error) {
	here, err := i.s.resolve(ctx, i.repo, Reference{Tag: i.ref.Tag})
	if fault.Is(err, "ImageNotFound") {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if i.repo.immutable(i.ref.Tag) {
		return true, i.s.noteCheck(ctx, i.repo, i.ref.Tag)
	}
	there, err := i.remote.Head(ctx, i.name, i.ref.Tag)
	if ociremote.IsNotFound(err) { // it was pushed here, or deleted there: that is a comparison too
		return true, i.s.noteCheck(ctx, i.repo, i.ref.Tag)
	}
	if err != nil || there != here {
		return false, err
	}
	if active, err := i.has(ctx, here); err != nil || !active {
		return false, err
	}
	i.stored = []digest.Digest{here}
	i.importReferrers(ctx) // it may have been signed since
	return true, i.s.noteCheck(ctx, i.repo, i.ref.Tag)
}

// has reports whether the repository has a manifest.
func (i *imageImport) has(ctx context.Context, d digest.Digest) (bool, error) {
	_, err := i.s.manifest(ctx, i.repo, Reference{Digest: d})
	if fault.Is(err, "ImageNotFound") || fault.Is(err, "ImageArchived") { // an import restores it
		return false, nil
	}
	return err == nil, err
}

// store stores a manifest with everything that it needs.
func (i *imageImport) store(ctx context.Context, m *ociremote.Manifest, tags []string, depth int) error {
	if i.imported++; i.imported > maxImported || depth > maxNesting {
		return &ociremote.BadAnswer{What: fmt.Sprintf("it consists of more than %d manifests", maxImported)}
	}
	parsed, err := parseManifest(m.MediaType, m.Body)
	if err != nil {
		return &ociremote.BadAnswer{What: "its manifest cannot be used: " + fault.From(err).Message}
	}
	blobs := slices.Clone(parsed.blobs)
	for _, child := range unique(parsed.children) {
		if known, err := i.has(ctx, child); err != nil || known {
			if err != nil {
				return err
			}
			continue
		}
		c, err := i.remote.Manifest(ctx, i.name, string(child))
		if _, lenient := parsed.lenient[child]; lenient && err != nil {
			blobs = append(blobs, child) // an index that lists layers, as build caches do
			continue
		}
		if ociremote.IsNotFound(err) {
			return &ociremote.BadAnswer{What: "it lists the image " + string(child) + ", which is not there"}
		}
		if err != nil {
			return err
		}
		if err := i.store(ctx, c, nil, depth+1); err != nil {
			return err
		}
	}
	if err := i.fetchBlobs(ctx, unique(blobs), parsed.sizes); err != nil {
		return err
	}
	put := &manifestTx{PutManifest: PutManifest{Tags: tags}, s: i.s, body: m.Body, repo: i.repo, parsed: parsed, digest: m.Digest, now: i.s.now().UTC().Truncate(time.Microsecond)}
	if depth == 0 {
		put.also = []events.Event{i.event(m.Digest)}
	}
	if err := i.s.runManifest(ctx, put); err != nil && !fault.Is(err, "ImageTagAlreadyExists") {
		return err // an immutable tag was set meanwhile: it stays
	}
	i.stored = append(i.stored, m.Digest)
	return nil
}

// fetchBlobs fetches the layers that the repository does not have. A layer that another
// repository has is fetched too: who can name its digest in a registry of their own must not
// get its bytes by that.
func (i *imageImport) fetchBlobs(ctx context.Context, blobs []digest.Digest, sizes map[digest.Digest]int64) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(importedBlobs)
	for _, d := range blobs {
		group.Go(func() error {
			_, err := i.s.renewBlob(ctx, i.repo, d)
			if fault.Is(err, "BlobNotFound") {
				err = i.fetchBlob(ctx, d, sizes[d])
			}
			return err
		})
	}
	return group.Wait()
}

// fetchBlob fetches a layer, which has as many bytes as its manifest says.
func (i *imageImport) fetchBlob(ctx context.Context, d digest.Digest, size int64) error {
	if err := CheckDigest(d); err != nil {
		return err
	}
	if err := i.s.checkBytes(ctx, i.repo, d, size); err != nil { // before the bytes are fetched
		return err
	}
	body, err := i.remote.Blob(ctx, i.name, d, size)
	if ociremote.IsNotFound(err) {
		return &ociremote.BadAnswer{What: "it has the layer " + string(d) + ", which is not there"}
	}
	if err != nil {
		return err
	}
	defer body.Close()
	w, err := i.s.newHashingWriter(ctx, objectPrefix+randid.UUID(), d.Algorithm())
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := w.receive(body); err != nil {
		if failed, ok := errors.AsType[bodyError](err); ok {
			return failed.error // of the other registry
		}
		return err
	}
	_, err = i.s.finish(ctx, i.repo, nil, w, d)
	return err
}

// importReferrers imports what refers to the manifests that were stored, and what refers to
// that. It is not needed to use the image, so a failure is only logged.
func (i *imageImport) importReferrers(ctx context.Context) {
	for n := 0; n < len(i.stored) && i.imported < maxImported; n++ {
		if err := i.importReferrersOf(ctx, i.stored[n]); err != nil {
			i.s.pull.Log.Warn("what refers to an image could not be pulled through a cache rule", "repository", i.id.ARN(), "digest", string(i.stored[n]), "upstream", i.rule.URL, "error", err)
			return
		}
	}
}

func (i *imageImport) importReferrersOf(ctx context.Context, subject digest.Digest) error {
	list, err := i.remote.Referrers(ctx, i.name, subject)
	if err != nil {
		return err
	}
	for _, d := range list {
		if CheckDigest(d.Digest) != nil {
			continue
		}
		known, err := i.has(ctx, d.Digest)
		if err != nil {
			return err
		}
		if known {
			continue
		}
		m, err := i.remote.Manifest(ctx, i.name, string(d.Digest))
		if err != nil {
			return err
		}
		if err := i.store(ctx, m, nil, 1); err != nil {
			return err
		}
	}
	return nil
}

// A pullThroughEvent is what an event says about an import (Amazon ECR User Guide, "Amazon
// ECR events and EventBridge").
type pullThroughEvent struct {
	RuleVersion string        `json:"rule-version"`
	Status      string        `json:"sync-status"`
	Prefix      string        `json:"ecr-repository-prefix"`
	Repository  string        `json:"repository-name"`
	URL         string        `json:"upstream-registry-url"`
	Tag         string        `json:"image-tag,omitempty"`
	Digest      digest.Digest `json:"image-digest"`
}

// event is what tells that the image was imported.
func (i *imageImport) event(d digest.Digest) events.Event {
	return events.Event{
		Source: "aws.ecr", DetailType: "ECR Pull Through Cache Action", Account: i.id.Account, Region: i.id.Region, Time: i.s.now(),
		Resources: []string{i.repo.arn}, Repository: i.id.Name,
		Detail: pullThroughEvent{"1", "SUCCESS", i.rule.Prefix, i.id.Name, i.rule.URL, i.ref.Tag, d},
	}
}

// record writes the audit record of an import.
func (i *imageImport) record(ctx context.Context, d digest.Digest) error {
	return i.s.recordDetails(ctx, "BatchImportUpstreamImage", i.repo, importLog{i.id.Name, i.ref.Tag, d, i.rule.Prefix, i.rule.URL, i.name, callerARN(ctx)})
}

// An importLog is what the audit log has about an import.
type importLog struct {
	RepositoryName string        `json:"repositoryName"`
	Tag            string        `json:"imageTag,omitempty"`
	Digest         digest.Digest `json:"imageDigest"`
	Prefix         string        `json:"ecrRepositoryPrefix"`
	URL            string        `json:"upstreamRegistryUrl"`
	UpstreamName   string        `json:"upstreamRepositoryName"`
	// Caller is whose pull was the cause.
	Caller string `json:"callerArn,omitempty"`
}
