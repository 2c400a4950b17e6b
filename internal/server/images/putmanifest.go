package images

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// PutManifest is a manifest to be stored.
type PutManifest struct {
	// Digest is what the client names. If it is empty, the manifest is stored by
	// its sha256.
	Digest digest.Digest
	// Tags are set on the manifest, in addition to the tags that it has.
	Tags []string
	// MediaType is what the client says. If it is empty, the manifest's own counts.
	MediaType string
	Body      []byte
	// Existing says what happens to a push that changes nothing.
	Existing Existing
}

// Existing says what happens to a push that changes nothing, because the image
// exists and has the tags.
type Existing uint8

const (
	// AcceptExisting lets it succeed, as OCI clients expect when they push again.
	AcceptExisting Existing = iota
	// RejectExisting returns ImageAlreadyExists, as ECR documents for PutImage.
	RejectExisting
)

// PutManifest stores a manifest and sets its tags, in one transaction. The blobs
// and manifests that it refers to must exist; its subject does not have to. Action
// ecr:PutImage. Faults: AccessDenied, RepositoryNotFound, InvalidManifest,
// ManifestUnsupported, ManifestTooLarge, InvalidTag, InvalidDigest,
// DigestUnsupported, ImageDigestDoesNotMatch, LayersNotFound,
// ReferencedImagesNotFound, ImageTagAlreadyExists (the tag is immutable and
// points to another image), ImageAlreadyExists.
func (s *Service) PutManifest(ctx context.Context, id RepositoryID, p PutManifest) (*Manifest, error) {
	repo, err := s.authorize(ctx, id, "ecr:PutImage")
	if err != nil {
		return nil, err
	}
	for _, tag := range p.Tags {
		if !ValidTag(tag) {
			return nil, fault.New(fault.Invalid, "InvalidTag", "The image tag '%s' is not valid. A tag has 1 to 128 letters, digits, '_', '.' and '-', and does not begin with '.' or '-'.", tag)
		}
	}
	d, err := manifestDigest(p)
	if err != nil {
		return nil, err
	}
	r, err := readManifest(p.MediaType, p.Body)
	if err != nil {
		return nil, err
	}
	put := &manifestTx{PutManifest: p, repo: repo, parsed: r, digest: d, now: s.now().UTC().Truncate(time.Microsecond)}
	err = s.db.Tx(ctx, func(tx *db.Tx) error { return put.run(ctx, tx) })
	// Also after an error: the commit may have succeeded although its answer was lost.
	for _, tag := range p.Tags {
		s.tags.Drop(tagKey{repo.row, tag})
	}
	if len(p.Tags) > 0 {
		s.tagPages.invalidate(repo.row)
	}
	if err != nil {
		return nil, err
	}
	return put.stored, nil
}

// manifestDigest returns the digest under which a manifest is stored.
func manifestDigest(p PutManifest) (digest.Digest, error) {
	if p.Digest == "" {
		return digest.SHA256.FromBytes(p.Body), nil
	}
	if err := CheckDigest(p.Digest); err != nil {
		return "", err
	}
	if got := p.Digest.Algorithm().FromBytes(p.Body); got != p.Digest {
		return "", fault.New(fault.Invalid, "ImageDigestDoesNotMatch", "Provided image digest '%s' does not match calculated image digest '%s'", p.Digest, got)
	}
	return p.Digest, nil
}

// A manifestTx is the transaction of [Service.PutManifest].
type manifestTx struct {
	PutManifest
	repo   *Repository
	parsed *parsedManifest
	digest digest.Digest
	now    time.Time
	stored *Manifest
}

func (p *manifestTx) run(ctx context.Context, tx *db.Tx) error {
	// Read the settings in the transaction: the snapshot may be older.
	settings, err := db.One(ctx, tx, scanSettings, `SELECT settings FROM image_repository WHERE id = $1`, p.repo.row)
	if errors.Is(err, db.ErrNoRows) {
		return repositoryNotFound(p.repo.ID)
	}
	if err != nil {
		return err
	}
	p.stored, err = db.One(ctx, tx, scanManifest, `SELECT `+manifestColumns+` FROM image_manifest WHERE repository = $1 AND digest = $2`, p.repo.row, string(p.digest))
	fresh := errors.Is(err, db.ErrNoRows)
	if err != nil && !fresh {
		return err
	}
	if fresh {
		if err := p.insert(ctx, tx); err != nil {
			return err
		}
	}
	moved, err := p.setTags(ctx, tx, &settings)
	if err != nil {
		return err
	}
	if !fresh && !moved && p.Existing == RejectExisting {
		return p.alreadyExists()
	}
	return nil
}

func (p *manifestTx) alreadyExists() error {
	tag := ""
	if len(p.Tags) > 0 {
		tag = p.Tags[0]
	}
	return fault.New(fault.Conflict, "ImageAlreadyExists", "Image with digest '%s' and tag '%s' already exists in the repository with name '%s' in registry with id '%s'", p.digest, orNull(tag), p.repo.ID.Name, p.repo.ID.Account)
}

// insert adds the manifest with its references.
func (p *manifestTx) insert(ctx context.Context, tx *db.Tx) error {
	r, row := p.parsed, p.repo.row
	need := slices.Concat(r.blobs, r.optional)
	lenient := make([]digest.Digest, 0, len(r.lenient))
	for d := range r.lenient {
		lenient = append(lenient, d)
	}
	blobs, err := selectByDigest(ctx, tx, `SELECT digest, 0 FROM image_blob_link WHERE repository = $1 AND digest IN `, row, slices.Concat(need, lenient))
	if err != nil {
		return err
	}
	children, err := selectByDigest(ctx, tx, `SELECT digest, size FROM image_manifest WHERE repository = $1 AND digest IN `, row, r.children)
	if err != nil {
		return err
	}
	var refs, noBlob, noChild []digest.Digest
	for _, d := range r.blobs {
		if _, ok := blobs[d]; !ok {
			noBlob = append(noBlob, d)
		}
	}
	// Foreign layers are recorded too if their bytes are not here: a client may push
	// them later, and then the sweep must not remove them.
	refs = append(refs, need...)
	size := r.size
	for _, d := range r.children {
		childSize, isManifest := children[d]
		_, isBlob := blobs[d]
		if !isManifest && !(r.lenient[d] && isBlob) {
			noChild = append(noChild, d)
		}
		size = max(size, childSize)
		refs = append(refs, d)
	}
	switch {
	case noBlob != nil:
		return layersNotFound(p.repo.ID, noBlob)
	case noChild != nil:
		return referencedImagesNotFound(p.repo.ID, noChild)
	}
	p.stored = &Manifest{Digest: p.digest, MediaType: r.mediaType, ArtifactType: r.artifactType, Subject: r.subject, Body: p.Body, Size: size, PushedAt: p.now}
	_, err = tx.Exec(ctx, `INSERT INTO image_manifest (repository, annotations, `+manifestColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		row, r.annotations, string(p.digest), r.mediaType, r.artifactType, string(r.subject), size, db.Micros(p.now), p.Body)
	if err != nil {
		return err
	}
	return insertReferences(ctx, tx, row, p.digest, unique(refs))
}

// setTags sets the tags, and reports whether it changed any.
func (p *manifestTx) setTags(ctx context.Context, tx *db.Tx, settings *Settings) (moved bool, err error) {
	for _, tag := range p.Tags {
		old, err := db.One(ctx, tx, db.Scalar[digest.Digest], `SELECT digest FROM image_tag WHERE repository = $1 AND tag = $2`, p.repo.row, tag)
		if err != nil && !errors.Is(err, db.ErrNoRows) {
			return false, err
		}
		if err == nil && old == p.digest {
			continue
		}
		if err == nil && settings.immutable(tag) {
			return false, fault.New(fault.Conflict, "ImageTagAlreadyExists", "The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the tag is immutable.", tag, p.repo.ID.Name)
		}
		moved = true
		_, err = tx.Exec(ctx, `INSERT INTO image_tag (repository, tag, digest) VALUES ($1, $2, $3) ON CONFLICT (repository, tag) DO UPDATE SET digest = excluded.digest`, p.repo.row, tag, string(p.digest))
		if err != nil {
			return false, err
		}
	}
	return moved, nil
}
