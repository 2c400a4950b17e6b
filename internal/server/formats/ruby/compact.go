package ruby

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// The compact index (RubyGems Guides, "Compact Index API"). Its documents have the MD5 of
// their bytes as ETag, which Bundler before 2.5 compares with what it keeps.
//
// The document versions is made anew, sorted by name, whenever a gem changes. So an older
// one is never the beginning of a newer one, and a client that asks for the rest of it
// (Range) gets the whole.

const mediaText = "text/plain; charset=utf-8"

// createdAt stands in the first line of versions. It says when the document was begun,
// which nobody needs, and must not change with each rendering.
const createdAt = "2024-01-01T00:00:00Z"

// getRoot tells gem that the repository exists. gem 3.3 asks before it goes on with the
// compact index.
func (h *Handler) getRoot(w http.ResponseWriter, r *formats.Request, _ route) error {
	if err := h.Packages.Authorized(r.Context(), r.Repository, "codeartifact:ReadFromRepository"); err != nil {
		return err
	}
	formats.WriteText(w, r, http.StatusOK, "This is a repository of gems.\n")
	return nil
}

// getInfo answers the versions of a gem.
func (h *Handler) getInfo(w http.ResponseWriter, r *formats.Request, rt route) error {
	r.About(packageID(rt.name), "")
	p, err := h.Packages.Package(r.Context(), r.Repository, packageID(rt.name))
	if err != nil {
		return err
	}
	doc, err := h.info(r, p)
	if err != nil {
		return err
	}
	doc.Serve(w, r.Request)
	return nil
}

// info is the document of a gem. It is rendered once for each revision.
func (h *Handler) info(r *formats.Request, p *packages.Package) (*formats.Document, error) {
	return h.Documents.Get("info\n"+r.Repository.ARN()+"\n"+p.ID.Name+"\n"+p.Revision, func() (*formats.Document, error) {
		var b strings.Builder
		b.WriteString("---\n")
		for _, build := range listed(p) {
			g, err := build.specification()
			if err != nil {
				return nil, err
			}
			infoLine(&b, g, build.asset)
		}
		return formats.NewDocument(mediaText, []byte(b.String())).WithMD5(), nil
	})
}

// infoLine writes the line of one gem: number, runtime dependencies, and after the bar
// what the gem needs and is. The space before the bar stands without dependencies too.
func infoLine(b *strings.Builder, g *gem, a packages.Asset) {
	b.WriteString(g.number())
	b.WriteByte(' ')
	for i, d := range g.runtime() {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(d.Name + ":" + d.Requirement.join("&"))
	}
	b.WriteString("|checksum:" + a.SHA256)
	if !g.Ruby.any() {
		b.WriteString(",ruby:" + g.Ruby.join("&"))
	}
	if !g.RubyGems.any() {
		b.WriteString(",rubygems:" + g.RubyGems.join("&"))
	}
	b.WriteString(",created_at:" + a.Published.UTC().Format(time.RFC3339) + "\n")
}

// gems returns all gems with a listed version, by name.
func (h *Handler) gems(ctx context.Context, repo packages.RepositoryID) ([]*packages.Package, error) {
	var all []*packages.Package
	for id, err := range h.Names(ctx, repo, packages.Ruby) {
		if err != nil {
			return nil, err
		}
		p, err := h.Packages.Package(ctx, repo, id)
		if formats.IsNotFound(err) {
			continue // deleted since it was listed
		}
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// getVersions answers the list of all versions of all gems, with the MD5 of each gem's
// document, by which Bundler knows that it must fetch it again.
func (h *Handler) getVersions(w http.ResponseWriter, r *formats.Request, _ route) error {
	return h.serveIndex(w, r, "versions", func(all []*packages.Package) (*formats.Document, error) {
		var b strings.Builder
		b.WriteString("created_at: " + createdAt + "\n---\n")
		for _, p := range all {
			info, err := h.info(r, p)
			if err != nil {
				return nil, err
			}
			var numbers []string
			for _, build := range listed(p) {
				numbers = append(numbers, build.number())
			}
			if len(numbers) == 0 {
				continue
			}
			sum := md5.Sum(info.Body())
			b.WriteString(p.ID.Name + " " + strings.Join(numbers, ",") + " " + hex.EncodeToString(sum[:]) + "\n")
		}
		return formats.NewDocument(mediaText, []byte(b.String())).WithMD5(), nil
	})
}

// getNames answers the names of all gems.
func (h *Handler) getNames(w http.ResponseWriter, r *formats.Request, _ route) error {
	return h.serveIndex(w, r, "names", func(all []*packages.Package) (*formats.Document, error) {
		var b strings.Builder
		b.WriteString("---\n")
		for _, p := range all {
			b.WriteString(p.ID.Name + "\n")
		}
		return formats.NewDocument(mediaText, []byte(b.String())).WithMD5(), nil
	})
}

// serveIndex answers a document about all gems, which is rendered again only if one of
// them has changed.
func (h *Handler) serveIndex(w http.ResponseWriter, r *formats.Request, kind string, render func([]*packages.Package) (*formats.Document, error)) error {
	doc, err := h.Index(r, kind, func(ctx context.Context) (*formats.Document, error) {
		all, err := h.gems(ctx, r.Repository)
		if err != nil {
			return nil, err
		}
		return render(all)
	})
	if err != nil {
		return err
	}
	doc.Serve(w, r.Request)
	return nil
}
