package npm

import (
	"encoding/json"
	"net/http"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// updateMetadata takes a document that was changed and sent back: what `npm
// deprecate` does. The deprecation of a version is what can be changed so; what
// else a version says was published with its tarball, and stays.
func (d *Door) updateMetadata(w http.ResponseWriter, r *formats.Request, rt route, doc *publication) error {
	r.Operation("PutPackageMetadata", rt.id, "")
	p, err := d.packages.Package(r.Context(), r.Repository, rt.id)
	if err != nil {
		return err
	}
	changes := map[string]json.RawMessage{}
	for version, raw := range doc.Versions {
		v := p.Version(version)
		if v == nil {
			return fault.New(fault.Invalid, "InvalidDocument", "The document has a version %s that is not in this repository, and no tarball of it is attached.", version)
		}
		changed, err := deprecate(v.Metadata, raw)
		if err != nil {
			return err
		}
		if changed != nil {
			changes[v.Version] = changed
		}
	}
	if len(doc.Versions) == 0 {
		return fault.New(fault.Invalid, "InvalidDocument", "The document has no versions, so there is nothing in it that could be changed.")
	}
	if len(changes) > 0 {
		if err := d.packages.SetMetadata(r.Context(), r.Repository, rt.id, changes, nil); err != nil {
			return err
		}
	}
	return ok(w, r, http.StatusOK)
}

// deprecate returns the metadata with the deprecation that the client's version
// object has, or nil where that is no change. An empty message or false takes a
// deprecation back (npm docs, npm deprecate).
func deprecate(metadata, sent []byte) (json.RawMessage, error) {
	wanted, err := parseObject(sent)
	if err != nil {
		return nil, err
	}
	message := text(wanted.get("deprecated"))
	has, err := parseObject(metadata)
	if err != nil {
		return nil, err
	}
	if message == text(has.get("deprecated")) {
		return nil, nil
	}
	has = has.without("deprecated")
	if message != "" {
		has = append(has, member{"deprecated", appendString(nil, message)})
	}
	return has.encode(), nil
}

// putRevision unpublishes the versions that the client took out of the document,
// and moves the dist-tags as it did: the first step of `npm unpublish
// package@version`.
func (d *Door) putRevision(w http.ResponseWriter, r *formats.Request, rt route) error {
	r.Operation("DeletePackageVersions", rt.id, "")
	doc, tarball, err := d.receive(r, rt.id)
	if err != nil {
		return err
	}
	if tarball != nil {
		tarball.content.Discard()
		return fault.New(fault.Invalid, "InvalidDocument", "A document with a tarball is published at the package's own address.")
	}
	if len(doc.Versions) == 0 {
		return fault.New(fault.Invalid, "InvalidDocument", "The document has no versions. To unpublish a package whole, delete it.")
	}
	p, err := d.atRevision(r, rt)
	if err != nil {
		return err
	}
	var gone []string
	for _, v := range p.Versions {
		if _, kept := doc.Versions[v.Version]; !kept {
			gone = append(gone, v.Version)
		}
	}
	if len(gone) > 0 {
		if err := d.packages.DeleteVersions(r.Context(), r.Repository, rt.id, gone); err != nil {
			return err
		}
	}
	moved := map[string]string{}
	for tag, version := range doc.DistTags {
		if _, kept := doc.Versions[version]; kept && p.Tags[tag] != version {
			moved[tag] = version
		}
	}
	if err := d.setTags(r, rt.id, moved, nil); err != nil {
		return err
	}
	return ok(w, r, http.StatusCreated)
}

// deletePackage unpublishes a package whole.
func (d *Door) deletePackage(w http.ResponseWriter, r *formats.Request, rt route) error {
	r.Operation("DeletePackage", rt.id, "")
	if _, err := d.atRevision(r, rt); err != nil {
		return err
	}
	if _, err := d.packages.DeletePackage(r.Context(), r.Repository, rt.id); err != nil {
		return err
	}
	return ok(w, r, http.StatusOK)
}

// deleteTarball ends `npm unpublish package@version`. The version went with the
// document before it, and its tarball with the version: there is nothing left to
// do, or the client left the first step out.
func (d *Door) deleteTarball(w http.ResponseWriter, r *formats.Request, rt route) error {
	version, valid := tarballVersion(rt.id, rt.arg)
	if !valid {
		return fault.New(fault.NotFound, "ResourceNotFound", "%s is not the tarball of a version of %s.", rt.arg, fullName(rt.id))
	}
	r.Operation("DeletePackageVersions", rt.id, version)
	p, err := d.packages.Package(r.Context(), r.Repository, rt.id)
	if e := fault.From(err); e != nil && e.Kind != fault.NotFound {
		return err
	}
	if err == nil && p.Version(version) != nil {
		return fault.New(fault.Conflict, "VersionListed", "%s@%s is still in the document. Take it out first, and its tarball goes with it.", fullName(rt.id), version)
	}
	return ok(w, r, http.StatusOK)
}

// atRevision returns the package if it is as the client last saw it.
func (d *Door) atRevision(r *formats.Request, rt route) (*packages.Package, error) {
	p, err := d.packages.Package(r.Context(), r.Repository, rt.id)
	if err != nil {
		return nil, err
	}
	if rev := documentRev(p); rev != rt.rev {
		return nil, fault.New(fault.Conflict, "RevisionMismatch", "%s changed in the meantime: it is at revision %s, and the request is for %s. Try again.", fullName(rt.id), rev, rt.rev)
	}
	return p, nil
}
