// Package blobhttp sends blobs to the clients of every protocol.
package blobhttp

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/respwriter"
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
	if wantsAll(r) && w.Header().Get("Content-Type") != "" && serveAll(w, r, o) {
		return
	}
	var content io.ReadSeeker = o
	if f, ok := o.(blob.Filer); ok {
		content = f.File()
	}
	http.ServeContent(w, r, "", time.Time{}, content)
}

// conditions are the header fields by which a client asks for less than everything.
var conditions = []string{"Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"}

// wantsAll reports whether the answer is 200 with the whole object.
func wantsAll(r *http.Request) bool {
	return r.Method == http.MethodGet && !slices.ContainsFunc(conditions, func(name string) bool { return len(r.Header[name]) > 0 })
}

// serveAll answers with the whole of an object in memory or in a file, as
// [http.ServeContent] does with more system calls. It reports whether the object is such.
func serveAll(w http.ResponseWriter, r *http.Request, o blob.Object) bool {
	inMemory, isInMemory := o.(blob.InMemory)
	file, isFile := o.(blob.Filer)
	if !isInMemory && !isFile {
		return false
	}
	h := w.Header()
	h["Accept-Ranges"] = []string{"bytes"}
	h["Content-Length"] = []string{strconv.FormatInt(o.Size(), 10)}
	w.WriteHeader(http.StatusOK)
	if isInMemory {
		_ = respwriter.WriteWhole(w, r, inMemory.Bytes()) // the client is gone
		return true
	}
	_, _ = io.CopyN(w, file.File(), o.Size()) // net/http ends the connection if something is missing
	return true
}
