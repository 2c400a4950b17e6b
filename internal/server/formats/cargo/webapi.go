package cargo

import (
	"math"
	"net/http"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/cargo/stored"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// Bounds of a search (The Cargo Book, "Registry Web API", "Search").
const (
	defaultFound = 10
	maxFound     = 100
)

// A foundCrate is a crate in the answer to a search, as cargo prints it.
type foundCrate struct {
	Name        string `json:"name"`
	MaxVersion  string `json:"max_version"`
	Description string `json:"description"`
}

// search answers the crates whose name, description or keywords contain every word of
// the query. Crates of which every version is yanked are not found.
func (h *Handler) search(w http.ResponseWriter, r *formats.Request, _ route) error {
	q := r.URL.Query()
	size := formats.QueryInt(q, "per_page", defaultFound, maxFound)
	page := packages.SearchPage{From: (max(formats.QueryInt(q, "page", 1, math.MaxInt32), 1) - 1) * size, Size: size}
	found, total, err := h.Search(r, packages.Cargo, q.Get("q"), page, func(id packages.PackageID) string { return id.Name })
	if err != nil {
		return err
	}
	crates := []foundCrate{}
	for p, err := range found {
		if err != nil {
			return err
		}
		v := p.Highest()
		if v == nil {
			continue
		}
		m, err := stored.Decode(v.Metadata)
		if err != nil {
			return err
		}
		crates = append(crates, foundCrate{p.ID.Name, v.Version, m.About.Description})
	}
	return writeJSON(w, http.StatusOK, struct {
		Crates []foundCrate   `json:"crates"`
		Meta   map[string]int `json:"meta"`
	}{crates, map[string]int{"total": total}})
}

// A crateSummary and a versionSummary have the members that the tools around cargo read
// of the public registry's answers, such as the time of a publication.
type crateSummary struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	MaxVersion string `json:"max_version"`
	stored.About
	CreatedAt string `json:"created_at,omitempty"`
	UpdatedAt string `json:"updated_at,omitempty"`
}

type versionSummary struct {
	Crate        string `json:"crate"`
	Version      string `json:"num"`
	DownloadPath string `json:"dl_path"`
	Checksum     string `json:"checksum"`
	Size         int64  `json:"crate_size"`
	License      string `json:"license,omitempty"`
	CreatedAt    string `json:"created_at,omitempty"` // empty: another registry does not tell it
	Yanked       bool   `json:"yanked"`
}

// getAbout answers what is known about a crate and its versions.
func (h *Handler) getAbout(w http.ResponseWriter, r *formats.Request, rt route) error {
	p, all, err := h.summaries(r, rt)
	if err != nil {
		return err
	}
	c := crateSummary{ID: p.ID.Name, Name: p.ID.Name, CreatedAt: timestamp(p.Created), UpdatedAt: timestamp(p.Modified)}
	if v := p.Highest(); v != nil {
		m, err := stored.Decode(v.Metadata)
		if err != nil {
			return err
		}
		c.MaxVersion, c.About = v.Version, m.About
	}
	return writeJSON(w, http.StatusOK, struct {
		Crate    crateSummary     `json:"crate"`
		Versions []versionSummary `json:"versions"`
	}{c, all})
}

// getVersions answers the versions of a crate, the newest first.
func (h *Handler) getVersions(w http.ResponseWriter, r *formats.Request, rt route) error {
	_, all, err := h.summaries(r, rt)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string][]versionSummary{"versions": all})
}

// endpointPath is the path of the address of an endpoint. Its host is the client's and
// need not be one.
func endpointPath(base string) string {
	_, rest, _ := strings.Cut(base, "://")
	return rest[strings.IndexByte(rest, '/'):]
}

func (h *Handler) summaries(r *formats.Request, rt route) (*packages.Package, []versionSummary, error) {
	id := crate(rt.name)
	r.About(id, "")
	p, err := h.Packages.Package(r.Context(), r.Repository, id)
	if err != nil {
		return nil, nil, err
	}
	versions := p.WithUnlisted()
	all := make([]versionSummary, 0, len(versions))
	for i := range versions {
		v := versions[len(versions)-1-i]
		m, err := stored.Decode(v.Metadata)
		if err != nil {
			return nil, nil, err
		}
		s := versionSummary{
			Crate: p.ID.Name, Version: v.Version, DownloadPath: endpointPath(r.Base) + webAPI + "/" + p.ID.Name + "/" + v.Version + "/download",
			Checksum: checksum(v), License: m.About.License, CreatedAt: timestamp(v.Published), Yanked: yanked(v),
		}
		if len(v.Assets) > 0 {
			s.Size = v.Assets[0].Size
		}
		all = append(all, s)
	}
	return p, all, nil
}
