package images

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// uploadRow is a row of image_upload.
type uploadRow struct {
	Upload
	repository RepositoryID
	object     string
	algorithm  digest.Algorithm
	lastPart   int64
	shortPart  int64
	state      blob.State // nil before the first byte
	hash       []byte
	generation int64
}

func scanUpload(r db.Row) (*uploadRow, error) {
	u := new(uploadRow)
	return u, r.Scan(&u.ID, &u.object, &u.algorithm, &u.Size, &u.lastPart, &u.shortPart, (*[]byte)(&u.state), &u.hash, &u.generation)
}

func (s *Service) upload(ctx context.Context, repo *Repository, uploadID string) (*uploadRow, error) {
	u, err := db.One(ctx, s.db, scanUpload, `SELECT id, object, algorithm, size, last_part, short_part, state, hash, generation FROM image_upload WHERE id = $1 AND repository = $2`, uploadID, repo.row)
	if errors.Is(err, db.ErrNoRows) {
		return nil, uploadNotFound(repo.ID, uploadID)
	}
	if err != nil {
		return nil, err
	}
	u.repository = repo.ID
	return u, nil
}

// lockUpload waits until nobody writes to the upload, and reads it.
func (s *Service) lockUpload(ctx context.Context, repo *Repository, uploadID string) (u *uploadRow, unlock func(), err error) {
	unlock, err = s.uploading.lock(ctx, uploadID)
	if err != nil {
		return nil, nil, err
	}
	u, err = s.upload(ctx, repo, uploadID)
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return u, unlock, nil
}

func (u *uploadRow) checkOffset(at int64) error {
	if at != AnyOffset && at != u.Size {
		return fault.New(fault.Invalid, "UploadOffset", "The chunk begins at byte %d, and the upload has %d bytes: chunks are sent in order and without gaps.", at, u.Size)
	}
	return nil
}

// append receives body into an upload and saves it. u then says how far it is.
func (s *Service) append(ctx context.Context, u *uploadRow, body io.Reader) error {
	k, err := s.openUpload(ctx, u)
	if err != nil {
		return err
	}
	if err := s.receive(ctx, u, k, body); err != nil {
		return err
	}
	return s.save(ctx, u, k)
}

// receive is [sink.receive] for an upload. Where it fails, the sink is closed,
// and what body gave before it failed is saved.
func (s *Service) receive(ctx context.Context, u *uploadRow, k *sink, body io.Reader) error {
	err := k.receive(body)
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[bodyError](err); ok {
		return errors.Join(interrupted(err), s.save(ctx, u, k))
	}
	// The store failed. What it has beyond the saved state is dropped when the
	// upload is resumed.
	_, suspendErr := k.Suspend(context.WithoutCancel(ctx))
	return errors.Join(err, suspendErr)
}

// interrupted turns the failure of a body into the domain's error.
func interrupted(err error) error {
	body, ok := errors.AsType[bodyError](err)
	if !ok {
		return err
	}
	if _, ok := errors.AsType[*fault.Error](body.error); ok {
		return body.error
	}
	return fault.Wrap(body.error, fault.Invalid, "UploadInterrupted", "The bytes of the layer ended before the request did. Ask for the upload's status and go on from there.")
}

// openUpload opens what the upload has so far, to go on with it.
func (s *Service) openUpload(ctx context.Context, u *uploadRow) (*sink, error) {
	if u.state == nil {
		k, err := s.newSink(ctx, u.object, u.algorithm)
		if errors.Is(err, blob.ErrInUse) {
			// A process that died left it, before anything was acknowledged.
			if err := s.blobs.Delete(ctx, u.object); err != nil {
				return nil, err
			}
			k, err = s.newSink(ctx, u.object, u.algorithm)
		}
		return k, conflict(u, err)
	}
	w, err := s.blobs.Resume(ctx, u.object, u.state)
	if errors.Is(err, blob.ErrState) {
		w, err = s.reopen(ctx, u)
	}
	if err != nil {
		return nil, conflict(u, err)
	}
	k := &sink{w, u.object, u.algorithm, u.algorithm.Hash()}
	if err := k.restore(u.hash); err != nil {
		_, suspendErr := k.Suspend(ctx)
		return nil, errors.Join(fmt.Errorf("upload %s: hash state: %w", u.ID, err), suspendErr)
	}
	return k, nil
}

func conflict(u *uploadRow, err error) error {
	if errors.Is(err, blob.ErrInUse) {
		return uploadConflict(u.ID)
	}
	return err
}

// reopen copies what was acknowledged of an upload into a new object, since its
// own was committed: the process died, or the database failed, between the
// commit of the object and that of the row. Where the bytes are gone the upload
// is dropped: UploadNotFound.
func (s *Service) reopen(ctx context.Context, u *uploadRow) (blob.Writer, error) {
	o, err := s.blobs.Open(ctx, u.object)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, errors.Join(uploadNotFound(u.repository, u.ID), s.dropUpload(ctx, u))
	}
	if err != nil {
		return nil, err
	}
	defer o.Close()
	u.object = objectPrefix + randid.UUID()
	w, err := s.blobs.Create(ctx, u.object)
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyN(w, o, u.Size); err != nil {
		w.Abort()
		return nil, fmt.Errorf("upload %s: %w", u.ID, err)
	}
	return w, nil
}

// save makes what the sink received durable and closes it.
func (s *Service) save(ctx context.Context, u *uploadRow, k *sink) error {
	ctx = context.WithoutCancel(ctx) // what has arrived is kept, whether the client waits or not
	size := k.Size()
	state, err := k.Suspend(ctx)
	if err != nil {
		return err
	}
	hash, err := k.saved()
	if err != nil {
		return err
	}
	err = s.db.Tx(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE image_upload SET object = $3, size = $4, last_part = $5, short_part = $6, state = $7, hash = $8, generation = generation + 1, updated = $9
			WHERE id = $1 AND generation = $2`, u.ID, u.generation, u.object, size, u.lastPart, u.shortPart, []byte(state), hash, db.Micros(s.now()))
		if err == nil && n == 0 {
			return uploadConflict(u.ID)
		}
		return err
	})
	if err != nil {
		return err
	}
	u.Size, u.state, u.hash = size, state, hash
	u.generation++
	return nil
}

// dropUpload removes an upload and its object. That it is gone is no error.
func (s *Service) dropUpload(ctx context.Context, u *uploadRow) error {
	err := s.db.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM image_upload WHERE id = $1`, u.ID)
		return err
	})
	if err != nil {
		return err
	}
	s.discard(ctx, u.object)
	return nil
}

// discard deletes objects that no row names any more. What cannot be deleted
// now is deleted by [Service.SweepObjects].
func (s *Service) discard(ctx context.Context, objects ...string) {
	for _, object := range objects {
		_ = s.blobs.Delete(context.WithoutCancel(ctx), object)
	}
}
