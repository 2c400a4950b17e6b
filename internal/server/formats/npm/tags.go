package npm

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/npm/packument"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// maxTagsBody bounds the body of a request that sets dist-tags, in bytes.
const maxTagsBody = 1 << 20

// getTags answers tag → version.
func (h *Handler) getTags(w http.ResponseWriter, r *formats.Request, rt route) error {
	p, err := h.readPackage(r, rt)
	if err != nil {
		return err
	}
	tags := renderer{p: p}
	tags.tags()
	writeJSON(w, r, http.StatusOK, tags.out)
	return nil
}

// putTag sets one tag to the version in the body, a JSON string.
func (h *Handler) putTag(w http.ResponseWriter, r *formats.Request, rt route) error {
	var version string
	if err := h.readTags(r, rt, &version); err != nil {
		return err
	}
	if err := h.setTags(r, rt.id, map[string]string{rt.arg: version}, nil); err != nil {
		return err
	}
	return writeOK(w, r, http.StatusCreated)
}

// mergeTags sets the tags in the body, tag → version.
func (h *Handler) mergeTags(w http.ResponseWriter, r *formats.Request, rt route) error {
	var tags map[string]string
	if err := h.readTags(r, rt, &tags); err != nil {
		return err
	}
	if err := h.setTags(r, rt.id, tags, nil); err != nil {
		return err
	}
	return writeOK(w, r, http.StatusCreated)
}

// replaceTags sets the tags in the body and removes all others.
func (h *Handler) replaceTags(w http.ResponseWriter, r *formats.Request, rt route) error {
	var tags map[string]string
	if err := h.readTags(r, rt, &tags); err != nil {
		return err
	}
	p, err := h.Packages.Package(r.Context(), r.Repository, rt.id)
	if err != nil {
		return err
	}
	var remove []string
	for tag := range p.Tags {
		if _, kept := tags[tag]; !kept {
			remove = append(remove, tag)
		}
	}
	if err := h.setTags(r, rt.id, tags, remove); err != nil {
		return err
	}
	return writeOK(w, r, http.StatusOK)
}

// deleteTag removes one tag. "latest" cannot be removed, since clients need it; npm
// itself refuses to remove it.
func (h *Handler) deleteTag(w http.ResponseWriter, r *formats.Request, rt route) error {
	if rt.arg == "latest" {
		return fault.New(fault.Invalid, "InvalidTag", "The tag latest cannot be removed. Set it to another version.")
	}
	if err := h.setTags(r, rt.id, nil, []string{rt.arg}); err != nil {
		return err
	}
	return writeOK(w, r, http.StatusOK)
}

func (h *Handler) setTags(r *formats.Request, id packages.PackageID, set map[string]string, remove []string) error {
	r.About(id, "")
	for tag, version := range set {
		if err := checkTag(tag); err != nil {
			return err
		}
		if !packument.ValidVersion(version) {
			return fault.New(fault.Invalid, "InvalidVersion", "The tag %[2]s cannot be set to %[1]q: that is not a version.", version, tag)
		}
	}
	if len(set) == 0 && len(remove) == 0 {
		return nil
	}
	return h.Packages.SetTags(r.Context(), r.Repository, id, set, remove)
}

// readTags decodes a bounded JSON body of a caller who may set tags.
func (h *Handler) readTags(r *formats.Request, rt route, into any) error {
	r.About(rt.id, "")
	if err := h.Packages.AuthorizedPackage(r.Context(), r.Repository, rt.id, "codeartifact:PutPackageMetadata"); err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxTagsBody+1))
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "IncompleteBody", "The body ended before it was complete.")
	}
	if len(body) > maxTagsBody {
		return fault.New(fault.TooLarge, "BodyTooLarge", "The body is larger than %d KiB.", maxTagsBody>>10)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fault.Wrap(err, fault.Invalid, "InvalidBody", "The body must be a version as a JSON string, or an object of tags and their versions.")
	}
	return nil
}
