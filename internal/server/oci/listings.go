package oci

import (
	"net/http"
	"net/url"
	"strconv"

	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// maxPage is the maximum length of a page of any listing, and the default.
const maxPage = 1000

type tagList struct {
	Name string   `json:"name"`
	Tags []string `json:"tags"`
}

// listTags lists tags in byte order (OCI distribution-spec 1.1, "Listing Tags").
func (h *Handler) listTags(w http.ResponseWriter, r *http.Request, t target) error {
	query := r.URL.Query()
	n, err := pageSize(query)
	if err != nil {
		return err
	}
	tags, more, err := h.images.Tags(r.Context(), t.repository, query.Get("last"), n)
	if err != nil {
		return err
	}
	linkPage(w, t.path, n, tags, more)
	writeJSON(w, http.StatusOK, "application/json", tagList{t.name, notNull(tags)})
	return nil
}

type repositoryList struct {
	Repositories []string `json:"repositories"`
}

// catalog lists the registry's repositories (Docker Registry HTTP API V2, "Listing
// Repositories"). It is not in the OCI specification, but clients use it.
func (h *Handler) catalog(w http.ResponseWriter, r *http.Request, t target) error {
	query := r.URL.Query()
	n, err := pageSize(query)
	if err != nil {
		return err
	}
	found, more, err := h.images.Repositories(r.Context(), t.repository.Account, t.repository.Region, query.Get("last"), n)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(found))
	for _, repository := range found {
		names = append(names, repository.ID.Name)
	}
	linkPage(w, t.path, n, names, more)
	writeJSON(w, http.StatusOK, "application/json", repositoryList{names})
	return nil
}

// listReferrers lists the manifests that have the digest as their subject, of one
// artifact type or of all (OCI distribution-spec 1.1, "Listing Referrers"). If there
// are none, the list is empty.
func (h *Handler) listReferrers(w http.ResponseWriter, r *http.Request, t target) error {
	query := r.URL.Query()
	artifactType := query.Get("artifactType")
	referrers := images.ReferrersQuery{Subject: t.digest, After: query.Get("last"), Limit: maxPage, MaxBytes: images.MaxManifest}
	if artifactType != "" {
		referrers.ArtifactTypes = []string{artifactType}
	}
	manifests, next, err := h.images.Referrers(r.Context(), t.repository, referrers)
	if err != nil {
		return err
	}
	page := url.Values{"last": {next}}
	if artifactType != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
		page.Set("artifactType", artifactType)
	}
	if next != "" {
		linkNext(w, t.path, page)
	}
	writeJSON(w, http.StatusOK, ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: descriptors(manifests),
	})
	return nil
}

// pageSize returns ?n, at most maxPage.
func pageSize(query url.Values) (int, error) {
	s := query.Get("n")
	if s == "" {
		return maxPage, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fault.New(fault.Invalid, "InvalidPageSize", "The parameter n is '%s': it must be the number of entries of a page, for example 100.", clip(s))
	}
	return int(min(n, maxPage)), nil
}

// linkPage sets the address of the page after this one of n entries. An empty page,
// which ?n=0 asks for, has no next page (OCI distribution-spec 1.1, "Listing Tags").
func linkPage(w http.ResponseWriter, p path, n int, page []string, more bool) {
	if more && len(page) > 0 {
		linkNext(w, p, url.Values{"n": {strconv.Itoa(n)}, "last": {page[len(page)-1]}})
	}
}

// linkNext sets the address of the next page (RFC 8288).
func linkNext(w http.ResponseWriter, p path, query url.Values) {
	w.Header().Set("Link", "<"+p.String()+"?"+query.Encode()+`>; rel="next"`)
}

// notNull returns an empty list for nil, which JSON would write as null.
func notNull[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// descriptors are what a list says about referrers.
func descriptors(list []images.Referrer) []ocispec.Descriptor {
	out := make([]ocispec.Descriptor, len(list))
	for i := range list {
		out[i] = list[i].Descriptor
	}
	return out
}
