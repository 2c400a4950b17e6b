// Package diskspace answers how much room a disk has, and makes a full disk an
// error of its own kind.
//
// Package db, the blob store and the audit log use it. It imports package fault
// and nothing else of this module.
package diskspace

import (
	"errors"
	"io"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// Code is the code of the fault that [Fault] returns.
const Code = "StorageFull"

// Fault returns a fault of kind [fault.StorageFull] with the cause err.
func Fault(err error) error {
	return fault.Wrap(err, fault.StorageFull, Code, "The server's disk is full, so nothing was stored. Ask the server's administrator to free space, then try again.")
}

// IsFull reports whether err is what the operating system, or an earlier call of
// this package, says about a full disk: no space, a quota, or a size limit of
// files.
func IsFull(err error) bool {
	return isFull(err) || fault.Is(err, Code) || errors.Is(err, io.ErrShortWrite)
}

// A Space is the room of a file system in bytes.
type Space struct {
	Free  uint64 // for a process without privileges
	Total uint64
}

// Of returns the room of the file system that holds path. ok is false if the
// system cannot say.
func Of(path string) (s Space, ok bool) { return of(path) }

// Reserve returns how much of a file system uploads should leave free, if nothing
// is configured: a twentieth of it, at most 1 GiB.
func (s Space) Reserve() uint64 { return min(s.Total/20, 1<<30) }
