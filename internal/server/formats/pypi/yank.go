package pypi

import (
	"encoding/json"
	"net/http"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/pypi/stored"
)

// PyPI has no API to yank a release (PEP 592), only its web pages. Here it is a form
// like an upload, with :action yank or unyank and the fields name and version. The
// optional field reason of yank is shown by installers.

// maxReason bounds the reason of a yank, in bytes: the page of a project repeats it for
// every file of the release.
const maxReason = 1000

// yank marks a release as yanked: installers ignore it unless it is pinned.
func (h *Handler) yank(w http.ResponseWriter, r *formats.Request, u *upload) error {
	reason := u.fields["reason"]
	if len(reason) > maxReason {
		return invalid("InvalidForm", "The reason has %d bytes, and the limit is %d.", len(reason), maxReason)
	}
	return h.setYanked(w, r, u, &reason)
}

// unyank removes the mark.
func (h *Handler) unyank(w http.ResponseWriter, r *formats.Request, u *upload) error {
	return h.setYanked(w, r, u, nil)
}

func (h *Handler) setYanked(w http.ResponseWriter, r *formats.Request, u *upload, reason *string) error {
	id, version := project(u.fields["name"]), u.fields["version"]
	r.Operation("PutPackageMetadata", id, version)
	err := h.Packages.EditMetadata(r.Context(), r.Repository, id, []string{version}, func(_ string, old json.RawMessage) (json.RawMessage, error) {
		var about stored.Version
		if err := unmarshal(old, &about); err != nil {
			return nil, err
		}
		about.Yanked = reason
		return json.Marshal(about)
	})
	if err != nil {
		return err
	}
	text := version + " of " + id.Name + " is yanked.\n"
	if reason == nil {
		text = version + " of " + id.Name + " is not yanked any more.\n"
	}
	formats.WriteText(w, r, http.StatusOK, text)
	return nil
}
