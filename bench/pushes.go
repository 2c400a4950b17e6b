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
// is stored. The yardstick takes the same bytes without a network, and does what
// no store that hashes and loses nothing can go without.
func (b *testbed) pushJobs() []job {
	return []job{
		{"push of a layer of 100 MiB", seconds, func(ctx context.Context) (*contest, error) {
			return b.pushContest(ctx, "bench/push-large", 100*mib)
		}},
		{"push of 50 layers of 1 MiB", seconds, func(ctx context.Context) (*contest, error) {
			return b.pushContest(ctx, "bench/push-many", slices.Repeat([]int{mib}, 50)...)
		}},
	}
}

func (b *testbed) pushContest(ctx context.Context, repository string, layers ...int) (*contest, error) {
	r, err := b.registry(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.create(ctx, repository); err != nil {
		return nil, err
	}
	// Every round has layers that no store has seen.
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
	return &contest{
		gatehouse: timed(func(ctx context.Context, i *image) error { return r.push(ctx, repository, rand.Text(), i) }),
		yardsticks: []yardstick{{"hash + write + fsync", timed(func(ctx context.Context, i *image) error {
			return storeFiles(ctx, b.dir, append(i.layers, i.manifest))
		})}},
	}, nil
}

// storeFiles hashes and stores the contents in new files, as many at a time as a
// client pushes, and removes them again.
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

// storeFile writes a new file in pieces, each of which goes to the others too,
// and returns when it would survive a crash.
func storeFile(path string, content []byte, others ...io.Writer) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	// Only Read and Write, so that it goes piece by piece as from a network.
	to := io.MultiWriter(append(others, f)...)
	_, err = io.CopyBuffer(to, struct{ io.Reader }{bytes.NewReader(content)}, make([]byte, 256*kib))
	return errors.Join(err, f.Sync(), f.Close())
}
