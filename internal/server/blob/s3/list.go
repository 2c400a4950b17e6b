package s3

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
)

// An entry is an object of the bucket or a multipart upload.
type entry struct {
	key      string // the whole key
	name     string // the name of the object in it
	upload   string // the id of a multipart upload
	size     int64
	modified time.Time
}

// keys yields the objects of the bucket whose keys begin with the store's prefix and
// begin, in the order of the keys. after is the key, without the store's prefix, after
// which the listing begins.
func (s *Store) keys(ctx context.Context, begin, after string) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		in := &awss3.ListObjectsV2Input{Bucket: &s.config.Bucket, Prefix: s.key(begin)}
		if after != "" {
			in.StartAfter = s.key(after)
		}
		for {
			out, err := s.client.ListObjectsV2(ctx, in)
			if err != nil {
				yield(entry{}, s.explain(err))
				return
			}
			for _, o := range out.Contents {
				key := aws.ToString(o.Key)
				e := entry{key: key, name: nameOf(key), size: aws.ToInt64(o.Size), modified: aws.ToTime(o.LastModified)}
				if !yield(e, nil) {
					return
				}
			}
			if !aws.ToBool(out.IsTruncated) || out.NextContinuationToken == nil {
				return
			}
			in.ContinuationToken = out.NextContinuationToken
		}
	}
}

// multiparts is keys for multipart uploads.
func (s *Store) multiparts(ctx context.Context, begin, after string) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		in := &awss3.ListMultipartUploadsInput{Bucket: &s.config.Bucket, Prefix: s.key(begin)}
		if after != "" {
			in.KeyMarker = s.key(after)
		}
		for {
			out, err := s.client.ListMultipartUploads(ctx, in)
			if err != nil {
				yield(entry{}, s.explain(err))
				return
			}
			for _, u := range out.Uploads {
				key := aws.ToString(u.Key)
				if !yield(entry{key: key, name: nameOf(key), upload: aws.ToString(u.UploadId), modified: aws.ToTime(u.Initiated)}, nil) {
					return
				}
			}
			if !aws.ToBool(out.IsTruncated) || aws.ToString(out.NextKeyMarker) == "" {
				return
			}
			in.KeyMarker, in.UploadIdMarker = out.NextKeyMarker, out.NextUploadIdMarker
		}
	}
}

// nameOf returns the name of the object in a key.
func nameOf(key string) string {
	name, _, _ := strings.Cut(key[strings.LastIndexByte(key, '/')+1:], separator)
	return name
}

// List implements [blob.Store] in the order of the names. It joins three listings,
// each of which has that order.
func (s *Store) List(ctx context.Context, startAfter string) iter.Seq2[blob.Info, error] {
	after := func(dir, end string) string {
		if startAfter == "" {
			return ""
		}
		return dir + startAfter + end
	}
	return func(yield func(blob.Info, error) bool) {
		var heads [3]*head
		for i, entries := range []iter.Seq2[entry, error]{
			s.keys(ctx, objectsDir, after(objectsDir, "")),
			s.multiparts(ctx, objectsDir, after(objectsDir, "")),
			s.keys(ctx, tailsDir, after(tailsDir, separator+"~")),
		} {
			heads[i] = newHead(entries)
			defer heads[i].stop()
		}
		for {
			info, err := nextInfo(heads[:])
			if err != nil {
				yield(blob.Info{}, fmt.Errorf("list blobs: %w", err))
				return
			}
			if info.Name == "" || !yield(info, nil) {
				return
			}
		}
	}
}

// nextInfo describes the object with the lowest name at the heads and moves them beyond
// it. At the end the name is empty. A committed object comes first, and what an
// unfinished upload left beside it does not count.
func nextInfo(heads []*head) (info blob.Info, err error) {
	for _, h := range heads {
		if h.err != nil {
			return info, h.err
		}
		if h.ok && (info.Name == "" || h.entry.name < info.Name) {
			info.Name = h.entry.name
		}
	}
	for i, h := range heads {
		committed := i > 0 && heads[0].last == info.Name
		for h.ok && h.entry.name == info.Name {
			if !committed {
				info.Size += h.entry.size
				if h.entry.modified.After(info.Modified) {
					info.Modified = h.entry.modified
				}
			}
			h.advance()
		}
	}
	return info, nil
}

// A head is the next entry of a listing.
type head struct {
	next  func() (entry, error, bool)
	stop  func()
	entry entry
	err   error
	ok    bool
	last  string // the name of the entry before
}

func newHead(entries iter.Seq2[entry, error]) *head {
	h := new(head)
	h.next, h.stop = iter.Pull2(entries)
	h.advance()
	return h
}

// advance moves to the next entry that belongs to an object.
func (h *head) advance() {
	h.last = h.entry.name
	for {
		h.entry, h.err, h.ok = h.next()
		if !h.ok || h.err != nil || blob.ValidName(h.entry.name) {
			return
		}
	}
}
