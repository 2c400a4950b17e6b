package packages

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/diskspace"
)

// maxSpoolMemory is how much of a download is kept in memory, in bytes. What is larger
// goes to a temporary file.
const maxSpoolMemory = 1 << 20

// A spool holds the bytes of a download that is under way, for the clients that wait for
// them. It has one writer and any number of readers, which may be behind it. The bytes are
// in memory first, and then in a file without a name. Nothing of it is part of the store.
type spool struct {
	dir string

	mu     sync.Mutex
	grown  chan struct{} // closed when bytes were added or the spool ended
	memory []byte        // the beginning
	file   *os.File      // what follows, or nil
	size   int64
	ended  bool
	err    error // why it ended; nil if it is complete
	users  int   // the writer and the readers
}

// newSpool returns a spool with one user, the writer. Each user calls release.
func newSpool(dir string) *spool { return &spool{dir: dir, grown: make(chan struct{}), users: 1} }

// Write adds bytes.
func (s *spool) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(p), maxSpoolMemory-len(s.memory))
	s.memory = append(s.memory, p[:n]...)
	if rest := p[n:]; len(rest) > 0 {
		if s.file == nil {
			f, err := os.CreateTemp(s.dir, "download-")
			if err != nil {
				return 0, spoolFault(err)
			}
			// Its name is gone at once, so that nothing is left after a crash.
			if err := os.Remove(f.Name()); err != nil {
				return 0, spoolFault(errors.Join(err, f.Close()))
			}
			s.file = f
		}
		if _, err := s.file.WriteAt(rest, s.size+int64(n)-maxSpoolMemory); err != nil {
			return 0, spoolFault(err)
		}
	}
	s.size += int64(len(p))
	s.wake()
	return len(p), nil
}

// spoolFault is the fault of a temporary file that cannot be written. It is neither the
// registry's nor the client's.
func spoolFault(err error) error {
	if diskspace.IsFull(err) {
		return diskspace.Fault(err)
	}
	return fault.Wrap(err, fault.Internal, "InternalError", "The server cannot write the temporary file of a download. The log of the server says why.")
}

// end says that no more bytes come. err is why the bytes are not complete, or nil.
func (s *spool) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended, s.err = true, err
	s.wake()
}

func (s *spool) wake() {
	close(s.grown)
	s.grown = make(chan struct{})
}

// use adds a user.
func (s *spool) use() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users++
}

func (s *spool) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.users == 0 && s.file != nil {
		_ = s.file.Close() // it has no name any more, and nobody needs its bytes
	}
}

// A spooledObject is what a spool has that has ended. Close releases the spool.
type spooledObject struct {
	*io.SectionReader
	spool  *spool
	closed bool
}

// newSpooledObject returns the bytes of a spool that is complete.
func newSpooledObject(s *spool) *spooledObject {
	s.use()
	return &spooledObject{SectionReader: io.NewSectionReader(spoolReader{s}, 0, s.size), spool: s}
}

// Close implements blob.Object.
func (o *spooledObject) Close() error {
	if !o.closed {
		o.closed = true
		o.spool.release()
	}
	return nil
}

// A spoolReader reads a spool that is complete.
type spoolReader struct{ *spool }

// ReadAt implements io.ReaderAt.
func (r spoolReader) ReadAt(p []byte, offset int64) (n int, err error) {
	for n < len(p) && err == nil {
		var more int
		more, err = r.readAt(context.Background(), p[n:], offset+int64(n), r.size)
		n += more
	}
	return n, err
}

// readAt reads bytes at an offset, at least one, and waits for them. Before the spool has
// ended it gives none after limit. At the end it returns io.EOF, or why the spool ended.
func (s *spool) readAt(ctx context.Context, p []byte, offset, limit int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		s.mu.Lock()
		size, grown, ended, err := s.size, s.grown, s.ended, s.err
		var n int
		var readErr error
		if !ended {
			size = min(size, limit)
		}
		if err == nil && offset < size {
			n, readErr = s.copyAt(p[:min(int64(len(p)), size-offset)], offset)
		}
		s.mu.Unlock()
		switch {
		case err != nil:
			return 0, err
		case n > 0 || readErr != nil:
			return n, readErr
		case ended:
			return 0, io.EOF
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// copyAt copies bytes that are there, perhaps not all of p.
func (s *spool) copyAt(p []byte, offset int64) (int, error) {
	if offset < int64(len(s.memory)) {
		return copy(p, s.memory[offset:]), nil
	}
	n, err := s.file.ReadAt(p, offset-maxSpoolMemory)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}
