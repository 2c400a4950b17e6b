package ruby

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/ruby/rubygem"
)

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
