package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

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
	// waited is true if the request had to wait for another one.
	waited bool
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

// lockUpload waits until no other request writes to the upload, and reads it.
func (s *Service) lockUpload(ctx context.Context, repo *Repository, uploadID string) (u *uploadRow, unlock func(), err error) {
	unlock, waited, err := s.uploading.lock(ctx, uploadID)
	if err != nil {
		return nil, nil, err
	}
	u, err = s.upload(ctx, repo, uploadID)
	if err != nil {
		unlock()
		return nil, nil, err
	}
	u.waited = waited
	return u, unlock, nil
}

func (u *uploadRow) checkOffset(offset int64) error {
	if offset != AnyOffset && offset != u.Size {
		return fault.New(fault.Invalid, "UploadOffset", "The chunk begins at byte %d, but the upload has %d bytes. Send chunks in order and without gaps.", offset, u.Size)
	}
	return nil
}

// append receives body into an upload and saves it. u.Size is then up to date.
func (s *Service) append(ctx context.Context, u *uploadRow, body io.Reader) error {
	w, err := s.openUpload(ctx, u)
	if err != nil {
		return err
	}
	if err := s.receive(ctx, u, w, body, keepPartial); err != nil {
		return err
	}
	return s.save(ctx, u, w)
}

// partial says what happens to the bytes of a body that is interrupted.
type partial uint8

const (
	keepPartial partial = iota
	dropPartial
)

// receive is [hashingWriter.receive] for an upload. After any error the writer is
// closed, and the upload is as it was, with one exception: if body fails, the bytes
// before the failure are saved. But not if p says otherwise, or if the request had to
// wait for another one: its client may have left long ago and sent the same again.
func (s *Service) receive(ctx context.Context, u *uploadRow, w *hashingWriter, body io.Reader, p partial) error {
	err := w.receive(body)
	if err == nil && u.waited {
		err = stillThere(ctx)
	}
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[bodyError](err); ok && !u.waited && p == keepPartial {
		return errors.Join(interrupted(err), s.save(ctx, u, w))
	}
	w.Rollback()
	return interrupted(conflict(u, err))
}

// disconnectDelay is the time in which the HTTP server notices that a client left.
// It can only look for the end of a connection after the body was read. By then a
// request that had to wait is old, and so is the end of its connection.
const disconnectDelay = 100 * time.Millisecond

// stillThere returns an error if the client has left.
func stillThere(ctx context.Context) error {
	timer := time.NewTimer(disconnectDelay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return bodyError{ctx.Err()}
	case <-timer.C:
		return nil
	}
}

// interrupted turns a [bodyError] into a fault.
func interrupted(err error) error {
	body, ok := errors.AsType[bodyError](err)
	if !ok {
		return err
	}
	if _, ok := errors.AsType[*fault.Error](body.error); ok {
		return body.error
	}
	return fault.Wrap(body.error, fault.Invalid, "UploadInterrupted", "The connection ended before all bytes of the layer had arrived. Get the upload's status and continue from there.")
}

// openUpload opens an upload for appending.
func (s *Service) openUpload(ctx context.Context, u *uploadRow) (*hashingWriter, error) {
	ctx = context.WithoutCancel(ctx) // the bytes are kept, even if the client leaves
	if u.state == nil {
		// Nothing is acknowledged yet, so the object can have another name. A process that
		// was killed may have left one of the old name, complete: not every store sees
		// that before the new one is committed.
		u.object = objectPrefix + randid.UUID()
		w, err := s.newHashingWriter(ctx, u.object, u.algorithm)
		return w, conflict(u, err)
	}
	object, err := s.blobs.Resume(ctx, u.object, u.state)
	if errors.Is(err, blob.ErrState) {
		object, err = s.reopen(ctx, u)
	}
	if err != nil {
		return nil, conflict(u, err)
	}
	w := &hashingWriter{object, u.object, u.algorithm, u.algorithm.Hash()}
	if err := w.restoreHash(u.hash); err != nil {
		w.Rollback()
		return nil, fmt.Errorf("upload %s: hash state: %w", u.ID, err)
	}
	return w, nil
}

// conflict turns an error of the blob store into the fault of an upload that another
// request, perhaps at another server, is writing to or has ended.
func conflict(u *uploadRow, err error) error {
	switch {
	case errors.Is(err, blob.ErrInUse):
		return uploadConflict(u.ID)
	case errors.Is(err, blob.ErrNotFound):
		return uploadNotFound(u.repository, u.ID)
	}
	return err
}

// reopen copies the acknowledged bytes of an upload into a new object. It is needed
// if the upload's object was committed: the process was killed, or the database
// failed, between the commit of the object and the commit of the row. If the bytes
// are missing, the upload is dropped and the fault is UploadNotFound.
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

// save makes the received bytes durable and closes the writer.
func (s *Service) save(ctx context.Context, u *uploadRow, w *hashingWriter) error {
	ctx = context.WithoutCancel(ctx) // what has arrived is kept, even if the client left
	size := w.Size()
	state, err := w.Suspend(ctx)
	if err != nil {
		return conflict(u, err)
	}
	hash, err := w.hashState()
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
		// After a conflict the bytes are another process's. After an unclear commit they may
		// be recorded.
		if !fault.Is(err, "UploadConflict") && !errors.Is(err, db.ErrUnclearCommit) {
			s.dropUnsaved(ctx, u, state)
		}
		return err
	}
	u.Size, u.state, u.hash = size, state, hash
	u.generation++
	return nil
}

// dropUnsaved drops the bytes of an upload that unsaved has beyond the upload's own
// state, after they could not be recorded. If this fails, the next request that opens
// the upload does it.
func (s *Service) dropUnsaved(ctx context.Context, u *uploadRow, unsaved blob.State) {
	if u.state == nil {
		if w, err := s.blobs.Resume(ctx, u.object, unsaved); err == nil {
			w.Abort()
		}
		return
	}
	if w, err := s.blobs.Resume(ctx, u.object, u.state); err == nil {
		w.Rollback()
	}
}

// dropUpload removes an upload and its object. A missing upload is not an error.
func (s *Service) dropUpload(ctx context.Context, u *uploadRow) error {
	remove := func() error {
		return s.db.Tx(ctx, func(tx *db.Tx) error {
			n, err := tx.Exec(ctx, `DELETE FROM image_upload WHERE id = $1`, u.ID)
			if err != nil || n == 0 {
				return err
			}
			return s.removals.Delete(ctx, tx, u.object)
		})
	}
	err := remove()
	if f := (*fault.Error)(nil); errors.As(err, &f) && f.Kind == fault.StorageFull {
		// Not even the database can write. The bytes go first then: that makes room,
		// and an upload without bytes is found to be gone when it is opened.
		s.discard(ctx, u.object)
		err = remove()
	}
	return err
}

// discard deletes objects at once, without the work queue: those that no row ever named,
// and those that are in the way. If this fails,
// [Service.SweepObjects] deletes them later.
func (s *Service) discard(ctx context.Context, objects ...string) {
	for _, object := range objects {
		_ = s.blobs.Delete(context.WithoutCancel(ctx), object)
	}
}
