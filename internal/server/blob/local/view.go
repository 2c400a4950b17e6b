package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
)

// A View reads the store of a folder, and changes nothing in it. So it can be used
// while a server, in this or another process, serves from the folder: to make a backup
// or to verify it.
type View struct{ store *Store }

// OpenView opens the store in the folder dir for reading. The folder must exist.
func OpenView(dir string) (*View, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("blob store: %w", err)
	}
	return &View{&Store{dir: dir, root: root, metrics: newMetrics()}}, nil
}

// Close releases the folder.
func (v *View) Close() error { return v.store.root.Close() }

// Open opens a committed object. Unlike [Store.Open] it does not restore an object that
// was set aside, but reads it where it is. Errors: [blob.ErrNotFound].
func (v *View) Open(_ context.Context, name string) (blob.Object, error) {
	f, _, err := v.open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &object{f, info.Size()}, nil
}

// IsAside reports whether an object was set aside. Errors: [blob.ErrNotFound].
func (v *View) IsAside(name string) (bool, error) {
	f, where, err := v.open(name)
	if err != nil {
		return false, err
	}
	return path.Dir(path.Dir(where)) == asideDir, f.Close()
}

// open opens the file of an object, and returns its path below the store's folder.
func (v *View) open(name string) (f *os.File, where string, err error) {
	if !blob.ValidName(name) {
		return nil, "", fmt.Errorf("%w: %q", blob.ErrInvalidName, name)
	}
	place := v.store.shard(name).path(name)
	if f, err = v.store.root.Open(place); !errors.Is(err, fs.ErrNotExist) {
		return f, place, orOpenError(err)
	}
	days, err := v.store.asideDays()
	if err != nil {
		return nil, "", orOpenError(err)
	}
	places := []string{place} // the last one, since it may be restored meanwhile
	for _, day := range days {
		places = append(places, path.Join(asideDir, day, name))
	}
	for _, place := range slices.Backward(places) {
		if f, err = v.store.root.Open(place); !errors.Is(err, fs.ErrNotExist) {
			return f, place, orOpenError(err)
		}
	}
	return nil, "", fmt.Errorf("%w: %s", blob.ErrNotFound, name)
}

func orOpenError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("open blob: %w", err)
}

// List yields every object, as [Store.List] does.
func (v *View) List(ctx context.Context, startAfter string) iter.Seq2[blob.Info, error] {
	return v.store.List(ctx, startAfter)
}

// errNoLink means that a file cannot be linked: it is on another file system, or the
// file system has no links.
var errNoLink = errors.New("the file cannot be linked")

// cloning is the suffix of a file that is not cloned yet. It is not an object's name.
const cloning = ".clone"

// Link makes an object of another store an object of this one without copying its
// bytes: by a clone of the file, which shares blocks until one of the two is changed,
// or else by a hard link. It reports whether it could. Objects never change, so a hard
// link is as good as a copy against everything except damage of the disk.
//
// The name of the object is durable after [Store.Sync].
func (s *Store) Link(_ context.Context, from *View, name string) (bool, error) {
	return s.adopt(from, name, linkFile)
}

// Clone is [Store.Link] without hard links: what happens to one of the two files does
// not happen to the other.
func (s *Store) Clone(_ context.Context, from *View, name string) (bool, error) {
	return s.adopt(from, name, cloneFile)
}

func (s *Store) adopt(from *View, name string, link func(source *os.File, sourcePath, target string) error) (bool, error) {
	if err := s.prepare(name); err != nil {
		return false, fmt.Errorf("blob store %s: %w", s.dir, err)
	}
	f, where, err := from.open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	target := filepath.Join(s.dir, filepath.FromSlash(s.shard(name).path(name)))
	err = link(f, filepath.Join(from.store.dir, filepath.FromSlash(where)), target)
	switch {
	case err == nil, errors.Is(err, fs.ErrExist):
		return true, nil
	case errors.Is(err, errNoLink), errors.Is(err, fs.ErrNotExist): // it may have been moved meanwhile
		return false, nil
	}
	return false, fmt.Errorf("link blob: %w", fullDisk(err))
}

// linkFile clones a file, or makes a hard link to it.
func linkFile(source *os.File, sourcePath, target string) error {
	if err := cloneFile(source, sourcePath, target); !errors.Is(err, errNoLink) {
		return err
	}
	err := os.Link(sourcePath, target)
	if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", errNoLink, err)
	}
	return err
}

// Sync makes the names of all objects durable.
func (s *Store) Sync() error {
	for i := range shards {
		if err := syncFolder(s.root, shardName(byte(i))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sync blobs: %w", err)
		}
	}
	return nil
}
