// Package blobhttp sends blobs to the clients of every protocol.
package blobhttp

import (
	"bytes"
	"io"
	"net/http"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
)

// maxBuffered is the size of an object that is read into memory, in bytes. With its
// header it fits into net/http's buffer of 4 KiB, so that both leave in one write:
// the kernel sends a file only after the header.
const maxBuffered = 3 << 10

// Serve answers a GET or HEAD with an object, as [http.ServeContent] does: ranges and
// conditional requests work if the caller has set their headers. The kernel copies a
// large object from its file to the connection if both allow it. w must be the
// server's ResponseWriter or pass its ReadFrom on. The caller closes the object.
func Serve(w http.ResponseWriter, r *http.Request, o blob.Object) {
	if r.Method == http.MethodGet && o.Size() <= maxBuffered {
		content := make([]byte, o.Size())
		if _, err := io.ReadFull(o, content); err == nil {
			http.ServeContent(struct{ http.ResponseWriter }{w}, r, "", time.Time{}, bytes.NewReader(content))
			return
		}
		// What follows reads it again, and ends the connection if that fails too.
	}
	var content io.ReadSeeker = o
	if f, ok := o.(blob.Filer); ok {
		content = f.File()
	}
	http.ServeContent(w, r, "", time.Time{}, content)
}
