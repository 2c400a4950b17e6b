package formats

import (
	"bufio"
	"io"
	"net/http"

	"github.com/klauspost/compress/gzip"

	"github.com/gatehouse-registry/gatehouse/internal/httpheader"
)

// streamBuffer is how much of a streamed document is made before the answer begins, in
// bytes. A failure within it is still answered with an error.
const streamBuffer = 64 << 10

// Stream answers with a document that is too large to be kept: write makes it while it
// is sent, in bounded memory. etag is without quotes; with "" the client cannot
// revalidate. It must change whenever the document does. The error is write's, if
// nothing was sent yet. If write fails later, the connection ends: a client must not
// take the beginning for the whole.
func Stream(w http.ResponseWriter, r *http.Request, contentType, etag string, write func(io.Writer) error) error {
	h := w.Header()
	setDocumentHeader(h)
	if etag != "" {
		form, other := `"`+etag+`"`, `"`+etag+`-gzip"`
		if httpheader.AcceptsGzip(r.Header) {
			form, other = other, form
		}
		if has := formOf(r, form, other); has != "" {
			h.Set("ETag", has)
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		h.Set("ETag", form)
	}
	h.Set("Content-Type", contentType)
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	out := &startedWriter{w: w}
	buffered := bufio.NewWriterSize(out, streamBuffer)
	err := writeCoded(buffered, h, httpheader.AcceptsGzip(r.Header), write)
	if err == nil {
		err = buffered.Flush()
	}
	switch {
	case err == nil:
		return nil
	case out.started:
		panic(http.ErrAbortHandler) // net/http ends the connection
	}
	for _, name := range []string{"ETag", "Content-Encoding", "Vary"} {
		h.Del(name)
	}
	return err
}

// writeCoded writes the document, compressed with gzip if the client takes it.
func writeCoded(w io.Writer, h http.Header, compressed bool, write func(io.Writer) error) error {
	if !compressed {
		return write(w)
	}
	h.Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	if err := write(z); err != nil {
		return err
	}
	return z.Close()
}

// A startedWriter knows whether something was written.
type startedWriter struct {
	w       io.Writer
	started bool
}

func (s *startedWriter) Write(p []byte) (int, error) {
	s.started = true
	return s.w.Write(p)
}
