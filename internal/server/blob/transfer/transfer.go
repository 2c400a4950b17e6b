// Package transfer copies objects from one store to another and verifies their
// digests, several at a time. Backup, restore and migration use it.
package transfer

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
)

// ErrDamaged means that an object does not have the size or the digest that is
// recorded for it.
var ErrDamaged = errors.New("the object is damaged")

// A Source opens objects.
type Source interface {
	Open(ctx context.Context, name string) (blob.Object, error)
}

// IsDamaged reports whether an error of [Copy] or [Verify] is about the one object,
// which is missing or damaged, and not about the store.
func IsDamaged(err error) bool {
	return errors.Is(err, ErrDamaged) || errors.Is(err, blob.ErrNotFound)
}

// Verify reads an object and compares its size and its digests, "sha256:<hex>" and the
// like. See [IsDamaged] for the error.
func Verify(ctx context.Context, from Source, name string, size int64, digests ...string) error {
	return read(ctx, from, name, size, digests, io.Discard)
}

// Copy copies an object durably. It verifies what it copies: if that is damaged,
// nothing is stored. See [IsDamaged] for the error.
func Copy(ctx context.Context, from Source, to blob.Store, name string, size int64, digests ...string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := to.Create(ctx, name)
	if errors.Is(err, blob.ErrInUse) { // what an interrupted copy left
		if err = to.Delete(ctx, name); err == nil {
			w, err = to.Create(ctx, name)
		}
	}
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := read(ctx, from, name, size, digests, w); err != nil {
		return err
	}
	return w.Commit(ctx)
}

// read copies an object to w and verifies it.
func read(ctx context.Context, from Source, name string, size int64, digests []string, w io.Writer) error {
	o, err := from.Open(ctx, name)
	if err != nil {
		return err
	}
	defer o.Close()
	if o.Size() != size {
		return fmt.Errorf("%w: it has %d bytes instead of %d", ErrDamaged, o.Size(), size)
	}
	writers, hashes := []io.Writer{w}, make([]hash.Hash, len(digests))
	for i, d := range digests {
		if hashes[i] = newHash(d); hashes[i] == nil {
			return fmt.Errorf("%w: the recorded digest %q is not one", ErrDamaged, d)
		}
		writers = append(writers, hashes[i])
	}
	n, err := io.CopyBuffer(io.MultiWriter(writers...), &contextReader{ctx, o}, make([]byte, 256<<10))
	if err != nil {
		return err
	}
	if n != size {
		return fmt.Errorf("%w: it has %d bytes instead of %d", ErrDamaged, n, size)
	}
	for i, d := range digests {
		algorithm, want, _ := strings.Cut(d, ":")
		if got := hex.EncodeToString(hashes[i].Sum(nil)); got != want {
			return fmt.Errorf("%w: its %s is %s instead of %s", ErrDamaged, algorithm, got, want)
		}
	}
	return nil
}

// newHash returns the hash of a digest, or nil.
func newHash(digest string) hash.Hash {
	algorithm, _, _ := strings.Cut(digest, ":")
	switch algorithm {
	case "sha256":
		return sha256.New()
	case "sha512":
		return sha512.New()
	case "sha1":
		return sha1.New()
	case "md5":
		return md5.New()
	}
	return nil
}

// A contextReader fails when its context has ended.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// Each calls do for every item of a sequence that yields no error, at most parallel at
// a time. It returns the first error, of the sequence or of do, when all calls have
// ended.
func Each[T any](ctx context.Context, parallel int, items func(yield func(T, error) bool), do func(context.Context, T) error) error {
	group, running := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	var listing error
	for item, err := range items {
		if err != nil {
			listing = err
			break
		}
		if running.Err() != nil {
			break
		}
		group.Go(func() error { return do(running, item) })
	}
	if err := errors.Join(listing, group.Wait()); err != nil {
		return err
	}
	return ctx.Err()
}
