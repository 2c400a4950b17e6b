package nuget

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/nuget/nupkg"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// A registration index contains its versions if they are few. Otherwise it contains the
// addresses of pages (Microsoft Learn, "Package metadata": the public gallery does the
// same).
const (
	inlined     = 128 // versions from which on there are pages
	pageSize    = 64  // versions
	inlineBytes = 4 << 20
)

// unlistedTime is the time of publication of an unlisted version, by which old clients
// know it.
const unlistedTime = "1900-01-01T00:00:00+00:00"

type (
	registration struct {
		ID    string       `json:"@id"`
		Type  []string     `json:"@type"`
		Count int          `json:"count"`
		Items []leavesPage `json:"items"`
	}
	leavesPage struct {
		ID     string `json:"@id"`
		Type   string `json:"@type"`
		Count  int    `json:"count"`
		Lower  string `json:"lower"`
		Upper  string `json:"upper"`
		Parent string `json:"parent"`
		Items  []leaf `json:"items,omitempty"`
	}
	leaf struct {
		ID             string       `json:"@id"`
		Type           string       `json:"@type"`
		CatalogEntry   catalogEntry `json:"catalogEntry"`
		PackageContent string       `json:"packageContent"`
		Registration   string       `json:"registration"`
	}
	// A catalogEntry is named after the public gallery's catalog. Here it is only a part
	// of a leaf.
	catalogEntry struct {
		ID                       string                `json:"@id"`
		Type                     string                `json:"@type"`
		Authors                  string                `json:"authors"`
		DependencyGroups         []registeredGroup     `json:"dependencyGroups,omitempty"`
		Deprecation              *nupkg.Deprecation    `json:"deprecation,omitempty"`
		Description              string                `json:"description"`
		IconURL                  string                `json:"iconUrl"`
		Name                     string                `json:"id"`
		Language                 string                `json:"language"`
		LicenseExpression        string                `json:"licenseExpression"`
		LicenseURL               string                `json:"licenseUrl"`
		Listed                   bool                  `json:"listed"`
		MinClientVersion         string                `json:"minClientVersion"`
		PackageContent           string                `json:"packageContent"`
		PackageTypes             []packageType         `json:"packageTypes,omitempty"`
		ProjectURL               string                `json:"projectUrl"`
		Published                string                `json:"published,omitempty"`
		ReadmeURL                string                `json:"readmeUrl,omitempty"`
		RequireLicenseAcceptance bool                  `json:"requireLicenseAcceptance"`
		Summary                  string                `json:"summary"`
		Tags                     []string              `json:"tags"`
		Title                    string                `json:"title"`
		Version                  string                `json:"version"`
		Vulnerabilities          []nupkg.Vulnerability `json:"vulnerabilities,omitempty"`
	}
	registeredGroup struct {
		Type            string                 `json:"@type"`
		TargetFramework string                 `json:"targetFramework,omitempty"`
		Dependencies    []registeredDependency `json:"dependencies,omitempty"`
	}
	registeredDependency struct {
		Type         string `json:"@type"`
		ID           string `json:"id"`
		Range        string `json:"range"`
		Registration string `json:"registration"`
	}
	packageType struct {
		Name string `json:"name"`
	}
)

// A listing is a package's versions in one of the two registrations, in NuGet's order.
type listing struct {
	base    string // the address of the endpoint
	semVer2 bool
	id      string
	entries []entry
}

// An entry is a version with its manifest.
type entry struct {
	*packages.Version
	*nupkg.Manifest
	version nupkg.Version
}

// newListing reads the manifests of those versions of a package that are wanted. Versions
// that clients of this registration cannot read are left out.
func newListing(r *formats.Request, p *packages.Package, semVer2 bool, wanted func(*packages.Version) bool) (*listing, error) {
	l := &listing{base: r.Base, semVer2: semVer2, id: p.ID.Name}
	for _, v := range sortedVersions(p, wanted) {
		e, err := newEntry(v)
		if err != nil {
			return nil, err
		}
		if semVer2 || !e.Manifest.NeedsSemVer2() {
			l.entries = append(l.entries, e)
		}
	}
	return l, nil
}

func newEntry(v *packages.Version) (entry, error) {
	e := entry{Version: v, Manifest: new(nupkg.Manifest)}
	err := json.Unmarshal(v.Metadata, e.Manifest)
	e.version = e.Manifest.Parsed()
	return e, err
}

func registrationFolder(base string, semVer2 bool) string {
	if semVer2 {
		return base + semVer2Folder
	}
	return base + semVer1Folder
}

// index is the address of a package's registration.
func (l *listing) index(id string) string {
	return registrationFolder(l.base, l.semVer2) + url.PathEscape(strings.ToLower(id)) + "/index.json"
}

func (l *listing) leafURL(v nupkg.Version) string {
	return registrationFolder(l.base, l.semVer2) + url.PathEscape(l.id) + "/" + url.PathEscape(v.Lower()) + ".json"
}

// flat is the address of a file of a version.
func (l *listing) flat(v nupkg.Version, file string) string {
	return l.base + flatFolder + url.PathEscape(l.id) + "/" + url.PathEscape(v.Lower()) + "/" + url.PathEscape(file)
}

// registration renders the index: whole if the versions are few and small.
func (l *listing) registration() registration {
	size := 0
	for _, e := range l.entries {
		size += len(e.Metadata)
	}
	pages := [][]entry{l.entries}
	whole := len(l.entries) < inlined && size <= inlineBytes
	if !whole {
		pages = slices.Collect(slices.Chunk(l.entries, pageSize))
	}
	out := registration{ID: l.index(l.id), Type: []string{"catalog:CatalogRoot", "PackageRegistration", "catalog:Permalink"}, Count: len(pages), Items: []leavesPage{}}
	for _, entries := range pages {
		page := l.page(entries)
		if !whole {
			page.Items = nil
		}
		out.Items = append(out.Items, page)
	}
	return out
}

func (l *listing) page(entries []entry) leavesPage {
	first, last := entries[0].version, entries[len(entries)-1].version
	page := leavesPage{
		ID:    registrationFolder(l.base, l.semVer2) + url.PathEscape(l.id) + "/page/" + url.PathEscape(first.Lower()) + "/" + url.PathEscape(last.Lower()) + ".json",
		Type:  "catalog:CatalogPage",
		Count: len(entries), Lower: first.Normal, Upper: last.Normal, Parent: l.index(l.id),
	}
	for _, e := range entries {
		page.Items = append(page.Items, l.leaf(e))
	}
	return page
}

func (l *listing) leaf(e entry) leaf {
	file := l.flat(e.version, nupkg.AssetName(l.id, e.version))
	c := catalogEntry{
		ID: l.leafURL(e.version), Type: "PackageDetails", Authors: e.Authors, Description: e.Description, IconURL: e.IconURL, Name: e.ID,
		Language: e.Language, LicenseExpression: e.LicenseExpression, LicenseURL: e.LicenseURL, Listed: e.Status == packages.Published,
		MinClientVersion: e.MinClientVersion, PackageContent: file, ProjectURL: e.ProjectURL, Published: publishedTime(e.Version),
		RequireLicenseAcceptance: e.RequireLicenseAcceptance, Summary: e.Summary, Tags: e.Tags, Title: e.Title, Version: e.Manifest.Version,
		Deprecation: e.Deprecation, Vulnerabilities: e.Vulnerabilities,
	}
	if e.Readme != "" {
		c.ReadmeURL = l.flat(e.version, "readme")
	}
	if c.Tags == nil {
		c.Tags = []string{}
	}
	for _, t := range e.PackageTypes {
		c.PackageTypes = append(c.PackageTypes, packageType{t})
	}
	for _, g := range e.DependencyGroups {
		group := registeredGroup{Type: "PackageDependencyGroup", TargetFramework: g.TargetFramework}
		for _, d := range g.Dependencies {
			group.Dependencies = append(group.Dependencies, registeredDependency{"PackageDependency", d.ID, nupkg.FullRange(d.Range), l.index(d.ID)})
		}
		c.DependencyGroups = append(c.DependencyGroups, group)
	}
	return leaf{ID: c.ID, Type: "Package", CatalogEntry: c, PackageContent: file, Registration: l.index(l.id)}
}

// publishedTime is empty if an external registry does not tell the time.
func publishedTime(v *packages.Version) string {
	switch {
	case v.Status != packages.Published:
		return unlistedTime
	case v.Published.IsZero():
		return ""
	}
	return v.Published.UTC().Format(time.RFC3339Nano)
}

func hive(rt route) string {
	if rt.semVer2 {
		return "semver2"
	}
	return "semver1"
}

// registered serves a document that render makes of those versions in a package's
// registration that are wanted. If there are none, version is what is missing.
func (h *Handler) registered(w http.ResponseWriter, r *formats.Request, rt route, key, version string, wanted func(*packages.Version) bool, render func(*listing) any) error {
	p, err := h.readPackage(r, rt, version)
	if err != nil {
		return err
	}
	doc, err := h.Documents.GetWithBase(r, hive(rt)+"\n"+p.ID.Name+"\n"+p.Revision+"\n"+key, func() (*formats.Document, error) {
		l, err := newListing(r, p, rt.semVer2, wanted)
		if err != nil {
			return nil, err
		}
		if len(l.entries) == 0 {
			return nil, errNotRegistered
		}
		return newJSON(render(l))
	})
	if errors.Is(err, errNotRegistered) {
		return h.Packages.WhyNotVisible(r.Context(), r.Repository, p.ID, version)
	}
	if err != nil {
		return err
	}
	doc.Serve(w, r.Request)
	return nil
}

var errNotRegistered = errors.New("the registration does not have it")

func (h *Handler) getRegistration(w http.ResponseWriter, r *formats.Request, rt route) error {
	return h.registered(w, r, rt, "index", "", anyVersion, func(l *listing) any { return l.registration() })
}

// getRegistrationPage answers the versions of an inclusive range. It is in the address,
// so a page that an older index names is answered after a push as well.
func (h *Handler) getRegistrationPage(w http.ResponseWriter, r *formats.Request, rt route) error {
	lower, ok1 := nupkg.ParseVersion(rt.lower)
	upper, ok2 := nupkg.ParseVersion(rt.upper)
	if !ok1 || !ok2 {
		return h.Packages.WhyNotVisible(r.Context(), r.Repository, packageID(rt.id), "")
	}
	p, err := h.readPackage(r, rt, "")
	if err != nil {
		return err
	}
	// The bounds are the client's, so the page is not kept.
	doc, err := h.Documents.Render(r.Context(), func() (*formats.Document, error) {
		l, err := newListing(r, p, rt.semVer2, func(v *packages.Version) bool {
			of := strings.ToLower(v.Version)
			return packages.NuGet.Compare(of, lower.Lower()) >= 0 && packages.NuGet.Compare(of, upper.Lower()) <= 0
		})
		if err != nil {
			return nil, err
		}
		if len(l.entries) == 0 {
			return nil, errNotRegistered
		}
		return newJSON(l.page(l.entries))
	})
	if errors.Is(err, errNotRegistered) {
		return h.Packages.WhyNotVisible(r.Context(), r.Repository, p.ID, rt.lower)
	}
	if err != nil {
		return err
	}
	doc.Serve(w, r.Request)
	return nil
}

// A leafDocument is a leaf on its own. Its catalogEntry is an address, not an object.
type leafDocument struct {
	ID             string   `json:"@id"`
	Type           []string `json:"@type"`
	CatalogEntry   string   `json:"catalogEntry"`
	Listed         bool     `json:"listed"`
	PackageContent string   `json:"packageContent"`
	Published      string   `json:"published,omitempty"`
	Registration   string   `json:"registration"`
}

func (h *Handler) getRegistrationLeaf(w http.ResponseWriter, r *formats.Request, rt route) error {
	v, ok := nupkg.ParseVersion(rt.version)
	if !ok {
		return h.Packages.WhyNotVisible(r.Context(), r.Repository, packageID(rt.id), "")
	}
	wanted := func(of *packages.Version) bool { return strings.EqualFold(of.Version, v.Normal) }
	return h.registered(w, r, rt, "leaf\n"+v.Lower(), v.Normal, wanted, func(l *listing) any {
		one := l.leaf(l.entries[0])
		return leafDocument{
			one.ID,
			[]string{"Package", "http://schema.nuget.org/catalog#Permalink"},
			one.CatalogEntry.ID,
			one.CatalogEntry.Listed, one.PackageContent, one.CatalogEntry.Published, one.Registration,
		}
	})
}
