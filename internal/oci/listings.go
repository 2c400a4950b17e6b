package oci

import (
	"net/http"
	"net/url"
	"strconv"

	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// maxPage is the length of a page of any listing, where the client does not ask
// for less.
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
	// n=0 asks for nothing, but the repository still has to be there and the
	// caller has to be allowed to list it: hence one tag, which is dropped.
	tags, more, err := h.images.Tags(r.Context(), t.repository, query.Get("last"), max(n, 1))
	if err != nil {
		return err
	}
	switch {
	case n == 0 || tags == nil:
		tags = []string{}
	case more:
		linkNext(w, t.path, nextPage(n, tags[len(tags)-1]))
	}
	writeJSON(w, http.StatusOK, "application/json", tagList{t.name, tags})
	return nil
}

type repositoryList struct {
	Repositories []string `json:"repositories"`
}

// catalog lists the registry's repositories: Docker Registry HTTP API V2,
// "Listing Repositories", which the specification left out and clients use.
func (h *Handler) catalog(w http.ResponseWriter, r *http.Request, t target) error {
	query := r.URL.Query()
	n, err := pageSize(query)
	if err != nil {
		return err
	}
	found, more, err := h.images.Repositories(r.Context(), t.repository.Account, t.repository.Region, query.Get("last"), max(n, 1))
	if err != nil {
		return err
	}
	names := make([]string, 0, len(found))
	for _, repository := range found[:min(n, len(found))] {
		names = append(names, repository.ID.Name)
	}
	if more && n > 0 {
		linkNext(w, t.path, nextPage(n, names[len(names)-1]))
	}
	writeJSON(w, http.StatusOK, "application/json", repositoryList{names})
	return nil
}

// listReferrers lists the manifests that have the digest as their subject (OCI
// distribution-spec 1.1, "Listing Referrers"), of one artifact type or of all. A
// digest that nothing refers to has an empty list.
func (h *Handler) listReferrers(w http.ResponseWriter, r *http.Request, t target) error {
	query := r.URL.Query()
	artifactType := query.Get("artifactType")
	manifests, next, err := h.images.Referrers(r.Context(), t.repository, t.digest, artifactType, query.Get("last"), maxPage)
	if err != nil {
		return err
	}
	if manifests == nil {
		manifests = []ocispec.Descriptor{}
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
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: manifests,
	})
	return nil
}

// pageSize reads ?n: what the client wants, at most maxPage.
func pageSize(query url.Values) (int, error) {
	s := query.Get("n")
	if s == "" {
		return maxPage, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fault.New(fault.Invalid, "InvalidPageSize", "The parameter n is '%s': want the number of entries of a page, such as 100.", clip(s))
	}
	return int(min(n, maxPage)), nil
}

func nextPage(n int, last string) url.Values {
	return url.Values{"n": {strconv.Itoa(n)}, "last": {last}}
}

// linkNext sets the address of the next page (RFC 8288).
func linkNext(w http.ResponseWriter, p path, query url.Values) {
	w.Header().Set("Link", "<"+p.String()+"?"+query.Encode()+`>; rel="next"`)
}
