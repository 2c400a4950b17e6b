// Package blob keeps bytes by object name. It knows no package and no image.
//
// An object's name is chosen by the domain when an upload begins, before its
// content is known: it is the upload's id, never a digest. Which digest an
// object holds is a row in the domain's tables, and that row is the commit
// point. So no rename ever makes an object visible, a crash leaves at most an object that no
// row names, and a sweep over [Store.List] finds those.
//
// The order that makes an acknowledged object safe is always: write, then
// [Writer.Commit] (durable when it returns), then commit the row, then answer.
// Deleting is the reverse: commit the row's removal, then [Store.Delete].
//
// Implementations are in the folders below; blobtest is the conformance suite
// that each of them runs.
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
	// ErrNotFound says that there is no such object, or that it was not
	// committed yet.
	ErrNotFound = errors.New("blob: no such object")
	// ErrInvalidName says that a name breaks the rule of [ValidName].
	ErrInvalidName = errors.New("blob: invalid object name")
	// ErrInUse says that an object of that name exists already, or that another
	// [Writer] of this process has it open.
	ErrInUse = errors.New("blob: the object name is in use")
	// ErrState says that a [State] does not fit what the store holds, so that
	// the upload cannot go on and must be started anew.
	ErrState = errors.New("blob: the upload's saved state does not fit the store")
)

// A State is what a store needs to go on with an upload that [Writer.Suspend]
// left, on this replica or another. It is opaque to the domain, which keeps it
// in the upload's row. It is below 256 KiB.
type State []byte

// A Store keeps immutable objects by name.
type Store interface {
	// Create begins a new object. The object cannot be opened before it is
	// committed. It returns ErrInvalidName for a bad name, and ErrInUse for one
	// that an object has, committed or not.
	Create(ctx context.Context, name string) (Writer, error)
	// Resume goes on with an upload that was suspended: bytes that were written
	// after the last Suspend are dropped. It returns ErrState where the state
	// does not fit, and ErrInUse while another Writer has the upload open.
	Resume(ctx context.Context, name string, state State) (Writer, error)
	// Open opens a committed object. It returns ErrNotFound.
	Open(ctx context.Context, name string) (Object, error)
	// Delete removes an object, committed or not, with whatever an unfinished
	// upload left. That there is none is no error.
	Delete(ctx context.Context, name string) error
	// List yields every object, committed or not, in no order.
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
	// Abort closes the writer and removes the object. After Suspend or Commit
	// it does nothing, so that it can be deferred.
	Abort()
}

// An Object is an open, committed object. Where the bytes are a file, the
// object is one too as far as [http.ServeContent] and the kernel's sendfile are
// concerned: assert to [Filer] and serve the file.
type Object interface {
	io.Reader
	io.Seeker
	io.Closer
	Size() int64
}

// A Filer is an [Object] that is a file of this machine. The file belongs to
// the object and is closed with it.
type Filer interface {
	File() *os.File
}

// A Presigner is a [Store] whose objects can be fetched from elsewhere: a
// client is redirected to the address instead of being served. The address
// works without credentials until it expires.
type Presigner interface {
	Presign(ctx context.Context, name string, expires time.Duration) (string, error)
}

// Info describes an object of a listing.
type Info struct {
	Name     string
	Size     int64
	Modified time.Time
}

// ValidName reports whether name may name an object: 2 to 128 of a-z, 0-9 and
// '-', which every file system and object store takes as it is.
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
