package packages

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
)

// objectPrefix begins the names of all objects of this store, so that it
// sweeps none of another's.
const objectPrefix = "package-"

// stagedFor is how long staged content can be published. Sweeping waits twice
// as long, so that it never takes what is just being published.
const stagedFor = 24 * time.Hour

// A Staged is content that was received and belongs to no package yet. It can
// be published for a day, once. It is used by one goroutine.
type Staged struct {
	// Size is in bytes; the hashes are lower-case hex.
	Size                      int64
	MD5, SHA1, SHA256, SHA512 string

	service *Service
	object  string // empty once it was published or discarded
	at      time.Time
}

// Discard removes the content unless it was published. It can be deferred.
func (c *Staged) Discard() {
	if c == nil || c.object == "" {
		return
	}
	// What cannot be deleted now is found by the sweep.
	_ = c.service.blobs.Delete(context.Background(), c.object)
	c.object = ""
}

// Open opens the content, for a door that looks into it before it publishes. The
// caller closes the object. It fails once the content was published or discarded.
func (c *Staged) Open(ctx context.Context) (blob.Object, error) {
	return c.service.blobs.Open(ctx, c.object)
}

// Stage receives the bytes of an asset and hashes them on the way. More than
// limit bytes are the fault TooLarge. The caller publishes or discards what is
// returned. codeartifact:PublishPackageVersion on the package.
func (s *Service) Stage(ctx context.Context, repo RepositoryID, id PackageID, body io.Reader, limit int64) (*Staged, error) {
	if _, err := s.onPackage(ctx, publishPackageVersion, repo, id); err != nil {
		return nil, err
	}
	object := objectPrefix + randid.Text()
	w, err := s.blobs.Create(ctx, object)
	if err != nil {
		return nil, err
	}
	defer w.Abort()
	hashes := [...]hash.Hash{md5.New(), sha1.New(), sha256.New(), sha512.New()}
	size, err := io.Copy(io.MultiWriter(w, hashes[0], hashes[1], hashes[2], hashes[3]), &limited{body, limit})
	if err != nil {
		return nil, err
	}
	if err := w.Commit(ctx); err != nil {
		return nil, err
	}
	sum := func(i int) string { return hex.EncodeToString(hashes[i].Sum(nil)) }
	return &Staged{size, sum(0), sum(1), sum(2), sum(3), s, object, s.now()}, nil
}

// limited fails with TooLarge where the reader has more than left bytes.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, fault.New(fault.TooLarge, "TooLarge", "The asset is larger than what is accepted.")
	}
	var known *fault.Error // the door's own, of what it checks while reading
	if err != nil && !errors.Is(err, io.EOF) && !errors.As(err, &known) {
		err = fault.Wrap(err, fault.Invalid, "Validation", "The body could not be read to its end.")
	}
	return n, err
}
