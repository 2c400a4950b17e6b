// Package blob stores immutable objects of bytes by name. The domain packages
// images and packages decide what an object is.
//
// The domain chooses an object's name when an upload begins, before its content
// is known: a random id, never a digest. A row in the domain's tables says which
// digest an object holds, and committing that row is the commit point. A crash
// before it leaves an object that no row names. The domain's sweep finds such
// objects with [Store.List].
//
// The order that makes an acknowledged object safe is always: write, then
// [Writer.Commit] (durable when it returns), then commit the row, then answer.
// Deleting is the reverse: commit the removal of the row, then [Store.Delete], or
// [Store.SetAside] if no client asked for the deletion.
//
// If the disk is full, errors are faults of kind [fault.StorageFull].
//
// Several servers may share a store, and two of them may write to one upload at the
// same time. A store only ensures that their bytes do not mix: see [Writer]. Which
// of the two counts is decided by the domain's row.
//
// The implementations are in the folders below: local keeps files, s3 uses an
// S3-compatible store. Package blobtest is the conformance suite that each of them
// runs. No package of this tree imports a domain package.
package blob

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"time"
)

// Errors that every implementation returns, wrapped or as they are.
var (
	// ErrNotFound means that there is no such object, or that it is not
	// committed yet.
	ErrNotFound = errors.New("blob: no such object")
	// ErrInvalidName means that a name breaks the rule of [ValidName].
	ErrInvalidName = errors.New("blob: invalid object name")
	// ErrInUse means that the name belongs to another object or another upload, or
	// that another [Writer] has the upload open. A store that cannot see this when an
	// upload begins returns it from [Writer.Commit].
	ErrInUse = errors.New("blob: the object name is in use")
	// ErrState means that a [State] does not match what the store holds. The
	// upload cannot go on; the client has to start a new one.
	ErrState = errors.New("blob: the upload's saved state does not fit the store")
)

// A State is what a store needs to resume an upload after [Writer.Suspend], on
// this server or another. It is opaque to the domain, which stores it in the
// upload's row. It is smaller than [MaxState].
type State []byte

// MaxState is the size that a [State] does not reach, in bytes. The state names what
// was stored and does not list it; it may have a few bytes that were too little to
// store.
const MaxState = 64 << 10

// A Store stores immutable objects by name.
//
// Operations end with the context's error if the context ends, unless they only wait
// for a disk of this machine.
type Store interface {
	// Create begins a new object. The object cannot be opened before it is
	// committed. The writer uses ctx for its Writes, so ctx must live as long as they
	// are needed; see [Writer]. Errors: ErrInvalidName, and ErrInUse if the store sees
	// that the name is taken.
	Create(ctx context.Context, name string) (Writer, error)
	// Resume continues an upload that was suspended, at the server that began it or
	// at another. Bytes that were written after the Suspend are dropped. The writer
	// uses ctx as that of Create does. Errors: ErrState if the state does not match
	// what the store has, which includes an upload that was committed or deleted; and
	// ErrInUse if the store sees that another Writer has the upload open.
	Resume(ctx context.Context, name string, state State) (Writer, error)
	// Open opens a committed object, and restores it first if it was set aside.
	// The object uses ctx for its reads. Errors: ErrNotFound.
	Open(ctx context.Context, name string) (Object, error)
	// Delete removes an object, committed or not, and everything that an
	// unfinished upload left. It returns nil if there is no such object. A Writer
	// that is open meanwhile fails, or it commits an object that no row names.
	Delete(ctx context.Context, name string) error
	// SetAside removes a committed object from the store, and keeps its bytes
	// until Purge. The object is not listed any more. Open restores it, so an
	// object that was set aside by mistake, or while the wrong database was in
	// place, costs nothing. An unfinished upload is deleted. It returns nil if
	// there is no such object. now decides when Purge deletes it.
	SetAside(ctx context.Context, name string, now time.Time) error
	// Purge deletes what was set aside before the given time, and returns how
	// many objects that were. It may keep an object for up to a day longer.
	Purge(ctx context.Context, before time.Time) (int, error)
	// List yields every object, committed or not, each once and in an order of the
	// store's own, which is always the same. startAfter is the name after which it
	// begins, of an object that an earlier listing yielded; "" is the beginning. List
	// ends at the first error. Objects may be deleted while they are listed. Uploads
	// of which the store has nothing yet are not listed.
	List(ctx context.Context, startAfter string) iter.Seq2[Info, error]
}

// A Writer appends to one object. It is used by one goroutine.
//
// Write may use the context of Create or Resume until the writer is closed, also
// after it has returned: a store may send bytes in the background. Once that context
// has ended, Write may fail. Suspend and Commit use their own context for everything
// that is left to do, and do not depend on the first one any more.
//
// Two writers of one upload, on two servers, do not mix their bytes. What is
// committed is what was written by one of them, after what its state says. The other
// one fails when it writes, suspends or commits, or when its state is resumed.
type Writer interface {
	io.Writer
	// Size is the number of bytes that the object has so far.
	Size() int64
	// Suspend makes what was written so far durable, closes the writer and
	// returns the state to resume from. If it fails, it has done what Rollback does.
	// Errors: ErrNotFound if the upload was deleted meanwhile.
	Suspend(ctx context.Context) (State, error)
	// Commit makes the object complete and durable and closes the writer. When
	// it returns nil the object survives a crash. Errors: ErrNotFound if the upload
	// was deleted meanwhile; ErrInUse if an object of the name exists.
	Commit(ctx context.Context) error
	// Rollback closes the writer and drops what was written since the last
	// Suspend, so an earlier state stays valid. If there was no Suspend, it
	// removes the object. It does nothing after Suspend or Commit.
	Rollback()
	// Abort closes the writer and removes the object. It does nothing after
	// Suspend, Rollback or Commit, so it can be deferred.
	Abort()
}

// An Object is an open, committed object. If its bytes are a file, it is also a
// [Filer]: serve the file then, so that the kernel can use sendfile. If they are in
// memory, it is also an [InMemory]. If clients may fetch it from the store, it is also a
// [Presigner].
//
// ReadAt is for parts of an object, such as the directory of an archive. It reads
// ahead if a request costs more than a few bytes. It may be called by several
// goroutines at once; the other methods may not.
type Object interface {
	io.Reader
	io.Seeker
	io.ReaderAt
	io.Closer
	Size() int64
}

// A Filer is an [Object] that is a file of this machine. Closing the object
// closes the file.
type Filer interface {
	File() *os.File
}

// InMemory is an [Object] whose bytes are in memory. They must not be changed.
type InMemory interface {
	Bytes() []byte
}

// A Presigner is an [Object] that clients can fetch from the store itself. A handler
// redirects the client to the address, if its protocol allows that. Anyone who has the
// address can GET the object, whole or in ranges, until it expires; other
// credentials must not be sent along.
type Presigner interface {
	Presign(ctx context.Context, expires time.Duration) (string, error)
}

// Info describes an object of a listing.
type Info struct {
	Name string
	// Size is in bytes. For an unfinished upload it is what the store can tell
	// without another request, at most what was written.
	Size int64
	// Modified is when the object was committed, or when the upload was begun or
	// last written to.
	Modified time.Time
}

// ValidName reports whether name may be an object's name: 2 to 128 characters of
// a-z, 0-9 and '-', which every file system and object store accepts unchanged.
func ValidName(name string) bool {
	if len(name) < 2 || len(name) > 128 {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
