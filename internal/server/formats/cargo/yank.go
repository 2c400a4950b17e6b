package cargo

import (
	"net/http"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// yank makes a Published version Unlisted. Lock files that name it keep working.
func (h *Handler) yank(w http.ResponseWriter, r *formats.Request, rt route) error {
	return h.setYanked(w, r, rt, packages.Published, packages.Unlisted)
}

// unyank makes an Unlisted version Published. It does not bring an archived one back.
func (h *Handler) unyank(w http.ResponseWriter, r *formats.Request, rt route) error {
	return h.setYanked(w, r, rt, packages.Unlisted, packages.Published)
}

func (h *Handler) setYanked(w http.ResponseWriter, r *formats.Request, rt route, from, to packages.Status) error {
	id := crate(rt.name)
	r.About(id, rt.version)
	outcome, err := h.Packages.UpdateVersionsStatus(r.Context(), r.Repository, id, packages.Selection{Versions: []string{rt.version}, Expected: from}, to)
	if e := fault.From(err); e != nil && e.Kind == fault.NotFound && e.ResourceType == "package" {
		return notHere(r, rt)
	}
	if err != nil {
		return err
	}
	if failed, ok := outcome.Failed[rt.version]; ok {
		if err := h.notYanked(r, rt, failed, to); err != nil {
			return err
		}
	}
	return writeJSON(w, http.StatusOK, map[string]bool{"ok": true})
}

// notYanked is the error of a version that was not changed, or nil if it had the status
// already.
func (h *Handler) notYanked(r *formats.Request, rt route, failed packages.VersionError, to packages.Status) error {
	if failed.Code == "NOT_FOUND" {
		return notHere(r, rt)
	}
	if v := h.existing(r, crate(rt.name), rt.version); v != nil && v.Status == to && v.Repository == r.Repository.Name {
		return nil
	}
	return fault.New(fault.Conflict, "Conflict", "Version %s of %s cannot be yanked or unyanked as it is. %s", rt.version, rt.name, failed.Message)
}

func notHere(r *formats.Request, rt route) error {
	return fault.New(fault.NotFound, "ResourceNotFound", "The repository %s itself does not have version %s of %s. If an upstream repository has it, yank it there.",
		r.Repository.Name, rt.version, rt.name)
}
