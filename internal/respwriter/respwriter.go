// Package respwriter records what a handler answers, for logs, metrics and audit
// records.
package respwriter

import (
	"io"
	"net/http"
)

// A Recorder is a ResponseWriter that remembers the status and the size of the
// answer. It passes ReadFrom on, so that the kernel can still send a file, and
// [http.ResponseController] finds the writer below it.
//
// A Recorder is used by one goroutine at a time, as a ResponseWriter is.
type Recorder struct {
	http.ResponseWriter
	// Status is the status of the answer: 0 until the handler has answered.
	// Informational statuses (1xx) are not recorded.
	Status int
	// Bytes is the size of the body so far.
	Bytes int64
}

// WriteHeader implements http.ResponseWriter.
func (r *Recorder) WriteHeader(status int) {
	if r.Status == 0 && status >= 200 {
		r.Status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *Recorder) Write(p []byte) (int, error) {
	r.implicitStatus()
	n, err := r.ResponseWriter.Write(p)
	r.Bytes += int64(n)
	return n, err
}

// ReadFrom implements io.ReaderFrom, which is what io.Copy looks for.
func (r *Recorder) ReadFrom(src io.Reader) (int64, error) {
	r.implicitStatus()
	n, err := io.Copy(r.ResponseWriter, src)
	r.Bytes += n
	return n, err
}

// Unwrap is what [http.ResponseController] looks for.
func (r *Recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// implicitStatus records the status that net/http sends if a handler writes
// without having set one.
func (r *Recorder) implicitStatus() {
	if r.Status == 0 {
		r.Status = http.StatusOK
	}
}
