package s3

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
)

const (
	contentType = "application/octet-stream"
	// metaUpload is the metadata of an object that names its upload.
	metaUpload = "gatehouse-upload"
	// sending is how many parts of one upload are sent at a time.
	sending = 2
	// cleanup bounds what is done after the request that needed it has ended.
	cleanup = 30 * time.Second
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func newID() string { return randid.Text() }

func ptr[T any](v T) *T { return &v }

// formatCRC returns a CRC-32C as S3 writes it.
func formatCRC(crc uint32) *string {
	return ptr(base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc)))
}

func (b *buffer) crc() (crc uint32) {
	left := b.size
	for _, c := range b.chunks {
		n := min(left, chunkSize)
		crc = crc32.Update(crc, castagnoli, c[:n])
		left -= n
	}
	return crc
}

// A writer is the [blob.Writer] of one upload.
type writer struct {
	store *Store
	ctx   context.Context // of Create or Resume
	name  string
	id    string // of the multipart upload, or of this writer if there is none
	size  int64
	crc   uint32 // of all bytes
	buf   buffer // the bytes after the parts
	done  bool
	begun *state // what was resumed; nil after Create

	multipart string // the id of the multipart upload, or ""
	// parts are those that are being sent or were. A goroutine fills in its own part.
	parts  []types.CompletedPart
	slots  chan struct{}
	active sync.WaitGroup
	// sendCtx is for the goroutines. It does not end with ctx, since Suspend needs the
	// parts that are under way; stop ends it.
	sendCtx context.Context
	stop    context.CancelFunc
	mu      sync.Mutex
	failed  error // the first error of a goroutine
}

func newWriter(ctx context.Context, s *Store, name string) *writer {
	w := &writer{store: s, ctx: ctx, name: name, id: newID(), slots: make(chan struct{}, sending)}
	w.sendCtx, w.stop = context.WithCancel(context.WithoutCancel(ctx))
	return w
}

// Resume implements [blob.Store].
func (s *Store) Resume(ctx context.Context, name string, saved blob.State) (blob.Writer, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	st, err := parseState(name, saved)
	if err != nil {
		return nil, err
	}
	w := newWriter(ctx, s, name)
	if err := w.load(ctx, st); err != nil {
		w.finish()
		return nil, fmt.Errorf("resume blob: %w", err)
	}
	w.begun = st
	return w, nil
}

// Size implements [blob.Writer].
func (w *writer) Size() int64 { return w.size }

// Write implements [io.Writer]. It sends a full part only when there is more, so that
// an object of one part needs one request.
func (w *writer) Write(p []byte) (n int, err error) {
	if w.done {
		return 0, w.closed("write")
	}
	for len(p) > 0 {
		if w.buf.room() == 0 {
			if err := w.send(); err != nil {
				return n, fmt.Errorf("write blob %s: %w", w.name, err)
			}
		}
		k := min(len(p), w.buf.room())
		w.buf.write(p[:k])
		w.crc = crc32.Update(w.crc, castagnoli, p[:k])
		w.size += int64(k)
		n += k
		p = p[k:]
	}
	w.store.metrics.written.Add(float64(n))
	return n, nil
}

func (w *writer) closed(what string) error {
	return fmt.Errorf("%s blob %s: %w", what, w.name, os.ErrClosed)
}

// send gives the buffer to a goroutine that uploads it as the next part, and waits
// while too many are under way.
func (w *writer) send() error {
	if err := errors.Join(w.ctx.Err(), w.failure()); err != nil {
		return err
	}
	if len(w.parts) == maxParts {
		return fault.New(fault.TooLarge, "TooLarge", "An object has at most %d bytes.", int64(maxSize))
	}
	if err := w.beginMultipart(w.ctx); err != nil {
		return err
	}
	select {
	case w.slots <- struct{}{}:
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
	w.sendPart(w.sendCtx)
	return nil
}

func (w *writer) beginMultipart(ctx context.Context) error {
	if w.multipart != "" {
		return nil
	}
	out, err := w.store.client.CreateMultipartUpload(ctx, w.store.newMultipart(w.name, w.id))
	if err != nil {
		return w.store.explain(err)
	}
	w.multipart = aws.ToString(out.UploadId)
	return nil
}

func (s *Store) newMultipart(name, id string) *awss3.CreateMultipartUploadInput {
	return &awss3.CreateMultipartUploadInput{
		Bucket: &s.config.Bucket, Key: s.key(objectsDir, name), ContentType: ptr(contentType), Metadata: map[string]string{metaUpload: id},
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c, ChecksumType: types.ChecksumTypeFullObject,
	}
}

// sendPart starts the goroutine of the next part, whose slot is taken.
func (w *writer) sendPart(ctx context.Context) {
	w.mu.Lock()
	w.parts = append(w.parts, types.CompletedPart{})
	index := len(w.parts) - 1
	w.mu.Unlock()
	full := w.buf
	w.buf = buffer{}
	w.active.Go(func() {
		part, err := w.uploadPart(ctx, int32(index+1), &full)
		full.release()
		w.mu.Lock()
		w.parts[index] = part
		if w.failed == nil {
			w.failed = err
		}
		w.mu.Unlock()
		<-w.slots
	})
}

func (w *writer) uploadPart(ctx context.Context, number int32, b *buffer) (types.CompletedPart, error) {
	crc := formatCRC(b.crc())
	out, err := w.store.client.UploadPart(ctx, &awss3.UploadPartInput{
		Bucket: &w.store.config.Bucket, Key: w.store.key(objectsDir, w.name), UploadId: &w.multipart, PartNumber: &number,
		Body: b.reader(), ContentLength: ptr(int64(b.size)), ChecksumCRC32C: crc,
	})
	if isMissing(err) {
		return types.CompletedPart{}, fmt.Errorf("%w: the upload of %s was deleted or completed", blob.ErrNotFound, w.name)
	}
	if err != nil {
		return types.CompletedPart{}, w.store.explain(err)
	}
	return types.CompletedPart{PartNumber: &number, ETag: out.ETag, ChecksumCRC32C: out.ChecksumCRC32C}, nil
}

func (w *writer) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

// wait waits for the parts that are under way. If ctx ends, they end too.
func (w *writer) wait(ctx context.Context) error {
	stop := context.AfterFunc(ctx, w.stop)
	defer stop()
	w.active.Wait()
	return errors.Join(ctx.Err(), w.failure())
}

// Suspend implements [blob.Writer].
func (w *writer) Suspend(ctx context.Context) (blob.State, error) {
	if w.done {
		return nil, w.closed("suspend")
	}
	saved, err := w.save(ctx)
	if err != nil {
		w.Rollback()
		return nil, fmt.Errorf("suspend blob %s: %w", w.name, err)
	}
	w.finish()
	return saved, nil
}

func (w *writer) save(ctx context.Context) (blob.State, error) {
	if err := w.wait(ctx); err != nil {
		return nil, err
	}
	st := &state{Name: w.name, Upload: w.id, Multipart: w.multipart, Size: w.size, CRC: w.crc, Parts: len(w.parts)}
	if st.Parts > 0 {
		st.Digest = digestParts(w.parts)
	}
	if w.begun != nil && w.begun.Tail != nil {
		st.Last = w.begun.Tail.Unique
	}
	if err := w.saveTail(ctx, st); err != nil {
		return nil, err
	}
	return formatState(st)
}

// Commit implements [blob.Writer]. If it fails, the state that was resumed stays valid.
func (w *writer) Commit(ctx context.Context) error {
	if w.done {
		return w.closed("commit")
	}
	began := time.Now()
	err := w.wait(ctx)
	if err == nil {
		err = w.complete(ctx)
	}
	if err != nil {
		w.Rollback()
		return fmt.Errorf("commit blob %s: %w", w.name, err)
	}
	w.finish()
	w.dropTails(ctx)
	w.store.metrics.commit.Observe(time.Since(began).Seconds())
	return nil
}

// complete creates the object: by one request if there is only one part.
func (w *writer) complete(ctx context.Context) error {
	create := w.putWhole
	if w.multipart != "" {
		if w.buf.size > 0 {
			w.slots <- struct{}{}
			w.sendPart(ctx)
			w.active.Wait()
			if err := w.failure(); err != nil {
				return err
			}
		}
		create = w.completeMultipart
	}
	for try := 1; ; try++ {
		err := create(ctx)
		switch {
		case err == nil && w.multipart != "":
			return w.confirm(ctx)
		case err == nil:
			return nil
		case isUnknown(err) && !w.store.unconditional.Load():
			w.store.unconditional.Store(true)
		case isRace(err) && try < attempts:
			if err := sleep(ctx, time.Duration(try)*50*time.Millisecond); err != nil {
				return err
			}
		case isTaken(err), isMissing(err), isOverwritten(err), errorCode(err) == "InvalidRequest":
			return w.explainRefusal(ctx, err)
		default:
			return w.store.explain(err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ifNew is the condition that there is no object.
func (s *Store) ifNew() *string {
	if s.unconditional.Load() {
		return nil
	}
	return ptr("*")
}

func (w *writer) putWhole(ctx context.Context) error {
	_, err := w.store.client.PutObject(ctx, &awss3.PutObjectInput{
		Bucket: &w.store.config.Bucket, Key: w.store.key(objectsDir, w.name), Body: w.buf.reader(), ContentLength: ptr(int64(w.buf.size)),
		ContentType: ptr(contentType), Metadata: map[string]string{metaUpload: w.id}, ChecksumCRC32C: formatCRC(w.crc), IfNoneMatch: w.store.ifNew(),
	})
	return err
}

func (w *writer) completeMultipart(ctx context.Context) error {
	_, err := w.store.client.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{
		Bucket: &w.store.config.Bucket, Key: w.store.key(objectsDir, w.name), UploadId: &w.multipart,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: w.parts},
		ChecksumCRC32C:  formatCRC(w.crc), ChecksumType: types.ChecksumTypeFullObject, IfNoneMatch: w.store.ifNew(),
	})
	return err
}

// explainRefusal finds out why an object was not created. The request may have been
// repeated after its first answer was lost: then the object is there, with the name of
// this upload and these bytes, and all is well.
func (w *writer) explainRefusal(ctx context.Context, refused error) error {
	out, err := w.store.head(ctx, w.store.key(objectsDir, w.name))
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return w.explainMissing(ctx, refused)
	case err != nil:
		return err
	case w.isOwn(out):
		return nil
	}
	return fmt.Errorf("%w: %w", blob.ErrInUse, refused)
}

// confirm makes sure that a completed upload is the object. A store may say that it has
// completed an upload while another request for the same upload is being completed or
// was: that of another server, or an earlier try whose answer was lost.
func (w *writer) confirm(ctx context.Context) error {
	for try := 1; ; try++ {
		out, err := w.store.head(ctx, w.store.key(objectsDir, w.name))
		switch {
		case err == nil && w.isOwn(out):
			return nil
		case err == nil:
			return fmt.Errorf("%w: another server completed the upload", blob.ErrInUse)
		case !errors.Is(err, blob.ErrNotFound) || try == 2*attempts:
			return err
		}
		if err := sleep(ctx, time.Duration(try)*50*time.Millisecond); err != nil {
			return err
		}
	}
}

// isOwn reports whether the object is what this writer has written. Another server that
// resumed the same multipart upload has the same name for it, but other bytes.
func (w *writer) isOwn(out *awss3.HeadObjectOutput) bool {
	if out.Metadata[metaUpload] != w.id || *out.ContentLength != w.size {
		return false
	}
	if crc, ok := parseCRC(out.ChecksumCRC32C); ok && out.ChecksumType != types.ChecksumTypeComposite {
		return crc == w.crc
	}
	want := multipartETag(w.parts)
	return w.multipart == "" || want == "" || want == strings.Trim(aws.ToString(out.ETag), `"`)
}

// multipartETag returns the ETag that an object of the parts has, or "" if the ETags are
// not MD5 hashes, as in a bucket that is encrypted with a KMS key.
func multipartETag(parts []types.CompletedPart) string {
	h := md5.New()
	for _, p := range parts {
		b, err := hex.DecodeString(strings.Trim(aws.ToString(p.ETag), `"`))
		if err != nil || len(b) != md5.Size {
			return ""
		}
		h.Write(b)
	}
	return fmt.Sprintf("%x-%d", h.Sum(nil), len(parts))
}

// explainMissing is for an object that does not exist. The upload was deleted, or its
// parts are not this writer's.
func (w *writer) explainMissing(ctx context.Context, refused error) error {
	if w.multipart == "" {
		return w.store.explain(refused)
	}
	out, err := w.store.client.ListParts(ctx, &awss3.ListPartsInput{
		Bucket: &w.store.config.Bucket, Key: w.store.key(objectsDir, w.name), UploadId: &w.multipart, MaxParts: ptr(int32(1)),
	})
	switch {
	case isMissing(err):
		return fmt.Errorf("%w: the upload was deleted: %w", blob.ErrNotFound, refused)
	case err != nil:
		return w.store.explain(err)
	case isOverwritten(refused):
		return fmt.Errorf("%w: another server wrote to the upload: %w", blob.ErrInUse, refused)
	case out.ChecksumType != types.ChecksumTypeFullObject && errorCode(refused) == "InvalidRequest":
		// A part arrived while the upload was deleted. versitygw then has the part and
		// has forgotten what the upload was.
		w.abortMultipart()
		return fmt.Errorf("%w: the upload was deleted: %w", blob.ErrNotFound, refused)
	}
	return w.store.explain(refused)
}

// Rollback implements [blob.Writer].
func (w *writer) Rollback() {
	if w.done {
		return
	}
	w.finish()
	if w.multipart != "" && (w.begun == nil || w.begun.Multipart == "") {
		w.abortMultipart()
	}
}

// Abort implements [blob.Writer].
func (w *writer) Abort() {
	if w.done {
		return
	}
	w.finish()
	if w.multipart != "" {
		w.abortMultipart()
	}
	ctx, cancel := w.cleanupContext()
	defer cancel()
	w.dropTails(ctx)
}

// abortMultipart ends the multipart upload. If this fails, the domain's sweep or Purge
// does it.
func (w *writer) abortMultipart() {
	ctx, cancel := w.cleanupContext()
	defer cancel()
	_ = w.store.abortMultipart(ctx, w.name, w.multipart)
}

func (w *writer) cleanupContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(w.ctx), cleanup)
}

// dropTails deletes the tail object of the state that was resumed.
func (w *writer) dropTails(ctx context.Context) {
	if w.begun != nil && w.begun.Tail != nil {
		w.store.dropTail(ctx, w.name, w.begun.Tail.Unique)
	}
}

// finish ends the goroutines and releases the memory.
func (w *writer) finish() {
	w.done = true
	w.stop()
	w.active.Wait()
	w.buf.release()
}
