package ruby

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/ruby/rubygem"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// getSpecs answers one of the three lists of all gems: specs has the releases,
// latest_specs the newest release for each platform, prerelease_specs the others.
func (h *Handler) getSpecs(w http.ResponseWriter, r *formats.Request, rt route) error {
	return h.serveIndex(w, r, rt.name, func(all []*packages.Package) (*formats.Document, error) {
		var selected []*rubygem.Gem
		for _, p := range all {
			for _, b := range selectBuilds(listed(p), rt.name) {
				selected = append(selected, &rubygem.Gem{Name: b.name, Version: b.version, Platform: b.platform})
			}
		}
		return formats.NewDocument("application/octet-stream", specsGZ(selected)), nil
	})
}

// selectBuilds selects from the gems of one name, in the order of versions, those of a
// list.
func selectBuilds(all []build, list string) []build {
	want := list == "prerelease_specs"
	all = slices.DeleteFunc(all, func(b build) bool { return b.prerelease() != want })
	if list != "latest_specs" {
		return all
	}
	newest := map[string]build{} // by platform
	for _, b := range all {
		newest[b.platform] = b
	}
	return slices.DeleteFunc(all, func(b build) bool { return newest[b.platform].version != b.version })
}

// maxAsked is how many gems one request of the dependency API may ask for.
const maxAsked = 300

// getDependencies answers the dependency API, which older Bundlers and CodeArtifact's own
// clients use: all versions of some gems with their dependencies. Without a query it only
// says that it is there.
func (h *Handler) getDependencies(w http.ResponseWriter, r *formats.Request, _ route) error {
	if err := h.Packages.Authorized(r.Context(), r.Repository, "codeartifact:ReadFromRepository"); err != nil {
		return err
	}
	names := strings.FieldsFunc(r.URL.Query().Get("gems"), func(c rune) bool { return c == ',' })
	if len(names) == 0 {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) > maxAsked {
		return fault.New(fault.Invalid, "TooManyGems", "Ask for at most %d gems at a time.", maxAsked)
	}
	var found []*rubygem.Gem
	for _, name := range names {
		if !rubygem.ValidName(name) {
			continue
		}
		p, err := h.Packages.Package(r.Context(), r.Repository, packageID(name))
		if formats.IsNotFound(err) {
			continue // another source has it
		}
		if err != nil {
			return err
		}
		for _, b := range listed(p) {
			g, err := b.specification()
			if err != nil {
				return err
			}
			found = append(found, g)
		}
	}
	formats.NewDocument("application/octet-stream", dependenciesDocument(found)).Serve(w, r.Request)
	return nil
}
