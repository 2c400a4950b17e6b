package npm

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/npm/packument"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// Bounds of a search.
const (
	defaultSearchSize = 20
	maxSearchSize     = 250 // npm docs, "REGISTRY-API": size
)

// A searchResult is one entry of the answer (npm docs, "REGISTRY-API", search).
type searchResult struct {
	Package searchedPackage `json:"package"`
	// Score is part of the format. Results are ordered by name, so all have the
	// same score.
	Score struct {
		Final float64 `json:"final"`
	} `json:"score"`
	SearchScore float64 `json:"searchScore"`
}

type searchedPackage struct {
	packument.Found
	Scope       string            `json:"scope"`
	Links       map[string]string `json:"links"`
	Maintainers []struct{}        `json:"maintainers"`
}

// search answers the packages whose name, description or keywords contain every word
// of the query.
func (h *Handler) search(w http.ResponseWriter, r *formats.Request, _ route) error {
	q := r.URL.Query()
	page := packages.SearchPage{From: formats.QueryInt(q, "from", 0, math.MaxInt32), Size: formats.QueryInt(q, "size", defaultSearchSize, maxSearchSize)}
	found, total, err := h.Search(r, packages.NPM, q.Get("text"), page, packument.FullName)
	if err != nil {
		return err
	}
	results := []searchResult{}
	for p, err := range found {
		if err != nil {
			return err
		}
		results = append(results, searchEntry(p))
	}
	remote, err := h.SearchRemote(r, packages.RemoteSearch{Text: q.Get("text"), From: page.From, Size: page.Size}, len(results), total, packument.FullName)
	if err != nil {
		return err
	}
	for _, hit := range remote.Hits {
		if slices.ContainsFunc(results, func(r searchResult) bool { return r.Package.Name == packument.FullName(hit.Package) }) {
			continue // found here by its description
		}
		entry, err := remoteEntry(hit)
		if err != nil {
			return err
		}
		results = append(results, entry)
	}
	out, err := json.Marshal(map[string]any{"objects": results, "total": total + remote.Total})
	if err != nil {
		return err
	}
	writeJSON(w, r, http.StatusOK, out)
	return nil
}

func searchEntry(p *packages.Package) searchResult {
	s := searchedPackage{
		Found: packument.Found{Name: packument.FullName(p.ID), Version: p.Tags["latest"], Date: timestamp(p.Modified)},
		Scope: scope(p.ID), Links: map[string]string{}, Maintainers: []struct{}{},
	}
	if about, err := packument.ParseObject(p.Attributes); err == nil {
		s.Description, s.Keywords = packument.StringValue(about.Get("description")), about.Get("keywords")
	}
	return searchResult{Package: s}
}

// remoteEntry is the entry of a package that an upstream found.
func remoteEntry(hit packages.RemoteHit) (searchResult, error) {
	if hit.Admitted != nil {
		return searchEntry(hit.Admitted), nil
	}
	s := searchedPackage{Scope: scope(hit.Package), Links: map[string]string{}, Maintainers: []struct{}{}}
	if err := json.Unmarshal(hit.About, &s.Found); err != nil {
		return searchResult{}, err
	}
	return searchResult{Package: s}, nil
}

func scope(id packages.PackageID) string {
	if id.Namespace == "" {
		return "unscoped"
	}
	return id.Namespace
}
