package images

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/events"
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
	// Body is read after the caller was authorized, and not beyond [MaxManifest].
	Body io.Reader
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
// points to another image), ImageAlreadyExists, TooManyImageTags, TooManyImages, UploadInterrupted.
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
	body, err := p.read()
	if err != nil {
		return nil, err
	}
	d, err := p.checkDigest(body)
	if err != nil {
		return nil, err
	}
	r, err := parseManifest(p.MediaType, body)
	if err != nil {
		return nil, err
	}
	old, err := s.existing(ctx, repo, d)
	if err == nil {
		err = s.admit(ctx, repo, "ecr:PutImage", d, old, r)
	}
	if err != nil {
		return nil, err
	}
	put := &manifestTx{PutManifest: p, s: s, body: body, repo: repo, parsed: r, digest: d, now: s.now().UTC().Truncate(time.Microsecond)}
	if put.signers, err = s.signersFor(ctx, repo, r); err != nil {
		return nil, err
	}
	if err := s.runManifest(ctx, put); err != nil {
		return nil, err
	}
	return put.stored, nil
}

// existing returns a manifest if it is here, for rules about images; nil means that it is not
// needed, because no rule may be about it, or not here.
func (s *Service) existing(ctx context.Context, repo *Repository, d digest.Digest) (*Manifest, error) {
	req := s.completeRequest(repo.ID, repo, authz.Request{})
	if !authz.MayHaveVersionRules(ctx, req.Policies) {
		return nil, nil
	}
	found, err := db.All(ctx, s.db, scanManifest, `SELECT `+manifestColumns+` FROM image_manifest WHERE repository = $1 AND digest = $2`, repo.row, string(d))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

// runManifest runs the transaction that stores a manifest.
func (s *Service) runManifest(ctx context.Context, put *manifestTx) error {
	if len(put.Tags) == 0 { // caches hold only manifests that exist
		err := s.db.Tx(ctx, func(tx *db.Tx) error { return put.run(ctx, tx) })
		if !errors.Is(err, errListsChange) {
			return err
		}
		put.tellsCaches = true
	}
	return s.changeCached(ctx, func(tx *db.Tx) ([]string, error) {
		err := put.run(ctx, tx)
		return put.keys(), err
	}, put.forget)
}

// errListsChange means that caches must be told of a push without tags: the image is archived,
// so that its tags are shown again, or it is an index whose signature was there before it.
var errListsChange = errors.New("images: the push changes what caches hold")

// read reads the body.
func (p *PutManifest) read() ([]byte, error) {
	const limit = MaxManifest + 1 // one byte more shows that it is too large
	var body bytes.Buffer
	if _, err := body.ReadFrom(io.LimitReader(p.Body, limit)); err != nil {
		if f, ok := errors.AsType[*fault.Error](err); ok {
			return nil, f // for example, that the memory for bodies is in use
		}
		return nil, fault.Wrap(err, fault.Invalid, "UploadInterrupted", "The connection ended before the whole manifest had arrived. Send it again.")
	}
	if body.Len() > MaxManifest {
		return nil, fault.New(fault.TooLarge, "ManifestTooLarge", "A manifest has at most %d bytes.", MaxManifest)
	}
	return body.Bytes(), nil
}

// checkDigest returns the digest under which a manifest is stored.
func (p *PutManifest) checkDigest(body []byte) (digest.Digest, error) {
	if p.Digest == "" {
		return digest.SHA256.FromBytes(body), nil
	}
	if err := CheckDigest(p.Digest); err != nil {
		return "", err
	}
	if got := p.Digest.Algorithm().FromBytes(body); got != p.Digest {
		return "", fault.New(fault.Invalid, "ImageDigestDoesNotMatch", "Provided image digest '%s' does not match calculated image digest '%s'", p.Digest, got)
	}
	return p.Digest, nil
}

// A manifestTx is the transaction of [Service.PutManifest].
type manifestTx struct {
	PutManifest
	s      *Service
	body   []byte
	repo   *Repository
	parsed *parsedManifest
	digest digest.Digest
	now    time.Time
	stored *Manifest
	moved  []string // the tags that were set
	// tellsCaches says that caches are told if the image was archived, or if it is an index
	// that was signed before.
	tellsCaches bool
	signers     []signerOf // the profiles that are to sign the image
	restored    *statusTx  // nil unless it was archived
	// listed are the images of a new index that was signed before; nil unless it was.
	listed *signerTx
	// also are events beside those of the push, if it changes something.
	also []events.Event
}

// keys returns what the change feed tells other servers.
func (p *manifestTx) keys() (keys []string) {
	for _, tag := range p.moved {
		keys = append(keys, rowKey(imageTagKey, p.repo.row, tag))
	}
	if p.restored != nil {
		keys = append(keys, p.restored.keys()...)
	}
	if p.listed != nil {
		keys = append(keys, p.listed.keys()...)
	}
	return keys
}

// forget drops what the caches of this server have of the same.
func (p *manifestTx) forget() {
	p.s.forgetTags(p.repo.row, slices.Concat(p.Tags, p.moved)...)
	if p.restored != nil {
		p.restored.forget()
	}
	if p.listed != nil {
		p.listed.forget()
	}
}

func (p *manifestTx) run(ctx context.Context, tx *db.Tx) error {
	p.listed = nil
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
		if err := p.s.checkImageCount(ctx, tx, p.repo); err != nil {
			return err
		}
		if err := p.insert(ctx, tx); err != nil {
			return err
		}
	}
	if err := p.setTags(ctx, tx, &settings); err != nil {
		return err
	}
	restored, err := p.restoreArchived(ctx, tx, p.stored.status)
	if err != nil {
		return err
	}
	if !fresh && len(p.moved) == 0 && !restored && p.Existing == RejectExisting {
		return p.alreadyExists()
	}
	if fresh || len(p.moved) > 0 {
		if err := p.s.enqueueReplica(ctx, tx, p.repo, p.digest); err != nil {
			return err
		}
	}
	if err := p.enqueueSigning(ctx, tx); err != nil {
		return err
	}
	return p.announce(ctx, tx, fresh)
}

// restoreArchived restores the image if it is archived: a push does so at once. The images
// that an index lists were pushed before it.
func (p *manifestTx) restoreArchived(ctx context.Context, tx *db.Tx, old ImageStatus) (bool, error) {
	p.restored = nil
	if old == Active {
		return false, nil
	}
	if len(p.Tags) == 0 && !p.tellsCaches {
		return false, errListsChange
	}
	waiting, err := db.All(ctx, tx, db.Scalar[int64], `SELECT 1 FROM image_reference f JOIN image_manifest m ON m.repository = f.repository AND m.digest = f.digest
		WHERE f.repository = $1 AND f.manifest = $2 AND f.digest <> $2 AND m.status <> 'ACTIVE' LIMIT 1`, p.repo.row, string(p.digest))
	if err != nil {
		return false, err
	}
	status := Active
	if len(waiting) > 0 {
		status = Activating
	}
	p.restored = &statusTx{s: p.s, repo: p.repo, now: p.now}
	if _, err := p.restored.set(ctx, tx, p.digest, status); err != nil {
		return false, err
	}
	return true, p.s.enqueueFollowers(ctx, tx, p.repo, p.digest)
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
	maybeBlobs := slices.Concat(r.blobs, slices.Collect(maps.Keys(r.lenient)))
	blobs, err := selectByDigest(ctx, tx, `SELECT digest, 0 FROM image_blob_link WHERE repository = $1 AND digest IN `, row, maybeBlobs)
	if err != nil {
		return err
	}
	// An index must not list archived images: a client that pushes them again restores them.
	children, err := selectByDigest(ctx, tx, `SELECT digest, size FROM image_manifest WHERE repository = $1 AND status = 'ACTIVE' AND digest IN `, row, r.children)
	if err != nil {
		return err
	}
	var noBlob, noChild []digest.Digest
	for _, d := range r.blobs {
		if _, ok := blobs[d]; !ok {
			noBlob = append(noBlob, d)
		}
	}
	for _, d := range r.children {
		_, isManifest := children[d]
		_, isBlob := blobs[d]
		_, lenient := r.lenient[d]
		if !isManifest && !(lenient && isBlob) {
			noChild = append(noChild, d)
		}
	}
	switch {
	case noBlob != nil:
		return layersNotFound(p.repo.ID, noBlob)
	case noChild != nil:
		return referencedImagesNotFound(p.repo.ID, noChild)
	}
	p.stored = &Manifest{Digest: p.digest, MediaType: r.mediaType, ArtifactType: r.artifactType, Subject: r.subject, Body: p.body, Size: r.sizeWith(children), PushedAt: p.now, status: Active}
	_, err = tx.Exec(ctx, `INSERT INTO image_manifest (repository, annotations, age_from, `+manifestColumns+`) VALUES ($1, $2, $8, $3, $4, $5, $6, $7, $8, 0, $9, 'ACTIVE')`,
		row, r.annotations, string(p.digest), r.mediaType, r.artifactType, string(r.subject), p.stored.Size, db.Micros(p.now), p.body)
	if err != nil {
		return err
	}
	if r.isSignature && r.subject != "" {
		if err := p.s.enqueueVerify(ctx, tx, p.repo, p.digest); err != nil {
			return err
		}
	}
	if err := insertReferences(ctx, tx, row, p.digest, r.needs()); err != nil {
		return err
	}
	if err := p.readListed(ctx, tx); err != nil {
		return err
	}
	return p.s.scanOnPush(ctx, tx, p.repo, p.stored)
}

// readListed reads which images get signers by a new index.
func (p *manifestTx) readListed(ctx context.Context, tx *db.Tx) error {
	if len(p.parsed.children) == 0 {
		return nil
	}
	signed, err := db.All(ctx, tx, db.Scalar[int64], `SELECT 1 FROM image_signer WHERE repository = $1 AND subject = $2 LIMIT 1`, p.repo.row, string(p.digest))
	if err != nil || len(signed) == 0 {
		return err
	}
	if len(p.Tags) == 0 && !p.tellsCaches {
		return errListsChange
	}
	p.listed = &signerTx{s: p.s, repo: p.repo, subject: p.digest}
	return p.listed.readChildren(ctx, tx)
}

// setTags sets the tags, and records which of them it moved.
func (p *manifestTx) setTags(ctx context.Context, tx *db.Tx, settings *Settings) error {
	p.moved = nil
	for _, tag := range p.Tags {
		if err := p.setTag(ctx, tx, settings, tag); err != nil {
			return err
		}
	}
	if len(p.moved) > 0 {
		return p.checkTagCount(ctx, tx)
	}
	return nil
}

func (p *manifestTx) setTag(ctx context.Context, tx *db.Tx, settings *Settings, tag string) error {
	old, err := db.One(ctx, tx, db.Scalar[digest.Digest], `SELECT digest FROM image_tag WHERE repository = $1 AND tag = $2`, p.repo.row, tag)
	if err != nil && !errors.Is(err, db.ErrNoRows) {
		return err
	}
	if err == nil && old == p.digest {
		return nil
	}
	if err == nil && settings.immutable(tag) {
		return fault.New(fault.Conflict, "ImageTagAlreadyExists", "The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the tag is immutable.", tag, p.repo.ID.Name)
	}
	_, err = tx.Exec(ctx, `INSERT INTO image_tag (repository, tag, digest) VALUES ($1, $2, $3) ON CONFLICT (repository, tag) DO UPDATE SET digest = excluded.digest`, p.repo.row, tag, string(p.digest))
	if err == nil {
		p.moved = append(p.moved, tag)
	}
	return err
}

// maxImageTags is the number of tags that an image can have (Amazon ECR User Guide,
// "Service quotas", tags per image).
const maxImageTags = 1000

func (p *manifestTx) checkTagCount(ctx context.Context, tx *db.Tx) error {
	n, err := db.One(ctx, tx, db.Scalar[int64], `SELECT count(*) FROM (SELECT 1 FROM image_tag WHERE repository = $1 AND digest = $2 LIMIT $3) AS some_tags`, p.repo.row, string(p.digest), maxImageTags+1)
	if err == nil && n > maxImageTags {
		return fault.New(fault.Limit, "TooManyImageTags", "The image with digest '%s' in the repository with name '%s' has reached the limit of %d tags. Delete tags that are not needed.", p.digest, p.repo.ID.Name, maxImageTags)
	}
	return err
}
