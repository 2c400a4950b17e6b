package images

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// An ImageFailure says why the operation failed for one image of a batch.
type ImageFailure struct {
	Reference
	// Code is one of ECR's ImageFailureCode: InvalidImageDigest,
	// InvalidImageTag, ImageTagDoesNotMatchDigest, ImageNotFound,
	// MissingDigestAndTag, ImageReferencedByManifestList.
	Code   string
	Reason string
}

// DeleteImage deletes a manifest with its tags if ref is a digest. If ref is a tag,
// it deletes the tag only (OCI distribution-spec 1.1, Deleting tags). A manifest
// that another one lists cannot be deleted. Manifests whose subject it is stay.
// Action
// ecr:BatchDeleteImage. Faults: AccessDenied, RepositoryNotFound, ImageNotFound,
// ImageTagDoesNotMatchDigest, ImageReferencedByManifestList.
func (s *Service) DeleteImage(ctx context.Context, id RepositoryID, ref Reference) error {
	repo, err := s.authorize(ctx, id, "ecr:BatchDeleteImage")
	if err != nil {
		return err
	}
	_, err = s.delete(ctx, repo, ref, keepUntagged)
	return err
}

// DeleteImages deletes what refs name: a digest deletes the image with all its tags;
// a tag deletes the tag, and the image if it was the last tag (Amazon ECR API
// Reference, BatchDeleteImage). deleted has an entry for each removed tag, and an
// entry without a tag for an image that had none. An image that a manifest list in
// the same batch needs is deleted after the list, whatever the order of refs. Action
// ecr:BatchDeleteImage. Faults: AccessDenied, RepositoryNotFound.
func (s *Service) DeleteImages(ctx context.Context, id RepositoryID, refs []Reference) (deleted []Reference, failures []ImageFailure, err error) {
	repo, err := s.authorize(ctx, id, "ecr:BatchDeleteImage")
	if err != nil {
		return nil, nil, err
	}
	for progress := true; progress && len(refs) > 0; {
		progress = false
		var again []Reference
		var waiting []ImageFailure
		for _, ref := range refs {
			gone, err := s.deleteChecked(ctx, repo, ref)
			if err == nil {
				deleted = append(deleted, gone...)
				progress = true
				continue
			}
			failure, ok := imageFailure(ref, err)
			switch {
			case !ok:
				return nil, nil, err
			case failure.Code == "ImageReferencedByManifestList":
				again, waiting = append(again, ref), append(waiting, failure)
			default:
				failures = append(failures, failure)
			}
		}
		refs = again
		if !progress {
			failures = append(failures, waiting...)
		}
	}
	return deleted, failures, nil
}

func (s *Service) deleteChecked(ctx context.Context, repo *Repository, ref Reference) ([]Reference, error) {
	if err := ref.check(); err != nil {
		return nil, err
	}
	return s.delete(ctx, repo, ref, deleteUntagged)
}

// check returns a fault if a reference of a batch is not valid.
func (ref Reference) check() error {
	switch {
	case ref.Tag == "" && ref.Digest == "":
		return fault.New(fault.Invalid, "MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null")
	case ref.Digest != "" && CheckDigest(ref.Digest) != nil:
		return fault.New(fault.Invalid, "InvalidImageDigest", "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'")
	case ref.Tag != "" && !ValidTag(ref.Tag):
		return fault.New(fault.Invalid, "InvalidImageTag", "Invalid request parameters: image tag should satisfy the regex '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}'")
	}
	return nil
}

// imageFailure turns the fault of one image into its entry in the answer of a batch.
func imageFailure(ref Reference, err error) (ImageFailure, bool) {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return ImageFailure{}, false
	}
	switch f.Code {
	case "MissingDigestAndTag", "InvalidImageDigest", "InvalidImageTag", "ImageTagDoesNotMatchDigest", "ImageReferencedByManifestList",
		"UpstreamAccessDenied", "UpstreamTooManyRequests", "UpstreamUnavailable", "ImageInaccessible":
		return ImageFailure{ref, f.Code, f.Message}, true
	case "ImageNotFound":
		return ImageFailure{ref, f.Code, "Requested image not found"}, true
	case "ImageArchived":
		return ImageFailure{ref, "ImageNotFound", f.Message}, true
	}
	return ImageFailure{}, false
}

// untagged says what happens to an image whose last tag is removed.
type untagged uint8

const (
	keepUntagged untagged = iota
	deleteUntagged
)

// delete deletes an image or a tag, and returns what was deleted.
func (s *Service) delete(ctx context.Context, repo *Repository, ref Reference, last untagged) (gone []Reference, err error) {
	d := &deleteTx{s: s, repo: repo, ref: ref, last: last}
	err = s.changeCached(ctx, func(tx *db.Tx) ([]string, error) {
		err := d.run(ctx, tx)
		return d.keys(), err
	}, d.forget)
	if err != nil {
		return nil, err
	}
	return d.gone, nil
}

// A deleteTx is the transaction of [Service.delete].
type deleteTx struct {
	s    *Service
	repo *Repository
	ref  Reference
	last untagged
	// replicated says that a deletion in another registry is repeated here. Like a copy, it
	// goes no further: it could come back to that registry after the image was pushed again.
	replicated bool
	digest     digest.Digest
	gone       []Reference
	deleted    bool
	unsigned   *signerTx // who loses signers with the image, or nil
}

// keys returns what the change feed tells other servers.
func (d *deleteTx) keys() (keys []string) {
	for _, ref := range d.gone {
		if ref.Tag != "" {
			keys = append(keys, rowKey(imageTagKey, d.repo.row, ref.Tag))
		}
	}
	if d.deleted {
		keys = append(keys, rowKey(manifestKey, d.repo.row, string(d.digest)))
	}
	if d.unsigned != nil {
		keys = append(keys, d.unsigned.keys()...)
	}
	return keys
}

// forget drops what the caches of this server have of the same.
func (d *deleteTx) forget() {
	for _, ref := range d.gone {
		if ref.Tag != "" {
			d.s.forgetTags(d.repo.row, ref.Tag)
		}
	}
	if d.deleted {
		d.s.manifests.Drop(digestKey{d.repo.row, d.digest})
	}
	if d.unsigned != nil {
		d.unsigned.forget()
	}
}

func (d *deleteTx) run(ctx context.Context, tx *db.Tx) error {
	d.gone, d.deleted, d.digest, d.unsigned = nil, false, d.ref.Digest, nil
	if d.ref.Tag != "" {
		target, err := db.One(ctx, tx, db.Scalar[digest.Digest], `SELECT digest FROM image_tag WHERE repository = $1 AND tag = $2`, d.repo.row, d.ref.Tag)
		if errors.Is(err, db.ErrNoRows) {
			return imageNotFound(d.repo.ID, d.ref)
		}
		if err != nil {
			return err
		}
		if d.ref.Digest != "" && d.ref.Digest != target {
			return tagDoesNotMatch(d.repo.ID, d.ref)
		}
		d.digest = target
	}
	tags, err := db.All(ctx, tx, db.Scalar[string], `SELECT tag FROM image_tag WHERE repository = $1 AND digest = $2 ORDER BY tag`, d.repo.row, string(d.digest))
	if err != nil {
		return err
	}
	if d.ref.Tag != "" && (len(tags) > 1 || d.last == keepUntagged) {
		d.gone = []Reference{{d.ref.Tag, d.digest}}
		if err := d.enqueueRemoval(ctx, tx, d.gone[0]); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM image_tag WHERE repository = $1 AND tag = $2`, d.repo.row, d.ref.Tag); err != nil {
			return err
		}
		subject, err := db.One(ctx, tx, db.Scalar[digest.Digest], `SELECT subject FROM image_manifest WHERE repository = $1 AND digest = $2`, d.repo.row, string(d.digest))
		if err != nil {
			return err
		}
		return announce(ctx, tx, d.s.events, d.repo, d.s.now(), actionDelete, subject, d.gone...)
	}
	for _, tag := range tags {
		d.gone = append(d.gone, Reference{tag, d.digest})
	}
	if len(tags) == 0 {
		d.gone = []Reference{{Digest: d.digest}}
	}
	d.deleted = true
	return d.image(ctx, tx)
}

func (d *deleteTx) enqueueRemoval(ctx context.Context, tx *db.Tx, ref Reference) error {
	if d.replicated {
		return nil
	}
	return d.s.enqueueRemoval(ctx, tx, d.repo, ref)
}

// image deletes the manifest with its tags and references. The links of the blobs
// that it needed are renewed, as if the blobs had just been pushed: a client that
// was told that they exist may be about to use them.
func (d *deleteTx) image(ctx context.Context, tx *db.Tx) error {
	row, dgst := d.repo.row, string(d.digest)
	parent, err := db.One(ctx, tx, db.Scalar[string], `SELECT manifest FROM image_reference WHERE repository = $1 AND digest = $2 AND manifest <> $2 LIMIT 1`, row, dgst)
	if err == nil {
		return fault.New(fault.Conflict, "ImageReferencedByManifestList", "Requested image referenced by manifest list: [%s]", parent)
	}
	if !errors.Is(err, db.ErrNoRows) {
		return err
	}
	if err := d.enqueueRemoval(ctx, tx, Reference{Digest: d.digest}); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE image_blob_link SET renewed = $3 WHERE repository = $1 AND digest IN (SELECT digest FROM image_reference WHERE repository = $1 AND manifest = $2)`,
		row, dgst, db.Micros(d.s.now()))
	if err != nil {
		return err
	}
	// What an index lists has its signers.
	listed := &signerTx{s: d.s, repo: d.repo, subject: d.digest}
	if err := listed.readChildren(ctx, tx); err != nil {
		return err
	}
	for _, statement := range []string{
		`DELETE FROM image_tag WHERE repository = $1 AND digest = $2`,
		`DELETE FROM image_reference WHERE repository = $1 AND manifest = $2`,
	} {
		if _, err := tx.Exec(ctx, statement, row, dgst); err != nil {
			return err
		}
	}
	subjects, err := db.All(ctx, tx, db.Scalar[digest.Digest], `DELETE FROM image_manifest WHERE repository = $1 AND digest = $2 RETURNING subject`, row, dgst)
	switch {
	case err != nil:
		return err
	case len(subjects) == 0:
		return imageNotFound(d.repo.ID, d.ref)
	}
	if len(listed.children) > 0 {
		d.unsigned = listed
	}
	if subjects[0] != "" {
		d.unsigned = &signerTx{s: d.s, repo: d.repo, subject: subjects[0]}
		if err := d.unsigned.readChildren(ctx, tx); err != nil {
			return err
		}
		d.unsigned.children = append(d.unsigned.children, listed.children...)
	}
	return announce(ctx, tx, d.s.events, d.repo, d.s.now(), actionDelete, subjects[0], d.gone...)
}
