package npm

import (
	"encoding/json"
	"math"
	"net/http"

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
	Name        string            `json:"name"`
	Scope       string            `json:"scope"`
	Version     string            `json:"version"`
	Description string            `json:"description,omitempty"`
	Keywords    json.RawMessage   `json:"keywords,omitempty"`
	Date        string            `json:"date"`
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
	out, err := json.Marshal(map[string]any{"objects": results, "total": total})
	if err != nil {
		return err
	}
	writeJSON(w, r, http.StatusOK, out)
	return nil
}

func searchEntry(p *packages.Package) searchResult {
	s := searchedPackage{
		Name: packument.FullName(p.ID), Scope: "unscoped", Version: p.Tags["latest"], Date: timestamp(p.Modified),
		Links: map[string]string{}, Maintainers: []struct{}{},
	}
	if p.ID.Namespace != "" {
		s.Scope = p.ID.Namespace
	}
	if about, err := packument.ParseObject(p.Attributes); err == nil {
		s.Description, s.Keywords = packument.StringValue(about.Get("description")), about.Get("keywords")
	}
	return searchResult{Package: s}
}
