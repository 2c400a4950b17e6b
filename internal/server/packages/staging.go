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

// objectPrefix begins the names of all objects of this store, so its sweep ignores
// the objects of other stores.
const objectPrefix = "package-"

// stagedFor is how long staged content can be published. The sweep waits twice as
// long, so it never deletes content that is being published.
const stagedFor = 24 * time.Hour

// A Staged is content that was received and does not belong to a package yet. It can
// be published once, within a day. It must not be used by several goroutines at once.
type Staged struct {
	// Size is in bytes; the hashes are lower-case hex.
	Size                      int64
	MD5, SHA1, SHA256, SHA512 string

	service *Service
	object  string // empty after it was published or discarded
	at      time.Time
	spool   *spool // has the bytes if the object is not committed yet, or nil
}

// Discard deletes the content unless it was published. It can be deferred.
func (c *Staged) Discard() {
	if c == nil || c.object == "" {
		return
	}
	// If it cannot be deleted now, the sweep deletes it later.
	_ = c.service.blobs.Delete(context.Background(), c.object)
	c.object = ""
}

// Open opens the content, for a handler that reads it before it publishes. The caller
// closes the object. Open fails after the content was published or discarded.
func (c *Staged) Open(ctx context.Context) (blob.Object, error) {
	if c.spool != nil {
		return newSpooledObject(c.spool), nil
	}
	return c.service.blobs.Open(ctx, c.object)
}

// Stage receives the bytes of an asset and hashes them while receiving. Fault
// TooLarge: more than limit bytes. The caller publishes or discards the result. codeartifact:PublishPackageVersion on the package.
func (s *Service) Stage(ctx context.Context, repo RepositoryID, id PackageID, body io.Reader, limit int64) (*Staged, error) {
	if _, err := s.authorizePackage(ctx, publishPackageVersion, repo, id); err != nil {
		return nil, err
	}
	return s.stage(ctx, body, limit)
}

// StageUnnamed is [Service.Stage] for an asset whose package is known only from its
// bytes: NuGet's packages and gems. Publish authorizes the package itself. So that
// strangers cannot fill the store, the caller must be allowed to publish every package
// of the format, or to read from the repository, which AWS asks of those who publish
// NuGet's packages too (CodeArtifact User Guide, "Publish packages to CodeArtifact" of
// NuGet). codeartifact:PublishPackageVersion on all packages of the format, or
// codeartifact:ReadFromRepository on the repository.
func (s *Service) StageUnnamed(ctx context.Context, repo RepositoryID, f Format, body io.Reader, limit int64) (*Staged, error) {
	if err := s.AuthorizedUnnamed(ctx, repo, PackageID{Format: f, Name: "*"}, publishPackageVersion); err != nil {
		return nil, err
	}
	return s.stage(ctx, body, limit)
}

// AuthorizedUnnamed authorizes an action on a package that only the body of the request
// names, as [Service.StageUnnamed] says. all stands for the packages that it can be: its
// name is "*". Handlers ask it before they read such a body. The operation itself is
// authorized again.
func (s *Service) AuthorizedUnnamed(ctx context.Context, repo RepositoryID, all PackageID, action string) error {
	_, err := s.authorizePackage(ctx, action, repo, all)
	if err != nil && fault.From(err).Kind == fault.Denied {
		if _, readErr := s.authorizeRepository(ctx, readFromRepository, repo); readErr == nil {
			return nil
		}
	}
	return err
}

func (s *Service) stage(ctx context.Context, body io.Reader, limit int64) (*Staged, error) {
	c, err := s.receive(ctx, body, limit)
	if err != nil {
		return nil, err
	}
	if err := c.commit(ctx); err != nil {
		c.Discard()
		return nil, err
	}
	return c.Staged, nil
}

// A receivedContent is staged content whose object is not committed yet.
type receivedContent struct {
	*Staged
	writer blob.Writer
}

// receive writes the bytes of an asset and hashes them.
func (s *Service) receive(ctx context.Context, body io.Reader, limit int64) (*receivedContent, error) {
	object := objectPrefix + randid.Text()
	w, err := s.blobs.Create(ctx, object)
	if err != nil {
		return nil, err
	}
	hashes := [...]hash.Hash{md5.New(), sha1.New(), sha256.New(), sha512.New()}
	size, err := io.Copy(io.MultiWriter(w, hashes[0], hashes[1], hashes[2], hashes[3]), &limitedReader{body, limit})
	if err != nil {
		w.Abort()
		return nil, err
	}
	sum := func(i int) string { return hex.EncodeToString(hashes[i].Sum(nil)) }
	c := &Staged{Size: size, MD5: sum(0), SHA1: sum(1), SHA256: sum(2), SHA512: sum(3), service: s, object: object, at: s.now()}
	return &receivedContent{c, w}, nil
}

// commit makes the object durable. It is called once.
func (c *receivedContent) commit(ctx context.Context) error {
	w := c.writer
	c.writer, c.spool = nil, nil
	defer w.Abort() // does nothing after a commit
	if err := w.Commit(ctx); err != nil {
		c.object = ""
		return err
	}
	return nil
}

// Discard deletes the content unless it was published. It can be deferred.
func (c *receivedContent) Discard() {
	if c.writer != nil {
		c.writer.Abort()
		c.writer, c.object = nil, ""
	}
	c.Staged.Discard()
}

// A limitedReader fails with TooLarge if the reader has more than left bytes.
type limitedReader struct {
	r    io.Reader
	left int64
}

func (l *limitedReader) Read(p []byte) (int, error) {
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, fault.New(fault.TooLarge, "TooLarge", "The asset is larger than what is accepted.")
	}
	var known *fault.Error // a handler's own error about what it reads
	if err != nil && !errors.Is(err, io.EOF) && !errors.As(err, &known) {
		err = fault.Wrap(err, fault.Invalid, "Validation", "The body could not be read to its end.")
	}
	return n, err
}
