package s3

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
)

// Open implements [blob.Store] by one request that describes the object. Its bytes are
// asked for when they are read, from the place where reading begins.
func (s *Store) Open(ctx context.Context, name string) (blob.Object, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	out, err := s.head(ctx, s.key(objectsDir, name))
	if errors.Is(err, blob.ErrNotFound) {
		out, err = s.headRestored(ctx, name, err)
	}
	if errors.Is(err, blob.ErrNotFound) {
		s.metrics.missing.Inc()
	}
	if err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	s.metrics.opened.Inc()
	o := &object{store: s, ctx: ctx, key: *s.key(objectsDir, name), etag: out.ETag, size: *out.ContentLength}
	if out.ChecksumType != types.ChecksumTypeComposite {
		o.want, o.checked = parseCRC(out.ChecksumCRC32C)
	}
	if s.presign != nil {
		return &presignedObject{o}, nil
	}
	return o, nil
}

// headRestored is head for an object that is missing: it may have been set aside.
func (s *Store) headRestored(ctx context.Context, name string, missing error) (*awss3.HeadObjectOutput, error) {
	restored, err := s.restore(ctx, name)
	switch {
	case err != nil:
		return nil, err
	case !restored:
		return nil, missing
	}
	return s.head(ctx, s.key(objectsDir, name))
}

func parseCRC(text *string) (crc uint32, ok bool) {
	b, err := base64.StdEncoding.DecodeString(aws.ToString(text))
	if err != nil || len(b) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(b), true
}

// An object is an open object. All its requests have the condition that it has the
// same ETag.
type object struct {
	store *Store
	ctx   context.Context
	key   string
	etag  *string
	size  int64

	at     int64 // where Read continues
	body   io.ReadCloser
	bodyAt int64 // where the body continues
	// crc is that of the first summed bytes, as long as they were read in order. want
	// is that of the whole object if checked is true.
	crc, want uint32
	checked   bool
	summed    int64

	ahead window
}

func (o *object) Size() int64 { return o.size }

// Close implements [io.Closer]. It does not fail: nothing was written.
func (o *object) Close() error {
	o.closeBody()
	return nil
}

func (o *object) closeBody() {
	if o.body != nil {
		o.body.Close()
		o.body = nil
	}
}

func (o *object) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += o.at
	case io.SeekEnd:
		offset += o.size
	}
	if offset < 0 {
		return 0, errors.New("s3: seek before the beginning of an object")
	}
	o.at = offset
	return offset, nil
}

// maxInterruptions is how often in a row a body may end without a byte.
const maxInterruptions = 5

// Read implements [io.Reader]. If the connection ends too early, it goes on with
// another one.
func (o *object) Read(p []byte) (int, error) {
	if o.at >= o.size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	p = p[:min(int64(len(p)), o.size-o.at)]
	for tries := 1; ; tries++ {
		n, err := o.readBody(p)
		if n > 0 {
			return o.sum(p[:n])
		}
		if err := o.ctx.Err(); err != nil {
			return 0, err
		}
		if tries == maxInterruptions || isRefused(err) {
			return 0, fmt.Errorf("read blob: %w", o.store.explain(err))
		}
		o.store.metrics.resumedReads.Inc()
		if err := sleep(o.ctx, time.Duration(tries*tries)*20*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// isRefused reports whether the store answered and asking again does not help.
func isRefused(err error) bool { return statusCode(err) != 0 }

// readBody reads from a body at the right place.
func (o *object) readBody(p []byte) (int, error) {
	if o.body != nil && o.bodyAt != o.at {
		o.closeBody()
	}
	if o.body == nil {
		body, err := o.get(o.at, o.size-o.at)
		if err != nil {
			return 0, err
		}
		o.body, o.bodyAt = body, o.at
	}
	n, err := o.body.Read(p)
	o.bodyAt += int64(n)
	if err != nil {
		o.closeBody()
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// get asks for n bytes at an offset.
func (o *object) get(off, n int64) (io.ReadCloser, error) {
	in := &awss3.GetObjectInput{Bucket: &o.store.config.Bucket, Key: &o.key, IfMatch: o.etag}
	if off > 0 || n < o.size {
		in.Range = ptr(fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	}
	out, err := o.store.client.GetObject(o.ctx, in)
	if isMissing(err) || isTaken(err) {
		return nil, fmt.Errorf("%w: it was deleted or replaced while it was read: %w", blob.ErrNotFound, err)
	}
	if err != nil {
		return nil, err
	}
	if out.ContentLength == nil || *out.ContentLength != n {
		out.Body.Close()
		return nil, fmt.Errorf("the store sends %d bytes instead of %d", aws.ToInt64(out.ContentLength), n)
	}
	return out.Body, nil
}

// sum adds bytes that were read to the checksum. The last bytes of an object whose
// checksum is wrong are an error instead: whoever copies the object finds it short.
func (o *object) sum(p []byte) (int, error) {
	if o.summed == o.at {
		o.crc = crc32.Update(o.crc, castagnoli, p)
		o.summed += int64(len(p))
		if o.checked && o.summed == o.size && o.crc != o.want {
			o.store.metrics.corrupt.Inc()
			return 0, fault.Wrap(fmt.Errorf("%s: %s has the CRC-32C %08x, want %08x", o.store.config, o.key, o.crc, o.want),
				fault.Internal, "BlobCorrupt", "The stored content is damaged.")
		}
	}
	o.at += int64(len(p))
	return len(p), nil
}

const (
	// minWindow is how many bytes ReadAt asks for at least. A request costs about as
	// much time as 1 MiB.
	minWindow = 512 << 10
	maxWindow = 4 << 20
)

// A window has bytes of an object that ReadAt asked for in advance.
type window struct {
	sync.Mutex
	off   int64
	bytes []byte
}

func (w *window) end() int64 { return w.off + int64(len(w.bytes)) }

// ReadAt implements [io.ReaderAt]. Small reads that are near each other, as those of
// an archive's directory, share one request.
func (o *object) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errors.New("s3: an offset before the beginning of an object")
	}
	o.ahead.Lock()
	defer o.ahead.Unlock()
	for n < len(p) {
		at := off + int64(n)
		if at >= o.size {
			return n, io.EOF
		}
		w := &o.ahead
		if at >= w.off && at < w.end() {
			n += copy(p[n:], w.bytes[at-w.off:])
			continue
		}
		if len(p)-n >= maxWindow {
			k := min(int64(len(p)-n), o.size-at)
			if err := o.readRange(p[n:n+int(k)], at); err != nil {
				return n, err
			}
			n += int(k)
			continue
		}
		if err := o.fill(at, len(p)-n); err != nil {
			return n, err
		}
	}
	return n, nil
}

// fill moves the window so that it has the byte at the offset, and more of the needed
// ones if it can. It grows while an object is read in order. Near the end it begins
// earlier, because an archive's directory is read from its end.
func (o *object) fill(at int64, need int) error {
	w := &o.ahead
	size := int64(minWindow)
	if len(w.bytes) > 0 && at == w.end() {
		size = min(2*int64(len(w.bytes)), maxWindow)
	}
	size = min(max(size, int64(need)), o.size)
	begin := min(at, o.size-size)
	bytes := make([]byte, size)
	if err := o.readRange(bytes, begin); err != nil {
		return err
	}
	w.off, w.bytes = begin, bytes
	return nil
}

// readRange reads exactly len(p) bytes at an offset.
func (o *object) readRange(p []byte, off int64) error {
	for tries := 1; ; tries++ {
		n := 0
		body, err := o.get(off, int64(len(p)))
		if err == nil {
			n, err = io.ReadFull(body, p)
			body.Close()
		}
		if err == nil {
			return nil
		}
		if err := o.ctx.Err(); err != nil {
			return err
		}
		if n > 0 {
			off, p, tries = off+int64(n), p[n:], 0
		}
		if tries == maxInterruptions || isRefused(err) {
			return fmt.Errorf("read blob: %w", o.store.explain(err))
		}
		o.store.metrics.resumedReads.Inc()
		if err := sleep(o.ctx, time.Duration(tries*tries)*20*time.Millisecond); err != nil {
			return err
		}
	}
}

// A presignedObject is an object that clients may fetch from the store.
type presignedObject struct{ *object }

var _ blob.Presigner = (*presignedObject)(nil)

// Presign implements [blob.Presigner]. It makes no request.
func (o *presignedObject) Presign(ctx context.Context, expires time.Duration) (string, error) {
	req, err := o.store.presign.PresignGetObject(ctx, &awss3.GetObjectInput{Bucket: &o.store.config.Bucket, Key: &o.key}, awss3.WithPresignExpires(expires))
	if err != nil {
		return "", fmt.Errorf("presign blob: %w", o.store.explain(err))
	}
	return req.URL, nil
}
