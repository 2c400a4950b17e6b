package npm

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/npm/packument"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// updateMetadata takes a document that the client changed and sent back, as `npm
// deprecate` does. Only the deprecation of a version can be changed. Everything else
// was published with the tarball and stays.
func (h *Handler) updateMetadata(w http.ResponseWriter, r *formats.Request, rt route, doc *sentDocument) error {
	r.Operation("PutPackageMetadata", rt.id, "")
	p, err := h.Packages.Package(r.Context(), r.Repository, rt.id)
	if err != nil {
		return err
	}
	if len(doc.Versions) == 0 {
		return fault.New(fault.Invalid, "InvalidDocument", "The document has no versions, so there is nothing to change.")
	}
	versions := slices.Sorted(maps.Keys(doc.Versions))
	for _, version := range versions {
		if p.Version(version) == nil {
			return fault.New(fault.Invalid, "InvalidDocument", "The document has the version %s, which is not in this repository, and its tarball is not attached.", version)
		}
	}
	err = h.Packages.EditMetadata(r.Context(), r.Repository, rt.id, versions, func(version string, metadata json.RawMessage) (json.RawMessage, error) {
		return deprecate(metadata, doc.Versions[version])
	})
	if err != nil {
		return err
	}
	return writeOK(w, r, http.StatusOK)
}

// deprecate returns the metadata with the deprecation of the client's version
// object, or nil if that changes nothing. An empty message or false removes a
// deprecation (npm docs, npm deprecate).
func deprecate(metadata, sent []byte) (json.RawMessage, error) {
	wanted, err := packument.ParseObject(sent)
	if err != nil {
		return nil, err
	}
	message := packument.StringValue(wanted.Get("deprecated"))
	has, err := packument.ParseObject(metadata)
	if err != nil {
		return nil, err
	}
	if message == packument.StringValue(has.Get("deprecated")) {
		return nil, nil
	}
	has = has.Without("deprecated")
	if message != "" {
		has = append(has, packument.Member{Name: "deprecated", Value: packument.AppendString(nil, message)})
	}
	return has.Encode(), nil
}

// putRevision deletes the versions that the client removed from the document and
// moves the dist-tags as it did: the first step of `npm unpublish package@version`.
func (h *Handler) putRevision(w http.ResponseWriter, r *formats.Request, rt route) error {
	r.About(rt.id, "")
	if err := h.Packages.AuthorizedPackage(r.Context(), r.Repository, rt.id, "codeartifact:DeletePackageVersions"); err != nil {
		return err
	}
	doc, tarball, err := h.receive(r, rt.id)
	if err != nil {
		return err
	}
	defer doc.memory.Release()
	if tarball != nil {
		tarball.content.Discard()
		return fault.New(fault.Invalid, "InvalidDocument", "A document with a tarball must be sent to the address of the package.")
	}
	if len(doc.Versions) == 0 {
		return fault.New(fault.Invalid, "InvalidDocument", "The document has no versions. To unpublish the whole package, delete it.")
	}
	p, err := h.packageAtRevision(r, rt)
	if err != nil {
		return err
	}
	var gone []string
	for _, v := range p.Versions {
		if _, kept := doc.Versions[v.Version]; kept {
			continue
		}
		if v.Repository != r.Repository.Name {
			return fromUpstream(rt.id, v)
		}
		gone = append(gone, v.Version)
	}
	if len(gone) > 0 {
		if err := h.Packages.DeleteVersions(r.Context(), r.Repository, rt.id, gone); err != nil {
			return err
		}
	}
	moved := map[string]string{}
	for tag, version := range doc.DistTags {
		// A tag whose version the caller does not see is not the caller's to move: npm chose
		// among those that it saw.
		if _, kept := doc.Versions[version]; kept && p.Tags[tag] != version && tag != p.Retagged {
			moved[tag] = version
		}
	}
	if err := h.setTags(r, rt.id, moved, nil); err != nil {
		return err
	}
	return writeOK(w, r, http.StatusCreated)
}

// fromUpstream is the error of unpublishing a version that the repository does not
// contain itself.
func fromUpstream(id packages.PackageID, v *packages.Version) error {
	return fault.New(fault.Conflict, "VersionUpstream", "%s@%s is in the upstream repository %s. Unpublish it there.", packument.FullName(id), v.Version, v.Repository)
}

// deletePackage unpublishes the whole package: the versions that its document has. It is
// also what clients send to unpublish the last version in the document, so versions that
// are not in the document stay.
func (h *Handler) deletePackage(w http.ResponseWriter, r *formats.Request, rt route) error {
	r.About(rt.id, "")
	if err := h.Packages.AuthorizedPackage(r.Context(), r.Repository, rt.id, "codeartifact:DeletePackage"); err != nil {
		return err
	}
	p, err := h.packageAtRevision(r, rt)
	if err != nil {
		return err
	}
	var own []string
	for _, v := range p.Versions {
		if v.Repository == r.Repository.Name {
			own = append(own, v.Version)
		}
	}
	if len(own) == 0 && len(p.Versions) > 0 {
		return fromUpstream(rt.id, p.Versions[0])
	}
	if err := h.Packages.Unpublish(r.Context(), r.Repository, rt.id, own); err != nil {
		return err
	}
	return writeOK(w, r, http.StatusOK)
}

// deleteTarball is the last step of `npm unpublish package@version`. The first step
// deleted the version with its tarball, so there is nothing left to do, unless the
// client left that step out.
func (h *Handler) deleteTarball(w http.ResponseWriter, r *formats.Request, rt route) error {
	version, valid := tarballVersion(rt.id, rt.arg)
	if !valid {
		return fault.New(fault.NotFound, "ResourceNotFound", "%s is not the tarball of a version of %s.", rt.arg, packument.FullName(rt.id))
	}
	r.About(rt.id, version)
	if err := h.Packages.AuthorizedPackage(r.Context(), r.Repository, rt.id, "codeartifact:DeletePackageVersions"); err != nil {
		return err
	}
	p, err := h.Packages.Package(r.Context(), r.Repository, rt.id)
	if e := fault.From(err); e != nil && e.Kind != fault.NotFound {
		return err
	}
	if err == nil && p.Version(version) != nil {
		return fault.New(fault.Conflict, "VersionListed", "%s@%s is still in the document. Remove it from the document first; its tarball is deleted with it.", packument.FullName(rt.id), version)
	}
	return writeOK(w, r, http.StatusOK)
}

// packageAtRevision returns the package if it has the revision that the client last
// saw.
func (h *Handler) packageAtRevision(r *formats.Request, rt route) (*packages.Package, error) {
	p, err := h.Packages.Package(r.Context(), r.Repository, rt.id)
	if err != nil {
		return nil, err
	}
	if rev := documentRev(p); rev != rt.rev {
		return nil, fault.New(fault.Conflict, "RevisionMismatch", "%s changed in the meantime: its revision is %s, and the request is for %s. Try again.", packument.FullName(rt.id), rev, rt.rev)
	}
	return p, nil
}
