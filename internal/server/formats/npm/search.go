package npm

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// Bounds of a search.
const (
	defaultSearchSize = 20
	maxSearchSize     = 250 // npm docs, "REGISTRY-API": size
	searchPage        = 1000
	maxSearched       = 50_000 // names that one search examines
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

// search answers the packages whose names contain every word of the query.
func (h *Handler) search(w http.ResponseWriter, r *formats.Request, _ route) error {
	q := r.URL.Query()
	words := strings.Fields(strings.ToLower(q.Get("text")))
	found, total, err := h.searchNames(r, words, queryInt(q, "from", 0, maxSearched), queryInt(q, "size", defaultSearchSize, maxSearchSize))
	if err != nil {
		return err
	}
	results := make([]searchResult, 0, len(found))
	for _, id := range found {
		p, err := h.packages.Package(r.Context(), r.Repository, id)
		if e := fault.From(err); e != nil && e.Kind == fault.NotFound {
			continue // deleted since its name was found
		}
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

// searchNames returns one page of the names that contain every word, and the number
// of such names on all pages.
func (h *Handler) searchNames(r *formats.Request, words []string, from, size int) (found []packages.PackageID, total int, err error) {
	var after packages.PackageID
	for searched := 0; searched < maxSearched; searched += searchPage {
		ids, more, err := h.packages.PackageNames(r.Context(), r.Repository, packages.NPM, after, searchPage)
		if err != nil {
			return nil, 0, err
		}
		for _, id := range ids {
			if !containsAll(strings.ToLower(fullName(id)), words) {
				continue
			}
			if total >= from && len(found) < size {
				found = append(found, id)
			}
			total++
		}
		if !more || len(ids) == 0 {
			break
		}
		after = ids[len(ids)-1]
	}
	return found, total, nil
}

func containsAll(name string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(name, w) {
			return false
		}
	}
	return true
}

func searchEntry(p *packages.Package) searchResult {
	s := searchedPackage{
		Name: fullName(p.ID), Scope: "unscoped", Version: p.Tags["latest"], Date: timestamp(p.Modified),
		Links: map[string]string{}, Maintainers: []struct{}{},
	}
	if p.ID.Namespace != "" {
		s.Scope = p.ID.Namespace
	}
	if about, err := parseObject(p.Attributes); err == nil {
		s.Description, s.Keywords = stringValue(about.get("description")), about.get("keywords")
	}
	return searchResult{Package: s}
}

// queryInt is a number of the query, at most max, or the default if the query does
// not have it.
func queryInt(q url.Values, name string, fallback, max int) int {
	n, err := strconv.Atoi(q.Get(name))
	if err != nil || n < 0 {
		return fallback
	}
	return min(n, max)
}
