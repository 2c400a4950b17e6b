package oci

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/httpheader"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// maxTags is the maximum number of tag parameters in one push. OCI
// distribution-spec, "Pushing Manifests", requires at least ten.
const maxTags = 100

// getManifest serves GET and HEAD: the manifest byte for byte as it was pushed, with
// the media type of the push, whatever the client accepts.
func (h *Handler) getManifest(w http.ResponseWriter, r *http.Request, t target) error {
	read := h.images.PullManifest
	if r.Method == http.MethodHead {
		read = h.images.Manifest
	}
	m, err := read(r.Context(), t.repository, images.Reference{Tag: t.tag, Digest: t.digest})
	if err != nil {
		return err
	}
	etag := contentHeaders(w, m.Digest)
	if httpheader.NoneMatch(r.Header, etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	w.Header().Set("Content-Type", m.MediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(m.Body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(m.Body)
	}
	return nil
}

// putManifest stores a manifest under a tag, or under its digest with any number of
// tags (OCI distribution-spec 1.1, "Pushing Manifests").
func (h *Handler) putManifest(w http.ResponseWriter, r *http.Request, t target) error {
	tags, err := pushedTags(r, t)
	if err != nil {
		return err
	}
	body := h.bodies.Reader(r, r.Body, manifestWeight)
	defer body.Release()
	m, err := h.images.PutManifest(r.Context(), t.repository, images.PutManifest{
		Digest:    t.digest,
		Tags:      tags,
		MediaType: mediaType(r.Header),
		Body:      body,
		Existing:  images.AcceptExisting,
	})
	if err != nil {
		return err
	}
	if m.Subject != "" {
		w.Header().Set("OCI-Subject", m.Subject.String())
	}
	if t.tag == "" && len(tags) > 0 {
		w.Header().Set("OCI-Tag", strings.Join(tags, ", "))
	}
	writeCreated(w, path{kind: kindManifest, name: t.name, digest: m.Digest}, m.Digest)
	return nil
}

// deleteManifest deletes a tag, or, if the reference is a digest, a manifest with its
// tags (OCI distribution-spec 1.1, "Content Management").
func (h *Handler) deleteManifest(w http.ResponseWriter, r *http.Request, t target) error {
	if err := h.images.DeleteImage(r.Context(), t.repository, images.Reference{Tag: t.tag, Digest: t.digest}); err != nil {
		return err
	}
	writeAccepted(w)
	return nil
}

// manifestWeight is the memory that a byte of a manifest takes while it is pushed.
const manifestWeight = 4

// pushedTags returns the tag of the path, or the tag parameters of a push by digest.
func pushedTags(r *http.Request, t target) ([]string, error) {
	if t.tag != "" {
		return []string{t.tag}, nil
	}
	if r.URL.RawQuery == "" {
		return nil, nil
	}
	tags := r.URL.Query()["tag"]
	if len(tags) > maxTags {
		return nil, fault.New(fault.Invalid, "TooManyTags", "One push can set at most %d tags; this one has %d.", maxTags, len(tags))
	}
	return tags, nil
}

// mediaType returns the request's Content-Type without parameters. It is empty if the
// header is missing or malformed; then the manifest's own mediaType counts.
func mediaType(h http.Header) string {
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}
