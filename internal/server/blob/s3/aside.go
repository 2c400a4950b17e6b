package s3

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
)

const dayForm = time.DateOnly

// SetAside implements [blob.Store]. It copies the object, then deletes the original.
// Each copy has a key of its own. So a server that restores one copy and deletes it
// cannot take away the copy that another server has just made.
func (s *Store) SetAside(ctx context.Context, name string, now time.Time) error {
	if err := checkName(name); err != nil {
		return err
	}
	from := s.key(objectsDir, name)
	err := s.copy(ctx, from, s.key(asideDir, now.UTC().Format(dayForm), "/", name, separator, newID()))
	committed := err == nil
	switch {
	case committed:
		err = errors.Join(s.deleteKey(ctx, from), s.dropUnfinished(ctx, name))
	case errors.Is(err, blob.ErrNotFound):
		err = s.dropUnfinished(ctx, name) // not Delete: another server may just be restoring the object
	}
	if err != nil {
		return fmt.Errorf("set blob aside: %w", err)
	}
	if committed {
		s.metrics.setAside.Inc()
	}
	return nil
}

// restore copies an object that was set aside back, and reports whether there was one.
func (s *Store) restore(ctx context.Context, name string) (bool, error) {
	days, err := s.asideDays(ctx)
	if err != nil {
		return false, err
	}
	for _, day := range slices.Backward(days) {
		for e, err := range s.keys(ctx, asideDir+day+"/"+name+separator, "") {
			if err != nil {
				return false, err
			}
			err := s.copy(ctx, &e.key, s.key(objectsDir, name))
			if errors.Is(err, blob.ErrNotFound) {
				continue // purged, or restored by another server
			}
			if err != nil {
				return false, err
			}
			s.metrics.restored.Inc()
			return true, s.deleteKey(ctx, &e.key)
		}
	}
	return false, nil
}

// asideDays returns the days on which objects were set aside, in order.
func (s *Store) asideDays(ctx context.Context) ([]string, error) {
	var days []string
	in := &awss3.ListObjectsV2Input{Bucket: &s.config.Bucket, Prefix: s.key(asideDir), Delimiter: ptr("/")}
	for {
		out, err := s.client.ListObjectsV2(ctx, in)
		if err != nil {
			return nil, s.explain(err)
		}
		for _, p := range out.CommonPrefixes {
			day := strings.Trim(strings.TrimPrefix(aws.ToString(p.Prefix), *in.Prefix), "/")
			if _, err := time.Parse(dayForm, day); err == nil {
				days = append(days, day)
			}
		}
		if !aws.ToBool(out.IsTruncated) || out.NextContinuationToken == nil {
			slices.Sort(days)
			return days, nil
		}
		in.ContinuationToken = out.NextContinuationToken
	}
}

// copy copies an object of the bucket. Errors: ErrNotFound.
func (s *Store) copy(ctx context.Context, from, to *string) error {
	out, err := s.head(ctx, from)
	if err != nil {
		return err
	}
	source := ptr(s.config.Bucket + "/" + (&url.URL{Path: *from}).EscapedPath())
	if *out.ContentLength > s.maxCopy {
		return s.copyLarge(ctx, source, to, out)
	}
	_, err = s.client.CopyObject(ctx, &awss3.CopyObjectInput{
		Bucket: &s.config.Bucket, Key: to, CopySource: source, CopySourceIfMatch: out.ETag, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c,
	})
	return s.explainCopy(err, from)
}

func (s *Store) explainCopy(err error, from *string) error {
	if isMissing(err) || isTaken(err) {
		return fmt.Errorf("%w: %s", blob.ErrNotFound, *from)
	}
	return s.explain(err)
}

// copyLarge copies an object that is too large for one request. It leaves the checksum
// to the store: versitygw 1.8 gives each part the checksum of the whole object if both
// have the same algorithm.
func (s *Store) copyLarge(ctx context.Context, source, to *string, from *awss3.HeadObjectOutput) (err error) {
	created, err := s.client.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{
		Bucket: &s.config.Bucket, Key: to, ContentType: from.ContentType, Metadata: from.Metadata,
	})
	if err != nil {
		return s.explain(err)
	}
	defer func() {
		if err != nil {
			cleanCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
			defer cancel()
			_, _ = s.client.AbortMultipartUpload(cleanCtx, &awss3.AbortMultipartUploadInput{Bucket: &s.config.Bucket, Key: to, UploadId: created.UploadId})
		}
	}()
	size, step := *from.ContentLength, min(copyPart, s.maxCopy)
	var parts []types.CompletedPart
	for off := int64(0); off < size; off += step {
		number := ptr(int32(len(parts) + 1))
		out, err := s.client.UploadPartCopy(ctx, &awss3.UploadPartCopyInput{
			Bucket: &s.config.Bucket, Key: to, UploadId: created.UploadId, PartNumber: number, CopySource: source, CopySourceIfMatch: from.ETag,
			CopySourceRange: ptr(fmt.Sprintf("bytes=%d-%d", off, min(off+step, size)-1)),
		})
		if err != nil {
			return s.explainCopy(err, source)
		}
		parts = append(parts, types.CompletedPart{PartNumber: number, ETag: out.CopyPartResult.ETag})
	}
	_, err = s.client.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{
		Bucket: &s.config.Bucket, Key: to, UploadId: created.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	return s.explain(err)
}

// Purge implements [blob.Store]. It deletes whole days, and then what uploads left that
// were committed long ago: a server was killed, or an answer was lost.
func (s *Store) Purge(ctx context.Context, before time.Time) (n int, err error) {
	days, err := s.asideDays(ctx)
	if err != nil {
		return 0, fmt.Errorf("purge blobs: %w", err)
	}
	for _, day := range days {
		if began, _ := time.Parse(dayForm, day); began.AddDate(0, 0, 1).After(before) {
			break // objects of this day may have been set aside after before
		}
		for e, err := range s.keys(ctx, asideDir+day+"/", "") {
			if err == nil {
				err = s.deleteKey(ctx, &e.key)
			}
			if err != nil {
				return n, fmt.Errorf("purge blobs: %w", err)
			}
			n++
		}
	}
	if err := s.purgeUploads(ctx, before); err != nil {
		return n, fmt.Errorf("purge blobs: %w", err)
	}
	return n, nil
}

// purgeUploads ends the uploads begun before a time whose object is committed, and
// copies that were never completed. The domain's sweep does it for uploads without an
// object.
func (s *Store) purgeUploads(ctx context.Context, before time.Time) error {
	for u, err := range s.multiparts(ctx, "", "") {
		if err != nil {
			return err
		}
		old := u.modified.Before(before)
		if old && strings.HasPrefix(u.key, *s.key(objectsDir)) {
			if old, err = s.isCommitted(ctx, u.name); err != nil {
				return err
			}
		}
		if !old || !s.owns(u.key) {
			continue
		}
		if _, err := s.client.AbortMultipartUpload(ctx, &awss3.AbortMultipartUploadInput{Bucket: &s.config.Bucket, Key: &u.key, UploadId: &u.upload}); err != nil && !isMissing(err) {
			return s.explain(err)
		}
	}
	for t, err := range s.keys(ctx, tailsDir, "") {
		if err != nil {
			return err
		}
		if !t.modified.Before(before) {
			continue
		}
		committed, err := s.isCommitted(ctx, t.name)
		if err == nil && committed {
			err = s.deleteKey(ctx, &t.key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// owns reports whether a key is one of the store's. With an empty prefix the bucket may
// have others.
func (s *Store) owns(key string) bool {
	return strings.HasPrefix(key, *s.key(objectsDir)) || strings.HasPrefix(key, *s.key(asideDir))
}

func (s *Store) isCommitted(ctx context.Context, name string) (bool, error) {
	_, err := s.head(ctx, s.key(objectsDir, name))
	if errors.Is(err, blob.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
