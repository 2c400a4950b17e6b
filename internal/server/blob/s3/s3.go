// Package s3 stores blobs in a bucket of Amazon S3 or of a store that speaks its
// protocol. Several servers may use one store at the same time.
//
// Below its prefix a store has these keys:
//
//	objects/NAME             a committed object
//	tails/NAME!RANDOM        the last bytes of an upload that was suspended
//	aside/2026-11-30/NAME!RANDOM   an object that was set aside on that day (UTC)
//	installation.json        the installation that owns the store: see [Store.Claim]
//
// An object of at most one part is one PutObject. A larger one is a multipart upload
// of the key objects/NAME, which cannot be read before it is completed. All parts
// but the last one have the same size, since some stores demand that. A suspended
// upload has its full parts in the multipart upload, and the rest in a tail object,
// because a part can neither be read nor be continued. A rest of a few KiB is in the
// [blob.State] instead: then a small upload makes no request before its commit.
//
// The state says how many parts there are and has a hash of their ETags. Resume asks
// the store for the list of parts and compares it. Two servers that write to one
// upload can overwrite each other's parts, but each of them completes the upload by
// the ETags of its own parts, so S3 refuses the one whose parts were overwritten.
//
// A completed object is created under the condition that there is none, if the store
// knows such conditions. Its metadata name the upload. So after an answer that was
// lost, the writer can tell its own object from another one. A completed multipart
// upload is looked at once more, because stores answer a repeated or concurrent request
// to complete it with success before it is complete.
//
// Every request has a checksum of its body (SHA-256 in the signature), and every
// object a CRC-32C that the store verifies when the object is completed and that
// reading a whole object verifies again.
//
// Files: client.go makes the client and its limits, writer.go and state.go uploads,
// object.go reads, list.go, aside.go and installation.go the rest, errors.go what the
// store's errors mean.
package s3

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
)

const (
	objectsDir = "objects/"
	tailsDir   = "tails/"
	asideDir   = "aside/"
	// separator is between a name and what makes a key unique. It sorts before
	// every character of a name, so the keys have the order of the names.
	separator = "!"
)

const (
	// partSize is how many bytes each part but the last has. S3 takes 10,000 parts of
	// at least 5 MiB. An upload needs memory for three parts at most.
	partSize = 8 << 20
	maxParts = 10_000
	// maxSize is the largest object, 78 GiB. ECR's largest layer has 52,000 MiB.
	maxSize = partSize * maxParts
	// maxCopy is the largest object that S3 copies by one request.
	maxCopy = 5 << 30
	// copyPart is how many bytes one request copies of a larger one.
	copyPart = 1 << 30
)

// A Store is a [blob.Store] in a bucket.
type Store struct {
	config  Config
	client  *awss3.Client
	presign *awss3.PresignClient // nil if clients are not sent to the store
	metrics *metrics
	maxCopy int64
	// unconditional is true once the store has said that it does not know
	// conditional writes.
	unconditional atomic.Bool
}

var _ blob.Store = (*Store)(nil)

// Open returns the store. It makes no request to it, but may ask for credentials: call
// [Store.Check] and [Store.Claim] before it is used.
func Open(ctx context.Context, c Config) (*Store, error) {
	s := &Store{config: c, metrics: newMetrics(), maxCopy: maxCopy}
	if err := s.connect(ctx); err != nil {
		return nil, fmt.Errorf("blob store %s: %w", c, err)
	}
	return s, nil
}

// Close does nothing: idle connections are closed after a minute.
func (s *Store) Close() error { return nil }

func (s *Store) key(parts ...string) *string {
	k := s.config.Prefix
	for _, p := range parts {
		k += p
	}
	return &k
}

func checkName(name string) error {
	if !blob.ValidName(name) {
		return fmt.Errorf("%w: %q", blob.ErrInvalidName, name)
	}
	return nil
}

// Create implements [blob.Store]. It makes no request: that the name is taken is
// found when the object is committed.
func (s *Store) Create(ctx context.Context, name string) (blob.Writer, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	return newWriter(ctx, s, name), nil
}

// Delete implements [blob.Store]. Unfinished uploads go first: one that is completed
// meanwhile is deleted by the second step, and a later one fails.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	err := errors.Join(s.dropUnfinished(ctx, name), s.deleteKey(ctx, s.key(objectsDir, name)))
	if err != nil {
		return fmt.Errorf("delete blob %s: %w", name, err)
	}
	return nil
}

// deleteKey deletes an object of the bucket. It returns nil if there is none.
func (s *Store) deleteKey(ctx context.Context, key *string) error {
	_, err := s.client.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &s.config.Bucket, Key: key})
	if isMissing(err) {
		return nil
	}
	return s.explain(err)
}

// dropUnfinished ends the unfinished uploads of a name.
func (s *Store) dropUnfinished(ctx context.Context, name string) error {
	for u, err := range s.multiparts(ctx, objectsDir+name, "") {
		if err != nil {
			return err
		}
		if u.name != name {
			break // a longer name
		}
		if err := s.abortMultipart(ctx, name, u.upload); err != nil {
			return err
		}
	}
	for t, err := range s.keys(ctx, tailsDir+name+separator, "") {
		if err != nil {
			return err
		}
		if err := s.deleteKey(ctx, &t.key); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) abortMultipart(ctx context.Context, name, upload string) error {
	_, err := s.client.AbortMultipartUpload(ctx, &awss3.AbortMultipartUploadInput{Bucket: &s.config.Bucket, Key: s.key(objectsDir, name), UploadId: &upload})
	if isMissing(err) {
		return nil
	}
	return s.explain(err)
}

// head describes a key. Errors: ErrNotFound.
func (s *Store) head(ctx context.Context, key *string) (*awss3.HeadObjectOutput, error) {
	out, err := s.client.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: &s.config.Bucket, Key: key, ChecksumMode: types.ChecksumModeEnabled})
	if isMissing(err) {
		return nil, fmt.Errorf("%w: %s", blob.ErrNotFound, *key)
	}
	if err != nil {
		return nil, s.explain(err)
	}
	if out.ContentLength == nil {
		out.ContentLength = aws.Int64(0)
	}
	return out, nil
}

// String is the store's address, for messages.
func (s *Store) String() string { return s.config.String() }
