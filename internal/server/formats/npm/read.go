package npm

import (
	"net/http"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/httpheader"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/npm/packument"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// getDocument answers a package's document. It is rendered once for each revision,
// form and address.
func (h *Handler) getDocument(w http.ResponseWriter, r *formats.Request, rt route) error {
	p, err := h.readPackage(r, rt)
	if err != nil {
		return err
	}
	media, ok := httpheader.Negotiate(r.Header, mediaFull, mediaAbbreviated)
	if !ok {
		media = mediaFull // there is no other form, and npm's clients can read it
	}
	doc, err := h.Documents.GetWithBase(r, cacheKey(media, p, ""), func() (*formats.Document, error) {
		doc := renderer{base: r.Base, p: p}
		render := doc.full
		if media == mediaAbbreviated {
			render = doc.abbreviated
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

// cacheKey contains everything that the bytes of a document depend on, besides the
// address of the endpoint.
func cacheKey(media string, p *packages.Package, version string) string {
	return media + "\n" + packument.FullName(p.ID) + "\n" + p.Revision + "\n" + version
}

// getVersion answers the object of one version, named by version or tag.
func (h *Handler) getVersion(w http.ResponseWriter, r *formats.Request, rt route) error {
	p, err := h.readPackage(r, rt)
	if err != nil {
		return err
	}
	wanted := rt.arg
	if tagged, ok := p.Tags[wanted]; ok {
		wanted = tagged
	}
	v := p.Version(wanted)
	if v == nil {
		if packument.ValidVersion(wanted) {
			return h.Packages.WhyNotVisible(r.Context(), r.Repository, rt.id, wanted)
		}
		return fault.New(fault.NotFound, "ResourceNotFound", "%s has no version or tag %s in this repository.", packument.FullName(rt.id), rt.arg)
	}
	doc, err := h.Documents.GetWithBase(r, cacheKey(mediaFull, p, v.Version), func() (*formats.Document, error) {
		one := renderer{base: r.Base, p: p}
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
func (h *Handler) getTarball(w http.ResponseWriter, r *formats.Request, rt route) error {
	v, ok := tarballVersion(rt.id, rt.arg)
	if !ok {
		return fault.New(fault.NotFound, "ResourceNotFound", "%s is not the tarball of a version of %s.", rt.arg, packument.FullName(rt.id))
	}
	r.About(rt.id, v)
	return h.ServeAsset(w, r, rt.id, v, packument.AssetName)
}

// readPackage returns the package that a request reads.
func (h *Handler) readPackage(r *formats.Request, rt route) (*packages.Package, error) {
	r.About(rt.id, "")
	return h.Packages.Package(r.Context(), r.Repository, rt.id)
}
