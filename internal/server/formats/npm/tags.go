package npm

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// maxTags is the size of the largest body of a request about dist-tags, in bytes.
const maxTags = 1 << 20

// getTags answers tag → version.
func (d *Door) getTags(w http.ResponseWriter, r *formats.Request, rt route) error {
	p, err := d.read(r, rt)
	if err != nil {
		return err
	}
	tags := rendering{p: p}
	tags.tags()
	writeJSON(w, r, http.StatusOK, tags.out)
	return nil
}

// putTag sets one tag to the version in the body, a JSON string.
func (d *Door) putTag(w http.ResponseWriter, r *formats.Request, rt route) error {
	var version string
	if err := readTags(r, &version); err != nil {
		return err
	}
	if err := d.setTags(r, rt.id, map[string]string{rt.arg: version}, nil); err != nil {
		return err
	}
	return ok(w, r, http.StatusCreated)
}

// mergeTags sets the tags in the body, tag → version.
func (d *Door) mergeTags(w http.ResponseWriter, r *formats.Request, rt route) error {
	var tags map[string]string
	if err := readTags(r, &tags); err != nil {
		return err
	}
	if err := d.setTags(r, rt.id, tags, nil); err != nil {
		return err
	}
	return ok(w, r, http.StatusCreated)
}

// replaceTags sets the tags in the body and removes all others.
func (d *Door) replaceTags(w http.ResponseWriter, r *formats.Request, rt route) error {
	var tags map[string]string
	if err := readTags(r, &tags); err != nil {
		return err
	}
	r.Operation("PutPackageMetadata", rt.id, "")
	p, err := d.packages.Package(r.Context(), r.Repository, rt.id)
	if err != nil {
		return err
	}
	var remove []string
	for tag := range p.Tags {
		if _, kept := tags[tag]; !kept {
			remove = append(remove, tag)
		}
	}
	if err := d.setTags(r, rt.id, tags, remove); err != nil {
		return err
	}
	return ok(w, r, http.StatusOK)
}

// deleteTag removes one tag. "latest" stays, since clients need it: npm itself
// refuses to remove it.
func (d *Door) deleteTag(w http.ResponseWriter, r *formats.Request, rt route) error {
	if rt.arg == "latest" {
		return fault.New(fault.Invalid, "InvalidTag", "The tag latest cannot be removed. Set it to another version.")
	}
	if err := d.setTags(r, rt.id, nil, []string{rt.arg}); err != nil {
		return err
	}
	return ok(w, r, http.StatusOK)
}

func (d *Door) setTags(r *formats.Request, id packages.PackageID, set map[string]string, remove []string) error {
	r.Operation("PutPackageMetadata", id, "")
	for tag, version := range set {
		if err := checkTag(tag); err != nil {
			return err
		}
		if !validVersion(version) {
			return fault.New(fault.Invalid, "InvalidVersion", "%q is not a version that the tag %s could be set to.", version, tag)
		}
	}
	if len(set) == 0 && len(remove) == 0 {
		return nil
	}
	return d.packages.SetTags(r.Context(), r.Repository, id, set, remove)
}

// readTags decodes a bounded JSON body.
func readTags(r *formats.Request, into any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxTags+1))
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "IncompleteBody", "The body ended before it was complete.")
	}
	if len(body) > maxTags {
		return fault.New(fault.TooLarge, "BodyTooLarge", "The body is larger than %d KiB.", maxTags>>10)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fault.Wrap(err, fault.Invalid, "InvalidBody", "The body is not what sets a dist-tag: a version as a JSON string, or an object of tags and versions.")
	}
	return nil
}
