package nuget

import (
	"net/http"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/nuget/nupkg"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// `dotnet nuget delete` unlists a version, as it does on the public gallery: searches and
// updates do not find it any more, and whoever asks for exactly this version gets it.
// CodeArtifact's DeletePackageVersions deletes it for good.

func (h *Handler) unlist(w http.ResponseWriter, r *formats.Request, rt route) error {
	return h.setStatus(w, r, rt, packages.Published, packages.Unlisted, http.StatusNoContent)
}

// relist lists an unlisted version again.
func (h *Handler) relist(w http.ResponseWriter, r *formats.Request, rt route) error {
	return h.setStatus(w, r, rt, packages.Unlisted, packages.Published, http.StatusOK)
}

// setStatus changes the status of a version that has the expected one. A version that has
// the wanted status already is left alone. An archived one stays archived.
func (h *Handler) setStatus(w http.ResponseWriter, r *formats.Request, rt route, expected, wanted packages.Status, success int) error {
	id := packageID(rt.id)
	r.About(id, rt.version)
	v, ok := nupkg.ParseVersion(rt.version)
	if !ok {
		return fault.New(fault.NotFound, "NotFound", "%q is not a version of %s.", rt.version, rt.id)
	}
	out, err := h.Packages.UpdateVersionsStatus(r.Context(), r.Repository, id,
		packages.Selection{Versions: []string{v.Normal}, Expected: expected}, wanted)
	if err != nil {
		return err
	}
	if failed, ok := out.Failed[v.Normal]; ok {
		if err := h.unlessWanted(r, id, v, wanted, failed); err != nil {
			return err
		}
	}
	w.WriteHeader(success)
	return nil
}

// unlessWanted returns the reason for which the status was not changed, or nil if the
// version has the wanted one.
func (h *Handler) unlessWanted(r *formats.Request, id packages.PackageID, v nupkg.Version, wanted packages.Status, failed packages.VersionError) error {
	if failed.Code == "NOT_FOUND" {
		return fault.New(fault.NotFound, "NotFound", "%s has no version %s in this repository. A version of an upstream repository is unlisted there.", id.Name, v.Normal)
	}
	p, err := h.Packages.Package(r.Context(), r.Repository, id)
	if err != nil {
		return err
	}
	if have := p.Version(v.Normal); have != nil && have.Status == wanted {
		return nil
	}
	return fault.New(fault.Conflict, "Conflict", "The status of %s %s cannot become %s. %s", id.Name, v.Normal, wanted, failed.Message)
}
