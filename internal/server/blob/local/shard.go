package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

const shards = 256

// A shard is one of the folders that contain objects. It is opened when it is
// first used, and stays open.
type shard struct {
	name string
	root atomic.Pointer[os.Root] // nil until the first use

	mu     sync.Mutex // of opening and closing
	closed bool
}

// shard returns the shard of an object. FNV-1a spreads names well even if they
// begin alike.
func (s *Store) shard(name string) *shard {
	h := uint32(2166136261)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return &s.shards[byte(h>>24^h>>16^h>>8^h)]
}

func shardName(n byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[n>>4], digits[n&15]})
}

// open returns the folder. The error is fs.ErrNotExist if no object was ever
// written.
func (h *shard) open(s *Store) (*os.Root, error) {
	if r := h.root.Load(); r != nil {
		return r, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.root.Load(); r != nil {
		return r, nil
	}
	if h.closed {
		return nil, os.ErrClosed
	}
	r, err := s.root.OpenRoot(h.name)
	if err == nil {
		h.root.Store(r)
	}
	return r, err
}

func (h *shard) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if r := h.root.Load(); r != nil {
		return r.Close()
	}
	return nil
}

// prepare creates the shards that are missing and makes the names of all shards
// durable. The first writer of every process does this, since an earlier process
// may have been killed between the two steps.
func (s *Store) prepare() error {
	if s.prepared.Load() {
		return nil
	}
	s.preparing.Lock()
	defer s.preparing.Unlock()
	if s.prepared.Load() {
		return nil
	}
	for i := range s.shards {
		if err := s.root.Mkdir(s.shards[i].name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	parent, err := os.OpenRoot(filepath.Dir(filepath.Clean(s.dir)))
	if err != nil {
		return err
	}
	if err := errors.Join(syncFolder(s.root), syncFolder(parent), parent.Close()); err != nil {
		return err
	}
	s.prepared.Store(true)
	return nil
}

// syncFolder makes the names in a folder durable.
func syncFolder(r *os.Root) error {
	d, err := r.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
