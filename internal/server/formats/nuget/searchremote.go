package nuget

import (
	"cmp"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/nuget/nupkg"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// maxRemoteTake bounds the results of an external registry on one page.
const maxRemoteTake = 250

// findRemotely returns what a service of the external registry finds, to follow the page of
// packages that were found here: there are so many on the page and in total. own are all
// packages that match here, which the registry finds too.
func (h *Handler) findRemotely(r *formats.Request, s searchQuery, service string, onPage, total int, own []packages.PackageID) (page []searchResult, more int, err error) {
	q := r.URL.Query()
	options := url.Values{"prerelease": {"false"}}
	if s.prerelease {
		options.Set("prerelease", "true")
	}
	if s.semVer2 {
		options.Set("semVerLevel", "2.0.0")
	}
	if s.packageType != "" {
		options.Set("packageType", s.packageType)
	}
	found, err := h.Packages.SearchRemote(r.Context(), r.Repository, packages.NuGet, packages.RemoteSearch{
		Text: q.Get("q"), From: max(0, s.skip-total), Size: min(s.take-onPage, maxRemoteTake), Service: service, Options: options.Encode(),
	})
	if err != nil {
		return nil, 0, err
	}
	known := map[string]bool{}
	for _, id := range own {
		known[id.Name] = true
	}
	for _, hit := range found.Hits {
		if known[hit.Package.Name] {
			continue // found here, or not to be shown
		}
		known[hit.Package.Name] = true
		result, err := h.remoteResult(r, s, hit)
		if err != nil {
			return nil, 0, err
		}
		if result != nil {
			page = append(page, *result)
		}
	}
	return page, found.Total, nil
}

// remoteResult describes a package that an external registry found, or is nil if nothing of
// it is to be shown. If the package is kept here, or admission decides about it, what this
// server knows of its versions counts, and else what the registry says.
func (h *Handler) remoteResult(r *formats.Request, s searchQuery, hit packages.RemoteHit) (*searchResult, error) {
	var versions []*packages.Version
	var newest *entry
	var err error
	switch {
	case hit.Admitted != nil:
		versions, newest, err = s.listed(hit.Admitted)
	case hit.Held:
		versions, newest, err = h.listed(r, hit.Package, s)
	default:
		return foundResult(r, s, hit)
	}
	if err != nil || newest == nil {
		return nil, err
	}
	result, err := newResult(r, s.semVer2, versions, *newest)
	return &result, err
}

func foundResult(r *formats.Request, s searchQuery, hit packages.RemoteHit) (*searchResult, error) {
	var f nupkg.Found
	if err := json.Unmarshal(hit.About, &f); err != nil {
		return nil, err
	}
	result := describe(r, s.semVer2, &f.Manifest)
	result.TotalDownloads = f.Downloads
	l := &listing{base: r.Base, semVer2: s.semVer2, id: hit.Package.Name}
	if len(f.Versions) == 0 {
		f.Versions = []nupkg.FoundVersion{{Version: f.Version}}
	}
	for _, v := range f.Versions {
		if parsed, ok := nupkg.ParseVersion(v.Version); ok {
			result.Versions = append(result.Versions, searchVersion{Version: v.Version, Downloads: v.Downloads, ID: l.leafURL(parsed)})
		}
	}
	return &result, nil
}

// describe is the result of a package without its versions.
func describe(r *formats.Request, semVer2 bool, m *nupkg.Manifest) searchResult {
	l := &listing{base: r.Base, semVer2: semVer2, id: packageID(m.ID).Name}
	result := searchResult{
		ID: l.index(l.id), Type: "Package", Registration: l.index(l.id), Name: m.ID, Version: m.Version,
		Description: m.Description, Summary: m.Summary, Title: cmp.Or(m.Title, m.ID), IconURL: m.IconURL, LicenseURL: m.LicenseURL, ProjectURL: m.ProjectURL,
		Tags: append([]string{}, m.Tags...), Authors: []string{}, Versions: []searchVersion{},
	}
	for _, author := range strings.Split(m.Authors, ",") {
		if author = strings.TrimSpace(author); author != "" {
			result.Authors = append(result.Authors, author)
		}
	}
	for _, t := range m.Types() {
		result.PackageTypes = append(result.PackageTypes, packageType{t})
	}
	return result
}
