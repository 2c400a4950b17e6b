package pypi

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// The JSON of a project or of a release, as far as auditors read it: pip-audit asks for
// releases and reads their vulnerabilities.
type (
	projectJSON struct {
		Info            projectInfo     `json:"info"`
		URLs            []projectFile   `json:"urls"`
		Vulnerabilities []vulnerability `json:"vulnerabilities"`
	}
	projectInfo struct {
		Name         string `json:"name"`
		Version      string `json:"version"`
		Yanked       bool   `json:"yanked"`
		YankedReason any    `json:"yanked_reason"`
	}
	projectFile struct {
		Filename   string            `json:"filename"`
		URL        string            `json:"url"`
		Digests    map[string]string `json:"digests"`
		Size       int64             `json:"size"`
		UploadTime string            `json:"upload_time_iso_8601"`
	}
	vulnerability struct {
		ID        string   `json:"id"`
		Aliases   []string `json:"aliases"`
		Summary   string   `json:"summary"`
		Details   string   `json:"details"`
		FixedIn   []string `json:"fixed_in"`
		Link      string   `json:"link"`
		Source    string   `json:"source"`
		Withdrawn any      `json:"withdrawn"`
	}
)

// getRelease answers the JSON of a release. It is not kept: advisories change apart from
// the package.
func (h *Handler) getRelease(w http.ResponseWriter, r *formats.Request, rt route) error {
	id := project(rt.project)
	r.About(id, rt.version)
	p, err := h.Packages.Package(r.Context(), r.Repository, id)
	if err != nil {
		return err
	}
	v := p.Version(rt.version)
	if v == nil {
		return h.Packages.WhyNotVisible(r.Context(), r.Repository, id, rt.version)
	}
	known, err := h.Packages.KnownAdvisories(r.Context(), r.Repository, id, []string{v.Version})
	if err != nil {
		return err
	}
	body, err := releaseJSON(p, v, known, r.Base)
	if err != nil {
		return err
	}
	formats.NewDocument("application/json", body).Serve(w, r.Request)
	return nil
}

func releaseJSON(p *packages.Package, v *packages.Version, known []*packages.Advisory, base string) ([]byte, error) {
	all, err := files(&packages.Package{ID: p.ID, Versions: []*packages.Version{v}})
	if err != nil {
		return nil, err
	}
	out := projectJSON{Info: projectInfo{Name: p.ID.Name, Version: v.Version}, URLs: []projectFile{}, Vulnerabilities: []vulnerability{}}
	for _, f := range all {
		if f.yanked != nil {
			out.Info.Yanked, out.Info.YankedReason = true, *f.yanked
		}
		out.URLs = append(out.URLs, projectFile{f.name, base + "simple/" + p.ID.Name + "/" + f.url, map[string]string{"sha256": f.sha256}, f.size, f.uploaded.UTC().Format("2006-01-02T15:04:05.000000Z")})
	}
	for _, a := range known {
		out.Vulnerabilities = append(out.Vulnerabilities, newVulnerability(a))
	}
	return json.Marshal(out)
}

func newVulnerability(a *packages.Advisory) vulnerability {
	out := vulnerability{ID: a.ID, Aliases: append([]string{}, a.Aliases...), Summary: a.Summary, Details: a.Summary, FixedIn: []string{}, Link: a.URL, Source: "osv"}
	for _, r := range a.Ranges {
		if r.Fixed != "" && !slices.Contains(out.FixedIn, r.Fixed) {
			out.FixedIn = append(out.FixedIn, r.Fixed)
		}
	}
	return out
}
