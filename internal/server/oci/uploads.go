package oci

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// startUpload serves the four forms of POST …/blobs/uploads/: mounting a blob from
// another repository (?mount, ?from), a whole blob in one request (?digest), and
// starting an upload with or without the algorithm of the digest
// (?digest-algorithm).
func (h *Handler) startUpload(w http.ResponseWriter, r *http.Request, t target) error {
	query := r.URL.Query()
	if query.Has("mount") {
		mounted, err := h.mount(w, r, t, query)
		if mounted || err != nil {
			return err
		}
	} else if query.Has("digest") {
		return h.putBlob(w, r, t, query.Get("digest"))
	}
	u, err := h.images.StartUpload(r.Context(), t.repository, digest.Algorithm(query.Get("digest-algorithm")))
	if err != nil {
		return err
	}
	uploadHeaders(w, t, u)
	writeAccepted(w)
	return nil
}

// mount tries to mount a blob (OCI distribution-spec 1.1, "Mounting a blob from
// another repository"). If it cannot be mounted, mounted is false, nothing was
// written, and the client has to upload the blob. Without ?from nothing is mounted:
// searching all repositories for the digest would give callers blobs that they are
// not allowed to read.
func (h *Handler) mount(w http.ResponseWriter, r *http.Request, t target, query url.Values) (mounted bool, err error) {
	d, err := parseDigest(query.Get("mount"))
	if err != nil {
		return false, err
	}
	from := query.Get("from")
	if checkName(from) != nil {
		return false, nil
	}
	b, err := h.images.MountBlob(r.Context(), t.repository, from, d)
	if fault.Is(err, "BlobNotFound") {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	writeCreated(w, path{kind: kindBlob, name: t.name, digest: b.Digest}, b.Digest)
	return true, nil
}

// putBlob stores a whole blob (OCI distribution-spec 1.1, "Single POST").
func (h *Handler) putBlob(w http.ResponseWriter, r *http.Request, t target, claimed string) error {
	d, err := parseDigest(claimed)
	if err != nil {
		return err
	}
	b, err := h.images.PutBlob(r.Context(), t.repository, d, r.Body)
	if err != nil {
		return err
	}
	writeCreated(w, path{kind: kindBlob, name: t.name, digest: b.Digest}, b.Digest)
	return nil
}

// appendUpload serves PATCH: a chunk with its range, or a stream without one.
func (h *Handler) appendUpload(w http.ResponseWriter, r *http.Request, t target) error {
	offset, body, err := readChunk(r)
	if err != nil {
		return err
	}
	u, err := h.images.AppendUpload(r.Context(), t.repository, t.uploadID, offset, body)
	if err != nil {
		h.offsetHeaders(w, r, t, err)
		return err
	}
	uploadHeaders(w, t, u)
	writeAccepted(w)
	return nil
}

// completeUpload serves PUT: the digest, and perhaps the last chunk.
func (h *Handler) completeUpload(w http.ResponseWriter, r *http.Request, t target) error {
	d, err := parseDigest(r.URL.Query().Get("digest"))
	if err != nil {
		return err
	}
	offset, body, err := readChunk(r)
	if err != nil {
		return err
	}
	if r.ContentLength == 0 {
		body = nil
	}
	b, err := h.images.CompleteUpload(r.Context(), t.repository, t.uploadID, offset, body, d)
	if err != nil {
		h.offsetHeaders(w, r, t, err)
		return err
	}
	writeCreated(w, path{kind: kindBlob, name: t.name, digest: b.Digest}, b.Digest)
	return nil
}

// uploadStatus serves GET: how many bytes have arrived.
func (h *Handler) uploadStatus(w http.ResponseWriter, r *http.Request, t target) error {
	u, err := h.images.UploadStatus(r.Context(), t.repository, t.uploadID)
	if err != nil {
		return err
	}
	uploadHeaders(w, t, u)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// cancelUpload serves DELETE.
func (h *Handler) cancelUpload(w http.ResponseWriter, r *http.Request, t target) error {
	if err := h.images.CancelUpload(r.Context(), t.repository, t.uploadID); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// uploadHeaders sets the headers that say where to continue an upload and what has
// arrived. Range names the last byte, so it cannot express "nothing": as in other
// registries, 0-0 means both nothing and one byte.
func uploadHeaders(w http.ResponseWriter, t target, u images.Upload) {
	w.Header().Set("Location", path{kind: kindUpload, name: t.name, uploadID: u.ID}.String())
	w.Header().Set("Range", "0-"+strconv.FormatInt(max(u.Size-1, 0), 10))
	w.Header().Set("Docker-Upload-Uuid", u.ID)
}

// offsetHeaders tells a client whose chunk had the wrong offset where to continue. If
// the status cannot be read, the answer goes without these headers.
func (h *Handler) offsetHeaders(w http.ResponseWriter, r *http.Request, t target, err error) {
	if codeOf(fault.From(err)).status != http.StatusRequestedRangeNotSatisfiable {
		return
	}
	if u, err := h.images.UploadStatus(r.Context(), t.repository, t.uploadID); err == nil {
		uploadHeaders(w, t, u)
	}
}

// readChunk returns a request's body and its offset in the upload.
func readChunk(r *http.Request) (offset int64, body io.Reader, err error) {
	header := r.Header.Get("Content-Range")
	if header == "" {
		return images.AnyOffset, r.Body, nil
	}
	first, last, err := parseContentRange(header)
	if err != nil {
		return 0, nil, err
	}
	length := last - first + 1
	if r.ContentLength >= 0 && r.ContentLength != length {
		return 0, nil, fault.New(fault.Invalid, "InvalidSize",
			"The Content-Range %s means %d bytes, but the Content-Length is %d.", clip(header), length, r.ContentLength)
	}
	return first, &exactReader{r: r.Body, left: length}, nil
}

// parseContentRange parses ^[0-9]+-[0-9]+$ (OCI distribution-spec 1.1, "Pushing a blob
// in chunks"), and HTTP's own form, "bytes 0-9/*", which some clients send.
func parseContentRange(s string) (first, last int64, err error) {
	spec := strings.TrimPrefix(s, "bytes ")
	spec, _, _ = strings.Cut(spec, "/")
	a, b, ok := strings.Cut(spec, "-")
	first, errFirst := parseOffset(a)
	last, errLast := parseOffset(b)
	if !ok || errFirst != nil || errLast != nil || last < first {
		return 0, 0, fault.New(fault.Invalid, "InvalidContentRange",
			"The Content-Range '%s' is malformed: it must be the offsets of the first and the last byte, for example 0-1023.", clip(s))
	}
	return first, last, nil
}

// parseOffset parses a decimal number without a sign. Its maximum is far enough below
// the largest int64 to avoid overflows.
func parseOffset(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 62)
	return int64(n), err
}

// exactReader fails if r does not have exactly left more bytes. It never returns more
// than these.
type exactReader struct {
	r    io.Reader
	left int64
}

func (e *exactReader) Read(p []byte) (int, error) {
	if e.left == 0 {
		n, err := e.r.Read(make([]byte, 1))
		if n > 0 {
			return 0, errInvalidSize()
		}
		return 0, err
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	if err == io.EOF && e.left > 0 {
		err = errInvalidSize()
	}
	return n, err
}

func errInvalidSize() error {
	return fault.New(fault.Invalid, "InvalidSize", "The body does not have as many bytes as its Content-Range says.")
}
