package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

const shards = 256

// A shard is one of the folders that contain objects. It has no handle of its folder:
// 256 of them were a quarter of the descriptors that many systems give a process.
type shard struct {
	root *os.Root
	name string
}

// shard returns the shard of an object.
func (s *Store) shard(object string) shard { return shard{s.root, shardName(byte(shardOf(object)))} }

// shardOf returns the number of an object's shard. FNV-1a spreads names well even if
// they begin alike.
func shardOf(object string) int {
	h := uint32(2166136261)
	for i := range len(object) {
		h = (h ^ uint32(object[i])) * 16777619
	}
	return int(byte(h>>24 ^ h>>16 ^ h>>8 ^ h))
}

func shardName(n byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[n>>4], digits[n&15]})
}

// path is the path of a file of the shard below the store's folder.
func (h shard) path(file string) string { return h.name + "/" + file }

func (h shard) openFile(file string, flag int, mode fs.FileMode) (*os.File, error) {
	return h.root.OpenFile(h.path(file), flag, mode)
}

func (h shard) exists(file string) error {
	_, err := h.root.Lstat(h.path(file))
	return err
}

func (h shard) rename(from, to string) error { return h.root.Rename(h.path(from), h.path(to)) }

// remove removes a file. It returns nil if there is none. The removal is not
// synced: a file that comes back after a crash is an object that no row names.
func (h shard) remove(file string) error {
	if err := h.root.Remove(h.path(file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// sync makes the names in the shard durable.
func (h shard) sync() error { return syncFolder(h.root, h.name) }

// prepare creates the shards that are missing and makes the names of all shards
// durable. The first writer of every process does this, since an earlier process
// may have been killed between the two steps. A scratch store, which is often used for
// few objects, gets the shard of the one object.
func (s *Store) prepare(object string) error {
	if s.scratch {
		return ignore(s.root.Mkdir(s.shard(object).name, 0o700), fs.ErrExist)
	}
	if s.prepared.Load() {
		return nil
	}
	s.preparing.Lock()
	defer s.preparing.Unlock()
	if s.prepared.Load() {
		return nil
	}
	for i := range shards {
		if err := s.root.Mkdir(shardName(byte(i)), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	parent, err := os.OpenRoot(filepath.Dir(filepath.Clean(s.dir)))
	if err != nil {
		return err
	}
	if err := errors.Join(syncFolder(s.root, "."), syncFolder(parent, "."), parent.Close()); err != nil {
		return err
	}
	s.prepared.Store(true)
	return nil
}

// syncFolder makes the names in a folder durable.
func syncFolder(r *os.Root, name string) error {
	d, err := r.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
