package pypi

import (
	"context"
	"net/http"

	"github.com/gatehouse-registry/gatehouse/internal/httpheader"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// The media types of the simple API (PEP 691, "Content Types").
const (
	mediaText  = "text/html"
	mediaHTML  = "application/vnd.pypi.simple.v1+html"
	mediaJSON  = "application/vnd.pypi.simple.v1+json"
	latestHTML = "application/vnd.pypi.simple.latest+html"
	latestJSON = "application/vnd.pypi.simple.latest+json"
)

// negotiate chooses the form of a page. A client without a preference gets HTML, which
// the oldest clients read. ok is false if the client takes none of the forms.
func negotiate(r *formats.Request) (media string, ok bool) {
	media, ok = httpheader.Negotiate(r.Header, mediaText, mediaJSON, mediaHTML, latestJSON, latestHTML)
	switch media {
	case latestJSON:
		media = mediaJSON
	case latestHTML:
		media = mediaHTML
	}
	return media, ok
}

// notAcceptable answers 406 (PEP 691, "Version + Format Selection").
func notAcceptable(w http.ResponseWriter, r *formats.Request) error {
	const message = "No form of this page is acceptable to the client. Available are " + mediaJSON + ", " + mediaHTML + " and " + mediaText + "."
	audit.From(r.Context()).Failed("NotAcceptable", message)
	formats.WriteText(w, r, http.StatusNotAcceptable, message+"\n")
	return nil
}

// page renders a page in the chosen form.
func page(media string, asJSON, asHTML func() ([]byte, error)) (*formats.Document, error) {
	render, contentType := asHTML, media+"; charset=utf-8"
	if media == mediaJSON {
		render, contentType = asJSON, media
	}
	if media == mediaHTML {
		contentType = media
	}
	body, err := render()
	if err != nil {
		return nil, err
	}
	return formats.NewDocument(contentType, body), nil
}

// getIndex answers the list of all projects. It is rendered once for each revision of the
// index and form.
func (h *Handler) getIndex(w http.ResponseWriter, r *formats.Request, rt route) error {
	if !rt.slash {
		http.Redirect(w, r.Request, r.Base+route{kind: index, slash: true}.path(), http.StatusMovedPermanently)
		return nil
	}
	if err := h.Packages.Authorized(r.Context(), r.Repository, "codeartifact:ReadFromRepository"); err != nil {
		return err
	}
	media, ok := negotiate(r)
	if !ok {
		return notAcceptable(w, r)
	}
	doc, err := h.Index(r, media, func(ctx context.Context) (*formats.Document, error) {
		var names []string
		for id, err := range h.Names(ctx, r.Repository, packages.PyPI) {
			if err != nil {
				return nil, err
			}
			names = append(names, id.Name)
		}
		return page(media,
			func() ([]byte, error) { return indexJSON(names) },
			func() ([]byte, error) { return indexHTML(names) })
	})
	if err != nil {
		return err
	}
	doc.Serve(w, r.Request)
	return nil
}

// getDetail answers the page of a project. It is rendered once for each revision
// and form.
func (h *Handler) getDetail(w http.ResponseWriter, r *formats.Request, rt route) error {
	id := project(rt.project)
	r.About(id, "")
	if rt.project != id.Name || !rt.slash {
		http.Redirect(w, r.Request, r.Base+route{kind: detail, project: id.Name, slash: true}.path(), http.StatusMovedPermanently)
		return nil
	}
	p, err := h.Packages.Package(r.Context(), r.Repository, id)
	if err != nil {
		return err
	}
	media, ok := negotiate(r)
	if !ok {
		return notAcceptable(w, r)
	}
	doc, err := h.Documents.Get(media+"\n"+r.Repository.ARN()+"\n"+id.Name+"\n"+p.Revision, func() (*formats.Document, error) {
		return page(media,
			func() ([]byte, error) { return detailJSON(p, id.Name) },
			func() ([]byte, error) { return detailHTML(p, id.Name) })
	})
	if err != nil {
		return err
	}
	doc.Serve(w, r.Request)
	return nil
}

// getFile answers a file, or the core metadata beside it.
func (h *Handler) getFile(w http.ResponseWriter, r *formats.Request, rt route) error {
	id := project(rt.project)
	r.About(id, rt.version)
	return h.ServeAsset(w, r, id, rt.version, rt.file)
}
