package ruby

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/ruby/rubygem"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// The compact index (RubyGems Guides, "Compact Index API"). Its documents have the MD5 of
// their bytes as ETag, which Bundler before 2.5 compares with what it keeps.
//
// The document versions is in versions.go.

const mediaText = "text/plain; charset=utf-8"

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
		builds := listed(p)
		if text, ok := upstreamInfo(p, builds); ok {
			return formats.NewDocument(mediaText, []byte(text)).WithMD5(), nil
		}
		b.WriteString("---\n")
		for _, build := range builds {
			g, err := build.specification()
			if err != nil {
				return nil, err
			}
			infoLine(&b, g, build.asset)
		}
		return formats.NewDocument(mediaText, []byte(b.String())).WithMD5(), nil
	})
}

// upstreamInfo returns the document of an external registry if it lists the same gems as
// the package has. Its MD5 is the one in the registry's list of versions.
func upstreamInfo(p *packages.Package, builds []build) (string, bool) {
	var about rubygem.Attributes
	if p.Attributes == nil || json.Unmarshal(p.Attributes, &about) != nil {
		return "", false
	}
	lines, complete := rubygem.ParseInfo(p.ID.Name, about.Info)
	if !complete || len(lines) != len(builds) {
		return "", false
	}
	sums := map[string]string{}
	for i := range lines {
		sums[lines[i].Gem.Number()] = lines[i].SHA256
	}
	for _, b := range builds {
		if sums[b.number()] != b.asset.SHA256 {
			return "", false
		}
	}
	return about.Info, len(sums) == len(builds)
}

// infoLine writes the line of one gem: number, runtime dependencies, and after the bar
// what the gem needs and is. The space before the bar stands without dependencies too.
func infoLine(b *strings.Builder, g *rubygem.Gem, a packages.Asset) {
	b.WriteString(g.Number())
	b.WriteByte(' ')
	for i, d := range g.Runtime() {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(d.Name + ":" + d.Requirement.Join("&"))
	}
	b.WriteString("|checksum:" + a.SHA256)
	if !g.Ruby.Any() {
		b.WriteString(",ruby:" + g.Ruby.Join("&"))
	}
	if !g.RubyGems.Any() {
		b.WriteString(",rubygems:" + g.RubyGems.Join("&"))
	}
	b.WriteString(",created_at:" + a.Published.UTC().Format(time.RFC3339) + "\n")
}

// gems returns all gems with a listed version that are published or kept here, by name.
func (h *Handler) gems(ctx context.Context, repo packages.RepositoryID) ([]*packages.Package, error) {
	var all []*packages.Package
	for id, err := range h.Names(ctx, repo, packages.Ruby) {
		if err != nil {
			return nil, err
		}
		p, err := h.Packages.StoredPackage(ctx, repo, id)
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
