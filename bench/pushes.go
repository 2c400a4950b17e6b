package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// pushJobs are whole pushes, from the first request to the answer that the image
// is stored. The baseline has no network. It does what every durable store with
// digests must do: hash, write and fsync the same bytes.
func (b *testbed) pushJobs() []job {
	return []job{
		{"push of a layer of 100 MiB", seconds, func(ctx context.Context) (*comparison, error) {
			return b.pushComparison(ctx, "bench/push-large", 100*mib)
		}},
		{"push of 50 layers of 1 MiB", seconds, func(ctx context.Context) (*comparison, error) {
			return b.pushComparison(ctx, "bench/push-many", slices.Repeat([]int{mib}, 50)...)
		}},
	}
}

func (b *testbed) pushComparison(ctx context.Context, repository string, layers ...int) (*comparison, error) {
	r, err := b.registry(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.create(ctx, repository); err != nil {
		return nil, err
	}
	// Each round has new layers.
	timed := func(store func(context.Context, *image) error) measure {
		return func(ctx context.Context) (sample, error) {
			i, err := newImage(layers...)
			if err != nil {
				return sample{}, err
			}
			start := time.Now()
			err = store(ctx, i)
			return sample{Value: time.Since(start).Seconds()}, err
		}
	}
	c := &comparison{
		gatehouse: timed(func(ctx context.Context, i *image) error { return r.push(ctx, repository, rand.Text(), i) }),
		baselines: []baseline{{"hash + write + fsync", timed(func(ctx context.Context, i *image) error {
			return storeFiles(ctx, b.dir, append(i.layers, i.manifest))
		})}},
	}
	if b.stores != nil {
		c.baselines = append(c.baselines, baseline{"PutObject + commit", timed(func(ctx context.Context, i *image) error {
			var all [][]byte
			for _, l := range i.layers {
				all = append(all, l.bytes)
			}
			return b.stores.store(ctx, all...)
		})})
	}
	return c, nil
}

// storeFiles hashes the contents and stores them in new files, as many at a time as
// a client pushes, and removes the files.
func storeFiles(ctx context.Context, parent string, contents []content) (err error) {
	dir, err := os.MkdirTemp(parent, "stored-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(uploads)
	for _, c := range contents {
		g.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			hash := sha256.New()
			if err := storeFile(filepath.Join(dir, c.digest.Encoded()), c.bytes, hash); err != nil {
				return err
			}
			hash.Sum(nil)
			return nil
		})
	}
	return g.Wait()
}

// storeFile writes a new file in pieces and returns when it is durable. Each piece
// is also written to the others.
func storeFile(path string, content []byte, others ...io.Writer) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	// Hide WriteTo, so that the content is copied in pieces, as from a network.
	to := io.MultiWriter(append(others, f)...)
	_, err = io.CopyBuffer(to, struct{ io.Reader }{bytes.NewReader(content)}, make([]byte, 256*kib))
	return errors.Join(err, f.Sync(), f.Close())
}
