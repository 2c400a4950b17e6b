package oci

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/httpheader"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// maxTags bounds the tag parameters of one push, of which OCI distribution-spec,
// "Pushing Manifests", wants at least ten.
const maxTags = 100

// getManifest serves GET and HEAD: the manifest exactly as it was pushed, under
// the media type that it was pushed with, whatever the client accepts.
func (h *Handler) getManifest(w http.ResponseWriter, r *http.Request, t target) error {
	m, err := h.images.Manifest(r.Context(), t.repository, images.Reference{Tag: t.tag, Digest: t.digest})
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

// putManifest stores a manifest (OCI distribution-spec 1.1, "Pushing
// Manifests"), under a tag, or under its digest with any number of tags.
func (h *Handler) putManifest(w http.ResponseWriter, r *http.Request, t target) error {
	tags, err := pushedTags(r, t)
	if err != nil {
		return err
	}
	body, err := readManifest(r)
	if err != nil {
		return err
	}
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
	created(w, path{kind: kindManifest, name: t.name, digest: m.Digest}, m.Digest)
	return nil
}

// deleteManifest deletes a tag, or by digest a manifest with its tags (OCI
// distribution-spec 1.1, "Content Management").
func (h *Handler) deleteManifest(w http.ResponseWriter, r *http.Request, t target) error {
	if err := h.images.DeleteImage(r.Context(), t.repository, images.Reference{Tag: t.tag, Digest: t.digest}); err != nil {
		return err
	}
	accepted(w)
	return nil
}

// pushedTags are the tag of the path, or the tag parameters of a push by digest.
func pushedTags(r *http.Request, t target) ([]string, error) {
	if t.tag != "" {
		return []string{t.tag}, nil
	}
	if r.URL.RawQuery == "" {
		return nil, nil
	}
	tags := r.URL.Query()["tag"]
	if len(tags) > maxTags {
		return nil, fault.New(fault.Invalid, "TooManyTags", "A manifest is pushed with at most %d tags at once, and these are %d.", maxTags, len(tags))
	}
	return tags, nil
}

// mediaType is the request's Content-Type without parameters; empty where there
// is none or it cannot be read, and then the manifest's own mediaType counts.
func mediaType(h http.Header) string {
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

// readManifest reads the body, and of one that is too large as much as shows the
// domain that it is.
func readManifest(r *http.Request) ([]byte, error) {
	const most = images.MaxManifest + 1
	var body bytes.Buffer
	body.Grow(int(min(max(r.ContentLength, 0), most)) + bytes.MinRead)
	if _, err := body.ReadFrom(io.LimitReader(r.Body, most)); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "UploadInterrupted", "The request's body ended before it was complete.")
	}
	return body.Bytes(), nil
}
