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
// [Store.SetAside] if nobody asked for the deletion.
//
// If the disk is full, errors are faults of kind [fault.StorageFull].
//
// The implementations are in the folders below. Package blobtest is the
// conformance suite that each of them runs. No package of this tree imports a
// domain package.
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
	// ErrInUse means that an object of that name exists already, or that another
	// [Writer] of this process has it open.
	ErrInUse = errors.New("blob: the object name is in use")
	// ErrState means that a [State] does not match what the store holds. The
	// upload cannot go on; the client has to start a new one.
	ErrState = errors.New("blob: the upload's saved state does not fit the store")
)

// A State is what a store needs to resume an upload after [Writer.Suspend], on
// this replica or another. It is opaque to the domain, which stores it in the
// upload's row. It is smaller than 256 KiB.
type State []byte

// A Store stores immutable objects by name.
type Store interface {
	// Create begins a new object. The object cannot be opened before it is
	// committed. Errors: ErrInvalidName, and ErrInUse if an object, committed or
	// not, has the name.
	Create(ctx context.Context, name string) (Writer, error)
	// Resume continues an upload that was suspended. Bytes that were written
	// after the last Suspend are dropped. Errors: ErrState if the state does not
	// match, and ErrInUse while another Writer has the upload open.
	Resume(ctx context.Context, name string, state State) (Writer, error)
	// Open opens a committed object, and restores it first if it was set aside.
	// Errors: ErrNotFound.
	Open(ctx context.Context, name string) (Object, error)
	// Delete removes an object, committed or not, and everything that an
	// unfinished upload left. It returns nil if there is no such object.
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
	// List yields every object, committed or not, in no particular order.
	List(ctx context.Context) iter.Seq2[Info, error]
}

// A Writer appends to one object. It is used by one goroutine.
type Writer interface {
	io.Writer
	// Size is the number of bytes that the object has so far.
	Size() int64
	// Suspend makes what was written so far durable, closes the writer and
	// returns the state to resume from.
	Suspend(ctx context.Context) (State, error)
	// Commit makes the object complete and durable and closes the writer. When
	// it returns nil the object survives a crash.
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
// [Filer]: serve the file then, so that the kernel can use sendfile.
type Object interface {
	io.Reader
	io.Seeker
	io.Closer
	Size() int64
}

// A Filer is an [Object] that is a file of this machine. Closing the object
// closes the file.
type Filer interface {
	File() *os.File
}

// A Presigner is a [Store] from which clients can fetch objects directly: a
// client is redirected to the presigned URL. The URL works without credentials
// until it expires.
type Presigner interface {
	Presign(ctx context.Context, name string, expires time.Duration) (string, error)
}

// Info describes an object of a listing.
type Info struct {
	Name     string
	Size     int64
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
