package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/go-json-experiment/json"
)

const installationKey = "installation.json"

// format is the version of the keys and states. A store of a later one is refused.
const format = 1

// An Installation is what the store says about who owns it.
type Installation struct {
	// ID is the id of the installation's database.
	ID     string `json:"id"`
	Format int    `json:"format"`
}

// ErrOwned means that the store belongs to another installation.
var ErrOwned = errors.New("the object store belongs to another installation")

// Check makes sure that the store can be used: that the bucket is there, and that
// objects can be listed, written and deleted.
func (s *Store) Check(ctx context.Context) error {
	if err := s.check(ctx); err != nil {
		return fmt.Errorf("blob store: %w", err)
	}
	return nil
}

func (s *Store) check(ctx context.Context) error {
	_, err := s.client.ListObjectsV2(ctx, &awss3.ListObjectsV2Input{Bucket: &s.config.Bucket, Prefix: s.key(""), MaxKeys: ptr(int32(1))})
	if err != nil {
		return s.explain(err)
	}
	_, err = s.client.ListMultipartUploads(ctx, &awss3.ListMultipartUploadsInput{Bucket: &s.config.Bucket, Prefix: s.key(objectsDir), MaxUploads: ptr(int32(1))})
	if err != nil {
		return s.explain(err)
	}
	probe := s.key("probe-", newID())
	if err := s.putSmall(ctx, probe, []byte("written to see whether the store can be written to\n"), nil); err != nil {
		return s.explain(err)
	}
	return s.deleteKey(ctx, probe)
}

func (s *Store) putSmall(ctx context.Context, key *string, b []byte, ifNoneMatch *string) error {
	body := &buffer{}
	body.write(b)
	defer body.release()
	_, err := s.client.PutObject(ctx, &awss3.PutObjectInput{
		Bucket: &s.config.Bucket, Key: key, Body: bytes.NewReader(b), ContentLength: ptr(int64(len(b))), IfNoneMatch: ifNoneMatch, ChecksumCRC32C: formatCRC(body.crc()),
	})
	return err
}

// Installation returns who owns the store. ok is false before the first [Store.Claim].
func (s *Store) Installation(ctx context.Context) (i Installation, ok bool, err error) {
	out, err := s.client.GetObject(ctx, &awss3.GetObjectInput{Bucket: &s.config.Bucket, Key: s.key(installationKey)})
	if isMissing(err) {
		return i, false, nil
	}
	if err != nil {
		return i, false, fmt.Errorf("blob store: %w", s.explain(err))
	}
	defer out.Body.Close()
	b, err := io.ReadAll(io.LimitReader(out.Body, 64<<10))
	if err != nil {
		return i, false, fmt.Errorf("blob store: %w", s.explain(err))
	}
	if err = json.Unmarshal(b, &i); err == nil && i.ID == "" {
		err = errors.New("it has no id")
	}
	if err != nil {
		return i, false, fmt.Errorf("blob store: %s/%s is not what this program writes there: %w", s.config, installationKey, err)
	}
	if i.Format > format {
		return i, false, fmt.Errorf("blob store: %s was written by a later version of this program; use that version", s.config)
	}
	return i, true, nil
}

// Claim records that the store belongs to an installation. It returns ErrOwned if
// another one has it. Servers of one installation may call it at the same time.
func (s *Store) Claim(ctx context.Context, id string) error {
	b, err := json.Marshal(Installation{ID: id, Format: format})
	if err != nil {
		return err
	}
	for try := 1; try <= attempts; try++ {
		if !s.unconditional.Load() {
			err = s.putSmall(ctx, s.key(installationKey), b, s.ifNew())
			s.unconditional.Store(isUnknown(err))
		}
		if s.unconditional.Load() {
			err = s.putUnlessOwned(ctx, b)
		}
		if err != nil && !isTaken(err) && !isRace(err) {
			return fmt.Errorf("blob store: %w", s.explain(err))
		}
		i, ok, err := s.Installation(ctx)
		switch {
		case err != nil:
			return err
		case ok && i.ID != id:
			return fmt.Errorf("%w: %s belongs to %s, and the database is of %s", ErrOwned, s.config, i.ID, id)
		case ok:
			return nil
		}
		if err := sleep(ctx, time.Duration(try)*50*time.Millisecond); err != nil { // another server is claiming it
			return err
		}
	}
	return fmt.Errorf("blob store: %s cannot be claimed, although no installation owns it", s.config)
}

// putUnlessOwned is for stores without conditional writes.
func (s *Store) putUnlessOwned(ctx context.Context, b []byte) error {
	if _, ok, err := s.Installation(ctx); ok || err != nil {
		return err
	}
	return s.putSmall(ctx, s.key(installationKey), b, nil)
}

// IsEmpty reports whether the store has no object, unfinished and set aside ones
// included.
func (s *Store) IsEmpty(ctx context.Context) (bool, error) {
	for _, err := range s.List(ctx, "") {
		return false, err
	}
	for _, err := range s.keys(ctx, asideDir, "") {
		return false, err
	}
	return true, nil
}
