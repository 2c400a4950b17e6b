package local

import (
	"bytes"
	"os"
	"sync/atomic"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
)

const (
	// maxSmall is the size of the largest object that is kept in memory, and
	// maxSmallTotal that of all of them, in bytes.
	maxSmall      = 256 << 10
	maxSmallTotal = 64 << 20
	// maxOpenedOnce is how many names are remembered that were opened once.
	maxOpenedOnce = 8192
	smallShards   = 8
	// smallEntry is about what an object takes beside its bytes.
	smallEntry = 256
)

// smallObjects are the bytes of small objects that were opened again and again. To open,
// send and close a file takes several times as long as to send bytes of memory.
//
// They never change what is served. Each time that an object is opened, its file is
// looked at: if it was deleted, set aside or replaced, the bytes in memory do not count. A
// nil *smallObjects keeps nothing.
type smallObjects struct {
	kept *lru.Cache[string, *smallObject]
	// once has the names of objects that were opened a first time. To read all of an
	// object pays if it is opened more often.
	once *lru.Cache[string, struct{}]
	hits atomic.Uint64
}

type smallObject struct {
	content []byte
	file    fileID
}

func newSmallObjects() *smallObjects {
	return &smallObjects{
		kept: lru.New[string](lru.Config[*smallObject]{
			MaxCost: maxSmallTotal, Shards: smallShards,
			Cost: func(o *smallObject) int64 { return int64(len(o.content)) + smallEntry },
		}),
		once: lru.New[string](lru.Config[struct{}]{MaxCost: maxOpenedOnce, Shards: smallShards}),
	}
}

// open returns an object if its bytes are kept and are those of the file at the path. It
// returns nil otherwise.
func (s *smallObjects) open(f *folder, name, path string) blob.Object {
	if s == nil {
		return nil
	}
	have := s.kept.Lookup(name)
	if have.State != lru.Fresh {
		return nil
	}
	if now, err := f.identify(path); err != nil || now != have.Value.file {
		s.kept.Drop(name)
		return nil
	}
	s.hits.Add(1)
	return &memoryObject{bytes.NewReader(have.Value.content), have.Value.content}
}

// offer returns an object with the bytes of a file that was opened, and closes the file,
// if the bytes are to be kept. It returns nil otherwise; then the file is as it was.
func (s *smallObjects) offer(name string, f *os.File, info os.FileInfo) blob.Object {
	if s == nil || info.Size() > maxSmall {
		return nil
	}
	first := s.once.Lookup(name)
	if first.State != lru.Fresh {
		s.once.Store(name, struct{}{}, first)
		return nil
	}
	lookup := s.kept.Lookup(name)
	content := make([]byte, info.Size())
	if n, _ := f.ReadAt(content, 0); n != len(content) {
		return nil // the client sees the failure when it reads
	}
	s.kept.Store(name, &smallObject{content, fileIDOf(info)}, lookup)
	s.once.Drop(name)
	_ = f.Close() // it was only read
	return &memoryObject{bytes.NewReader(content), content}
}

// A memoryObject is a committed object whose bytes are in memory.
type memoryObject struct {
	*bytes.Reader
	content []byte
}

var _ blob.InMemory = (*memoryObject)(nil)

func (o *memoryObject) Bytes() []byte { return o.content }

func (o *memoryObject) Close() error { return nil }
