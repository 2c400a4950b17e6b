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

// startUpload serves POST …/blobs/uploads/, in its four forms: a blob mounted
// from another repository (?mount, ?from), a whole blob in the request
// (?digest), and the start of an upload, with the algorithm of the digest to
// come (?digest-algorithm) or without.
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
	accepted(w)
	return nil
}

// mount tries to mount a blob (OCI distribution-spec 1.1, "Mounting a blob from
// another repository"). Where the blob is not to be had the client is to upload
// it: mounted is false, and nothing was written. Without ?from there is nothing
// to mount from: to look for the digest in every repository would let a caller
// probe for, and obtain, what it may not read.
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
	created(w, path{kind: kindBlob, name: t.name, digest: b.Digest}, b.Digest)
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
	created(w, path{kind: kindBlob, name: t.name, digest: b.Digest}, b.Digest)
	return nil
}

// appendUpload serves PATCH: a chunk with its range, or a stream without one.
func (h *Handler) appendUpload(w http.ResponseWriter, r *http.Request, t target) error {
	at, body, err := chunk(r)
	if err != nil {
		return err
	}
	u, err := h.images.AppendUpload(r.Context(), t.repository, t.uploadID, at, body)
	if err != nil {
		h.offsetHeaders(w, r, t, err)
		return err
	}
	uploadHeaders(w, t, u)
	accepted(w)
	return nil
}

// completeUpload serves PUT: the digest, and perhaps the last chunk.
func (h *Handler) completeUpload(w http.ResponseWriter, r *http.Request, t target) error {
	d, err := parseDigest(r.URL.Query().Get("digest"))
	if err != nil {
		return err
	}
	at, body, err := chunk(r)
	if err != nil {
		return err
	}
	if r.ContentLength == 0 {
		body = nil
	}
	b, err := h.images.CompleteUpload(r.Context(), t.repository, t.uploadID, at, body, d)
	if err != nil {
		h.offsetHeaders(w, r, t, err)
		return err
	}
	created(w, path{kind: kindBlob, name: t.name, digest: b.Digest}, b.Digest)
	return nil
}

// uploadStatus serves GET: how far the upload is.
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

// uploadHeaders says where an upload goes on and what was received. Range names
// the last byte, so it cannot say "nothing"; like every registry that has gone
// before, 0-0 stands for that as well as for one byte.
func uploadHeaders(w http.ResponseWriter, t target, u images.Upload) {
	w.Header().Set("Location", path{kind: kindUpload, name: t.name, uploadID: u.ID}.String())
	w.Header().Set("Range", "0-"+strconv.FormatInt(max(u.Size-1, 0), 10))
	w.Header().Set("Docker-Upload-Uuid", u.ID)
}

// offsetHeaders tells a client whose chunk was out of place where to go on. That
// the status cannot be read leaves the headers away and no more.
func (h *Handler) offsetHeaders(w http.ResponseWriter, r *http.Request, t target, err error) {
	if answerOf(fault.From(err)).status != http.StatusRequestedRangeNotSatisfiable {
		return
	}
	if u, err := h.images.UploadStatus(r.Context(), t.repository, t.uploadID); err == nil {
		uploadHeaders(w, t, u)
	}
}

// chunk reads where a request's body belongs in the upload.
func chunk(r *http.Request) (at int64, body io.Reader, err error) {
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
			"The Content-Range %s is of %d bytes, and the Content-Length is %d.", clip(header), length, r.ContentLength)
	}
	return first, &exactReader{r: r.Body, left: length}, nil
}

// parseContentRange reads ^[0-9]+-[0-9]+$ (OCI distribution-spec 1.1, "Pushing a
// blob in chunks"), which is not HTTP's form. That one, "bytes 0-9/*", is taken
// too: clients send it.
func parseContentRange(s string) (first, last int64, err error) {
	spec := strings.TrimPrefix(s, "bytes ")
	spec, _, _ = strings.Cut(spec, "/")
	a, b, ok := strings.Cut(spec, "-")
	first, errFirst := parseOffset(a)
	last, errLast := parseOffset(b)
	if !ok || errFirst != nil || errLast != nil || last < first {
		return 0, 0, fault.New(fault.Invalid, "InvalidContentRange",
			"The Content-Range '%s' is malformed: want the offsets of the first and the last byte, such as 0-1023.", clip(s))
	}
	return first, last, nil
}

// parseOffset reads a decimal number without a sign that is far enough below
// the largest int64 to count with.
func parseOffset(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 62)
	return int64(n), err
}

// exactReader fails where r does not have exactly left more bytes. It never gives
// more than those.
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
