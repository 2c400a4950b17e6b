// Package local stores blobs as files below one folder of this machine.
//
// The folder has 256 shards, named 00 to ff by a hash of the object's name. So no
// directory grows large, and writers of different objects seldom wait for each
// other. All shards are created with the first object. An object is one file:
//
//	3f/NAME.part            the upload is not finished
//	3f/NAME                 it is committed
//	aside/2026-11-30/NAME   it was set aside on that day (UTC)
//
// Bytes are written in place, once. Commit renames the file to its final name,
// then syncs the file and the shard. The rename may come before the sync because
// no row names the object until Commit has returned. A small object therefore
// costs one journal commit of the file system instead of two. A crash before
// that leaves a file that no row names; the domain's sweep finds it with List.
//
// The name, not a permission bit, tells a committed object from an unfinished
// one: backup tools may drop permissions, and ls shows names.
//
// The operations wait for the disk only. They ignore their context, except List.
//
// The folder belongs to one process: the server locks its data folder.
package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/diskspace"
)

const (
	// part is the suffix of an unfinished object's file. Object names have no
	// dot, so it cannot be part of one.
	part = ".part"
	// batch is the number of names that Purge reads at a time.
	batch = 512
)

// A Store is a [blob.Store] in a folder.
type Store struct {
	dir  string
	root *os.Root
	// committed opens committed objects.
	committed *folder
	// prepared is true once all shards exist durably. preparing is held while
	// they are created.
	prepared  atomic.Bool
	preparing sync.Mutex
	// writing holds the names that have an open Writer. Two writers of one file
	// would mix their bytes, and the digest would match neither.
	writing sync.Map
	// reserve is how many bytes of the disk uploads leave free.
	reserve int64
	// scratch says that nothing is synced.
	scratch bool
	small   *smallObjects
	metrics *metrics
}

// An Option changes how a store works.
type Option func(*Store)

// WithReserve sets how many bytes of the disk uploads leave free, so that the
// database and the audit log, which may be on the same disk, can go on. The
// default is a twentieth of the disk, at most 1 GiB.
func WithReserve(bytes int64) Option { return func(s *Store) { s.reserve = bytes } }

// Scratch makes a store that a crash of the machine may damage, such as one that is
// removed at the end. A commit does not wait for the disk, which is nearly all that it
// costs. A crash of the process damages nothing.
func Scratch() Option { return func(s *Store) { s.scratch = true } }

var _ blob.Store = (*Store)(nil)

// Open opens the store in the folder dir, and creates the folder if it does not
// exist. Only the owner can read the files.
func Open(dir string, options ...Option) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("blob store: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("blob store: %w", err)
	}
	committed, err := openFolder(root)
	if err != nil {
		return nil, fmt.Errorf("blob store: %w", errors.Join(err, root.Close()))
	}
	s := &Store{dir: dir, root: root, committed: committed, small: newSmallObjects(), metrics: newMetrics()}
	if space, ok := diskspace.Of(dir); ok {
		s.reserve = int64(space.Reserve())
	}
	for _, o := range options {
		o(s)
	}
	return s, nil
}

// Close releases the folder. Objects and writers that are open can still be read
// and written, but not committed.
func (s *Store) Close() error { return s.committed.close() }

// Create implements [blob.Store].
func (s *Store) Create(_ context.Context, name string) (blob.Writer, error) {
	w, err := s.claim(name)
	if err != nil {
		return nil, err
	}
	if err := w.create(); err != nil {
		w.release()
		return nil, err
	}
	return w, nil
}

// Resume implements [blob.Store].
func (s *Store) Resume(_ context.Context, name string, state blob.State) (blob.Writer, error) {
	offset, ok := parseState(state)
	if !ok {
		return nil, fmt.Errorf("%w: %s", blob.ErrState, name)
	}
	w, err := s.claim(name)
	if err != nil {
		return nil, err
	}
	if err := w.reopen(offset); err != nil {
		w.release()
		return nil, err
	}
	return w, nil
}

// claim returns the only writer of name. The caller must release it.
func (s *Store) claim(name string) (*writer, error) {
	if !blob.ValidName(name) {
		return nil, fmt.Errorf("%w: %q", blob.ErrInvalidName, name)
	}
	if err := s.prepare(name); err != nil {
		return nil, fmt.Errorf("blob store %s: %w", s.dir, err)
	}
	if _, taken := s.writing.LoadOrStore(name, struct{}{}); taken {
		return nil, fmt.Errorf("%w: %s is being written", blob.ErrInUse, name)
	}
	return &writer{store: s, shard: s.shard(name), name: name}, nil
}

// Open implements [blob.Store]. The object is a [blob.Filer] or, if it is small and was
// opened before, a [blob.InMemory].
func (s *Store) Open(_ context.Context, name string) (blob.Object, error) {
	if !blob.ValidName(name) {
		return nil, fmt.Errorf("%w: %q", blob.ErrInvalidName, name)
	}
	where := s.shard(name).path(name)
	if o := s.small.open(s.committed, name, where); o != nil {
		s.metrics.opened.Inc()
		return o, nil
	}
	f, err := s.committed.open(where)
	if errors.Is(err, fs.ErrNotExist) && s.restore(name) {
		f, err = s.committed.open(where)
	}
	if errors.Is(err, fs.ErrNotExist) {
		s.metrics.missing.Inc()
		return nil, fmt.Errorf("%w: %s", blob.ErrNotFound, name)
	}
	if err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	s.metrics.opened.Inc()
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open blob: %w", err)
	}
	if o := s.small.offer(name, f, info); o != nil {
		return o, nil
	}
	return &object{f, info.Size()}, nil
}

// Delete implements [blob.Store]. Objects that are open can still be read.
func (s *Store) Delete(_ context.Context, name string) error {
	if !blob.ValidName(name) {
		return fmt.Errorf("%w: %q", blob.ErrInvalidName, name)
	}
	h := s.shard(name)
	// The unfinished file first. A Commit that renames it before this is undone by
	// the second removal, and a Commit that comes later fails.
	if err := errors.Join(h.remove(name+part), h.remove(name)); err != nil {
		return fmt.Errorf("delete blob: %w", err)
	}
	return nil
}

// List implements [blob.Store]. The order is that of the shards, and of the names in
// each.
func (s *Store) List(ctx context.Context, startAfter string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		first := 0
		if startAfter != "" {
			first = shardOf(startAfter)
		}
		for i := first; i < shards; i++ {
			if !s.listShard(ctx, shardName(byte(i)), startAfter, yield) {
				return
			}
			startAfter = "" // it is of the first shard
		}
	}
}

// listShard yields the objects of one shard whose names are after startAfter, and
// reports whether to go on.
func (s *Store) listShard(ctx context.Context, shard, startAfter string, yield func(blob.Info, error) bool) bool {
	fail := func(err error) bool {
		yield(blob.Info{}, fmt.Errorf("list blobs: %w", err))
		return false
	}
	files, err := s.shardFiles(shard)
	if err != nil {
		return fail(err)
	}
	last := startAfter
	for _, name := range files {
		object := strings.TrimSuffix(name, part)
		if object <= last || !blob.ValidName(object) {
			continue // yielded already, or not an object
		}
		if err := ctx.Err(); err != nil {
			return fail(err)
		}
		file, err := s.root.Lstat(path.Join(shard, name))
		if errors.Is(err, fs.ErrNotExist) && name != object {
			file, err = s.root.Lstat(path.Join(shard, object)) // committed meanwhile
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return fail(err)
		}
		last = object
		if !yield(blob.Info{Name: object, Size: file.Size(), Modified: file.ModTime()}, nil) {
			return false
		}
	}
	return true
}

// shardFiles returns the names of the files of a shard, in the order of the objects'
// names. '.' is between '-' and the digits, so it is not simply that of the files.
func (s *Store) shardFiles(shard string) ([]string, error) {
	dir, err := s.root.Open(shard)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names, err := dir.Readdirnames(-1)
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(strings.Compare(strings.TrimSuffix(a, part), strings.TrimSuffix(b, part)), strings.Compare(a, b))
	})
	return names, errors.Join(err, dir.Close())
}

// object is an open file with its size at the time of opening. A committed file
// does not change.
type object struct {
	file *os.File
	size int64
}

var _ blob.Filer = (*object)(nil)

func (o *object) Read(p []byte) (int, error) { return o.file.Read(p) }

func (o *object) Seek(offset int64, whence int) (int64, error) { return o.file.Seek(offset, whence) }

func (o *object) ReadAt(p []byte, off int64) (int, error) { return o.file.ReadAt(p, off) }

func (o *object) Close() error { return o.file.Close() }

func (o *object) Size() int64 { return o.size }

func (o *object) File() *os.File { return o.file }
