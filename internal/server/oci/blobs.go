package oci

import (
	"net/http"
	"strconv"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobhttp"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// getBlob serves a blob, whole or in ranges (OCI distribution-spec 1.1, "Pulling
// blobs"). If clients can fetch it from the blob store, it redirects there, as ECR does.
func (h *Handler) getBlob(w http.ResponseWriter, r *http.Request, t target) error {
	b, object, err := h.images.OpenBlob(r.Context(), t.repository, t.digest)
	if err != nil {
		return err
	}
	presigner, ok := object.(blob.Presigner)
	if !ok {
		serveBlob(w, r, b, object)
		return nil
	}
	defer func() { _ = object.Close() }() // it was not read
	address, err := presigner.Presign(r.Context(), layerURLLifetime)
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Location", address)
	header.Set("Docker-Content-Digest", t.digest.String())
	header.Set("Cache-Control", "no-store") // the address expires
	header.Set("Content-Length", "0")
	w.WriteHeader(http.StatusTemporaryRedirect)
	return nil
}

// serveBlob sends an open blob and closes it.
func serveBlob(w http.ResponseWriter, r *http.Request, b images.Blob, object blob.Object) {
	defer func() { _ = object.Close() }() // it was only read
	contentHeaders(w, b.Digest)
	w.Header().Set("Content-Type", "application/octet-stream")
	blobhttp.Serve(w, r, object)
}

// headBlob describes a blob (OCI distribution-spec 1.1, "Checking if content
// exists in the registry").
func (h *Handler) headBlob(w http.ResponseWriter, r *http.Request, t target) error {
	b, err := h.images.BlobInfo(r.Context(), t.repository, t.digest)
	if err != nil {
		return err
	}
	contentHeaders(w, b.Digest)
	w.Header().Set("Accept-Ranges", "bytes")
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(b.Size, 10))
	w.WriteHeader(http.StatusOK)
	return nil
}

// deleteBlob removes a blob from the repository (OCI distribution-spec 1.1, "Deleting
// Blobs").
func (h *Handler) deleteBlob(w http.ResponseWriter, r *http.Request, t target) error {
	if err := h.images.DeleteBlob(r.Context(), t.repository, t.digest); err != nil {
		return err
	}
	writeAccepted(w)
	return nil
}
