package images

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/events"
)

// An image is in the storage class standard or in the archive. An archived image cannot be
// pulled, and lists show it only if they are asked for it. Its rows, its blobs and its
// references stay where they are: only the status of its manifest changes, so nothing of it
// can get lost on the way, and the sweeps keep its blobs.
//
// The caches of manifests and blobs hold only what can be pulled. So archiving is like a
// deletion for them, and restoring like a push.
//
// An index takes its untagged images along, and an image what refers to it
// (storageclass_follow.go).

// An ImageStatus is ECR's ImageStatus.
type ImageStatus string

// The statuses.
const (
	Active   ImageStatus = "ACTIVE"
	Archived ImageStatus = "ARCHIVED"
	// Activating means that the image is being restored.
	Activating ImageStatus = "ACTIVATING"
	// AnyImageStatus is only for filters.
	AnyImageStatus ImageStatus = "ANY"
)

// condition is the condition on image_manifest for images that a filter with the status
// selects. The empty status selects those that are active.
func (st ImageStatus) condition(table string) string {
	switch st {
	case AnyImageStatus:
		return ""
	case Archived, Activating: // the first condition is that of an index
		return ` AND ` + table + `.status <> 'ACTIVE' AND ` + table + `.status = '` + string(st) + `'`
	}
	return ` AND ` + table + `.status = 'ACTIVE'`
}

// archivedLink is the condition on image_blob_link l for a blob that only archived images
// need, and that was not uploaded since.
const archivedLink = `EXISTS (SELECT 1 FROM image_reference f JOIN image_manifest m ON m.repository = f.repository AND m.digest = f.manifest
		WHERE f.repository = l.repository AND f.digest = l.digest AND m.status <> 'ACTIVE' AND m.archived >= l.renewed)
	AND NOT EXISTS (SELECT 1 FROM image_reference f JOIN image_manifest m ON m.repository = f.repository AND m.digest = f.manifest
		WHERE f.repository = l.repository AND f.digest = l.digest AND m.status = 'ACTIVE')`

func imageArchived(id RepositoryID, ref Reference, status ImageStatus) error {
	what := "is archived. Restore it first"
	if status == Activating {
		what = "is being restored from the archive. Try again soon"
	}
	return fault.New(fault.NotFound, "ImageArchived", "The image with imageId {imageDigest:'%s', imageTag:'%s'} in the repository with name '%s' in the registry with id '%s' %s.",
		orNull(string(ref.Digest)), orNull(ref.Tag), id.Name, id.Account, what)
}

// identify returns the digest of an image, whatever its status.
func (s *Service) identify(ctx context.Context, repo *Repository, ref Reference) (digest.Digest, error) {
	d, err := s.resolve(ctx, repo, ref)
	if err != nil {
		return "", err
	}
	found, err := db.All(ctx, s.db, db.Scalar[int64], `SELECT 1 FROM image_manifest WHERE repository = $1 AND digest = $2`, repo.row, string(d))
	if err == nil && len(found) == 0 {
		err = imageNotFound(repo.ID, ref)
	}
	return d, err
}

// ArchiveImage moves an image into the archive, if it is not there. Action
// ecr:UpdateImageStorageClass. Faults: AccessDenied, RepositoryNotFound, ImageNotFound,
// ImageTagDoesNotMatchDigest, InvalidParameter, ImageStorageClassUpdateNotSupported (another
// image has it).
func (s *Service) ArchiveImage(ctx context.Context, id RepositoryID, ref Reference) (digest.Digest, ImageStatus, error) {
	return s.updateStorageClass(ctx, id, ref, (*statusTx).archive)
}

// RestoreImage begins to restore an archived image, in the background. Action and faults: as
// for [Service.ArchiveImage].
func (s *Service) RestoreImage(ctx context.Context, id RepositoryID, ref Reference) (digest.Digest, ImageStatus, error) {
	return s.updateStorageClass(ctx, id, ref, (*statusTx).restore)
}

func (s *Service) updateStorageClass(ctx context.Context, id RepositoryID, ref Reference, update func(*statusTx, context.Context, *db.Tx, digest.Digest) (ImageStatus, error)) (d digest.Digest, status ImageStatus, err error) {
	repo, err := s.authorize(ctx, id, "ecr:UpdateImageStorageClass")
	if err != nil {
		return "", "", err
	}
	if err := ref.check(); err != nil {
		return "", "", invalidParameter("imageId", fault.From(err).Message)
	}
	t := &statusTx{s: s, repo: repo, now: s.now()}
	err = s.changeCached(ctx, func(tx *db.Tx) ([]string, error) {
		t.changed = nil
		if err := checkExists(ctx, tx, repo); err != nil {
			return nil, err
		}
		var err error
		if d, err = resolveIn(ctx, tx, repo, ref); err != nil {
			return nil, err
		}
		if status, err = update(t, ctx, tx, d); errors.Is(err, db.ErrNoRows) {
			err = imageNotFound(id, ref)
		}
		return t.keys(), err
	}, t.forget)
	return d, status, err
}

// resolveIn returns the digest that ref names in a transaction. The manifest may not exist.
func resolveIn(ctx context.Context, tx *db.Tx, repo *Repository, ref Reference) (digest.Digest, error) {
	if ref.Tag == "" {
		return ref.Digest, nil
	}
	d, err := db.One(ctx, tx, db.Scalar[digest.Digest], `SELECT digest FROM image_tag WHERE repository = $1 AND tag = $2`, repo.row, ref.Tag)
	if errors.Is(err, db.ErrNoRows) {
		return "", imageNotFound(repo.ID, ref)
	}
	if err == nil && ref.Digest != "" && ref.Digest != d {
		return "", tagDoesNotMatch(repo.ID, ref)
	}
	return d, err
}

// A statusTx is a transaction that changes the status of images.
type statusTx struct {
	s       *Service
	repo    *Repository
	now     time.Time
	changed []statusChange
}

// A statusChange is what caches have about an image whose status was changed.
type statusChange struct {
	digest digest.Digest
	tags   []string
	blobs  []digest.Digest // only of an archived image
}

// archive archives an image at the request of a client.
func (t *statusTx) archive(ctx context.Context, tx *db.Tx, d digest.Digest) (ImageStatus, error) {
	row := t.repo.row
	subject, err := db.One(ctx, tx, db.Scalar[digest.Digest], `SELECT subject FROM image_manifest WHERE repository = $1 AND digest = $2`, row, string(d))
	if err != nil {
		return "", err
	}
	users, err := db.All(ctx, tx, db.Scalar[string], `SELECT f.manifest FROM image_reference f JOIN image_manifest m ON m.repository = f.repository AND m.digest = f.manifest
		WHERE f.repository = $1 AND f.digest = $2 AND f.manifest <> $2 AND m.status <> 'ARCHIVED' LIMIT 1`, row, string(d))
	if err != nil {
		return "", err
	}
	if len(users) > 0 {
		return "", notSupported(d, "is referenced by the manifest list '"+users[0]+"'. Archive the manifest list, and the image follows it.")
	}
	if existing, err := t.status(ctx, tx, subject); err != nil || existing != "" {
		if err == nil {
			err = notSupported(d, "refers to the image '"+string(subject)+"', and has its storage class.")
		}
		return "", err
	}
	if _, err := t.set(ctx, tx, d, Archived); err != nil {
		return "", err
	}
	return Archived, t.s.enqueueFollowers(ctx, tx, t.repo, d)
}

// restore begins to restore an image at the request of a client.
func (t *statusTx) restore(ctx context.Context, tx *db.Tx, d digest.Digest) (ImageStatus, error) {
	status, err := t.status(ctx, tx, d)
	switch {
	case err != nil:
		return "", err
	case status == "":
		return "", db.ErrNoRows
	case status != Archived:
		return status, nil
	}
	subject, err := db.One(ctx, tx, db.Scalar[digest.Digest], `SELECT subject FROM image_manifest WHERE repository = $1 AND digest = $2`, t.repo.row, string(d))
	if err != nil {
		return "", err
	}
	of, err := t.status(ctx, tx, subject)
	if err != nil {
		return "", err
	}
	if of == Archived {
		return "", notSupported(d, "refers to the image '"+string(subject)+"', which is archived. Restore that image, and this one follows it.")
	}
	if _, err := t.set(ctx, tx, d, Activating); err != nil {
		return "", err
	}
	return Activating, t.s.enqueueFollowers(ctx, tx, t.repo, d)
}

func notSupported(d digest.Digest, why string) error {
	return fault.New(fault.Conflict, "ImageStorageClassUpdateNotSupported", "The storage class of the image with digest '%s' cannot be updated: it %s", d, why)
}

// status returns the status of an image, and "" if it does not exist.
func (t *statusTx) status(ctx context.Context, tx *db.Tx, d digest.Digest) (ImageStatus, error) {
	if d == "" {
		return "", nil
	}
	found, err := db.All(ctx, tx, db.Scalar[ImageStatus], `SELECT status FROM image_manifest WHERE repository = $1 AND digest = $2`, t.repo.row, string(d))
	if err != nil || len(found) == 0 {
		return "", err
	}
	return found[0], nil
}

// A statusRow is what a change of the status needs to know of an image.
type statusRow struct {
	mediaType, artifactType string
	subject                 digest.Digest
}

func scanStatusRow(r db.Row) (v statusRow, err error) {
	err = r.Scan(&v.mediaType, &v.artifactType, &v.subject)
	return v, err
}

// set changes the status of an image, and tells about it. It returns false if the image has
// the status, or does not exist.
func (t *statusTx) set(ctx context.Context, tx *db.Tx, d digest.Digest, status ImageStatus) (bool, error) {
	row, times, args := t.repo.row, "", []any{t.repo.row, string(d), string(status)}
	switch status {
	case Archived:
		times, args = `, archived = $4, age_from = $4`, append(args, db.Micros(t.now))
	case Active:
		times, args = `, activated = $4, age_from = $4`, append(args, db.Micros(t.now))
	}
	found, err := db.All(ctx, tx, scanStatusRow, `UPDATE image_manifest SET status = $3`+times+` WHERE repository = $1 AND digest = $2 AND status <> $3
		RETURNING media_type, artifact_type, subject`, args...)
	if err != nil || len(found) == 0 {
		return false, err
	}
	c := statusChange{digest: d}
	if c.tags, err = tagsOf(ctx, tx, row, d); err != nil {
		return false, err
	}
	switch status {
	case Archived:
		c.blobs, err = db.All(ctx, tx, db.Scalar[digest.Digest], `SELECT digest FROM image_reference WHERE repository = $1 AND manifest = $2`, row, string(d))
		if err == nil {
			_, err = tx.Exec(ctx, `DELETE FROM image_scan WHERE repository = $1 AND digest = $2`, row, string(d))
		}
	case Active:
		if err = t.s.enqueueReplica(ctx, tx, t.repo, d); err == nil {
			err = t.s.scanRestored(ctx, tx, t.repo, d)
		}
	}
	if err != nil {
		return false, err
	}
	t.changed = append(t.changed, c)
	return true, t.announce(ctx, tx, &c, found[0], status)
}

// keys returns what the change feed tells other servers.
func (t *statusTx) keys() (keys []string) {
	row := t.repo.row
	for i := range t.changed {
		c := &t.changed[i]
		keys = append(keys, rowKey(manifestKey, row, string(c.digest)))
		for _, tag := range c.tags {
			keys = append(keys, rowKey(imageTagKey, row, tag))
		}
		for _, d := range c.blobs {
			keys = append(keys, rowKey(blobKey, row, string(d)))
		}
	}
	return keys
}

// forget drops what the caches of this server have of the same.
func (t *statusTx) forget() {
	row := t.repo.row
	for i := range t.changed {
		c := &t.changed[i]
		t.s.manifests.Drop(digestKey{row, c.digest})
		t.s.forgetTags(row, c.tags...)
		for _, d := range c.blobs {
			t.s.locations.Drop(digestKey{row, d})
		}
	}
}

// A storageClassEvent is what an event says about an image that was archived or restored.
// Its members are those of AWS.
type storageClassEvent struct {
	imageEvent
	Target       string `json:"target-storage-class"`
	MediaType    string `json:"manifest-media-type"`
	ArtifactType string `json:"artifact-media-type,omitempty"`
	Activated    string `json:"last-activated-at,omitempty"`
}

// announce writes one event for each tag, or one if there is none. The beginning of a
// restoration is not told.
func (t *statusTx) announce(ctx context.Context, tx *db.Tx, c *statusChange, of statusRow, status ImageStatus) error {
	if status == Activating {
		return nil
	}
	detail := storageClassEvent{Target: "ARCHIVE", MediaType: of.mediaType, ArtifactType: of.artifactType}
	if status == Active {
		detail.Target, detail.Activated = "STANDARD", t.now.UTC().Format(time.RFC3339)
	}
	kind := imageAction
	if of.subject != "" {
		kind = referrerAction
	}
	tags := c.tags
	if len(tags) == 0 {
		tags = []string{""}
	}
	var all []events.Event
	for _, tag := range tags {
		detail.imageEvent = imageEvent{"SUCCESS", t.repo.ID.Name, c.digest, actionStorageClass, tag}
		all = append(all, events.Event{
			Source: "aws.ecr", DetailType: kind, Account: t.repo.ID.Account, Region: t.repo.ID.Region, Time: t.now,
			Detail: detail, Repository: t.repo.ID.Name,
		})
	}
	return t.s.events.Write(ctx, tx, all...)
}

// archivedBlobs returns those of digests that are blobs that only archived images need.
func (s *Service) archivedBlobs(ctx context.Context, repo *Repository, digests []digest.Digest) ([]digest.Digest, error) {
	var found []digest.Digest
	for chunk := range slices.Chunk(digests, maxParameters) {
		args := []any{repo.row}
		for _, d := range chunk {
			args = append(args, string(d))
		}
		some, err := db.All(ctx, s.db, db.Scalar[digest.Digest], `SELECT l.digest FROM image_blob_link l WHERE l.repository = $1 AND `+archivedLink+` AND l.digest IN `+placeholders(2, 1, len(chunk)), args...)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	return found, nil
}
