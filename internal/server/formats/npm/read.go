package npm

import (
	"net/http"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/httpheader"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// getDocument answers a package's document, rendered once for each revision,
// form and address.
func (d *Door) getDocument(w http.ResponseWriter, r *formats.Request, rt route) error {
	p, err := d.read(r, rt)
	if err != nil {
		return err
	}
	media, ok := httpheader.Negotiate(r.Header, mediaFull, mediaAbbreviated)
	if !ok {
		media = mediaFull // there is nothing else, and clients of npm know it
	}
	doc, err := d.documents.Get(cacheKey(media, r.Base, p, ""), func() (*formats.Document, error) {
		rendering := rendering{base: r.Base, p: p}
		render := rendering.full
		if media == mediaAbbreviated {
			render = rendering.abbreviated
		}
		body, err := render()
		if err != nil {
			return nil, err
		}
		return formats.NewDocument(media, body), nil
	})
	if err != nil {
		return err
	}
	doc.Serve(w, r.Request)
	return nil
}

// cacheKey names a document by all that its bytes depend on.
func cacheKey(media, base string, p *packages.Package, version string) string {
	return media + "\n" + base + "\n" + fullName(p.ID) + "\n" + p.Revision + "\n" + version
}

// getVersion answers one version's object, by its version or a tag.
func (d *Door) getVersion(w http.ResponseWriter, r *formats.Request, rt route) error {
	p, err := d.read(r, rt)
	if err != nil {
		return err
	}
	wanted := rt.arg
	if tagged, ok := p.Tags[wanted]; ok {
		wanted = tagged
	}
	v := p.Version(wanted)
	if v == nil {
		return fault.New(fault.NotFound, "ResourceNotFound", "There is no version or tag %s of %s in this repository.", rt.arg, fullName(rt.id))
	}
	doc, err := d.documents.Get(cacheKey(mediaFull, r.Base, p, v.Version), func() (*formats.Document, error) {
		one := rendering{base: r.Base, p: p}
		if err := one.version(v, func(string) bool { return true }); err != nil {
			return nil, err
		}
		return formats.NewDocument(mediaFull, one.out), nil
	})
	if err != nil {
		return err
	}
	doc.Serve(w, r.Request)
	return nil
}

// getTarball answers a version's tarball.
func (d *Door) getTarball(w http.ResponseWriter, r *formats.Request, rt route) error {
	v, ok := tarballVersion(rt.id, rt.arg)
	if !ok {
		return fault.New(fault.NotFound, "ResourceNotFound", "%s is not the tarball of a version of %s.", rt.arg, fullName(rt.id))
	}
	r.Operation("ReadFromRepository", rt.id, v)
	asset, content, err := d.packages.OpenAsset(r.Context(), r.Repository, rt.id, v, assetName)
	if err != nil {
		return err
	}
	formats.ServeAsset(w, r.Request, asset, content)
	return nil
}

// read returns the package that a request reads.
func (d *Door) read(r *formats.Request, rt route) (*packages.Package, error) {
	r.Operation("ReadFromRepository", rt.id, "")
	return d.packages.Package(r.Context(), r.Repository, rt.id)
}
