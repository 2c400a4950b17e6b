package nuget

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/archive"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/nuget/nupkg"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

const mediaJSON = "application/json"

// A resource is an entry of the service index.
type resource struct {
	ID            string `json:"@id"`
	Type          string `json:"@type"`
	ClientVersion string `json:"clientVersion,omitempty"`
}

// resources are what the service index announces. Each client looks for other types, and
// ignores those that it does not know: nuget.exe 5 searches only in a plain
// SearchQueryService or /3.0.0-beta, NuGet 5.4 fails on a source without
// RegistrationsBaseUrl/3.4.0, and Paket wants the addresses of folders to end in a slash.
func resources(base string) []resource {
	var all []resource
	add := func(path, name string, versions ...string) {
		for _, v := range versions {
			all = append(all, resource{ID: base + path, Type: name + v})
		}
	}
	add(flatFolder, "PackageBaseAddress", "/3.0.0")
	add(semVer1Folder, "RegistrationsBaseUrl", "", "/3.0.0-beta", "/3.0.0-rc", "/3.4.0")
	add(semVer2Folder, "RegistrationsBaseUrl", "/3.6.0")
	all = append(all, resource{base + semVer2Folder, "RegistrationsBaseUrl/Versioned", "4.3.0-alpha"})
	add(queryPath, "SearchQueryService", "", "/3.0.0-beta", "/3.0.0-rc", "/3.5.0")
	add(completePath, "SearchAutocompleteService", "", "/3.0.0-beta", "/3.0.0-rc", "/3.5.0")
	add(publishPath, "PackagePublish", "/2.0.0")
	add(symbolsPath, "SymbolPackagePublish", "/4.9.0")
	add(flatFolder+"{lower_id}/{lower_version}/readme", "ReadmeUriTemplate", "/6.13.0")
	return all
}

func (h *Handler) getServiceIndex(w http.ResponseWriter, r *formats.Request, _ route) error {
	if err := h.Packages.Authorized(r.Context(), r.Repository, "codeartifact:ReadFromRepository"); err != nil {
		return err
	}
	return serveJSON(w, r, map[string]any{"version": "3.0.0", "resources": resources(r.Base)})
}

func serveJSON(w http.ResponseWriter, r *formats.Request, v any) error {
	doc, err := newJSON(v)
	if err != nil {
		return err
	}
	doc.Serve(w, r.Request)
	return nil
}

func newJSON(v any) (*formats.Document, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return formats.NewDocument(mediaJSON, b.Bytes()), nil
}

// readPackage returns a package with the versions that clients may know about.
func (h *Handler) readPackage(r *formats.Request, rt route, version string) (*packages.Package, error) {
	id := packageID(rt.id)
	r.About(id, version)
	return h.Packages.Package(r.Context(), r.Repository, id)
}

// getVersionList answers the versions that can be downloaded, unlisted ones too: that is
// why a lock file goes on working after its version was unlisted.
func (h *Handler) getVersionList(w http.ResponseWriter, r *formats.Request, rt route) error {
	p, err := h.readPackage(r, rt, "")
	if err != nil {
		return err
	}
	doc, err := h.Documents.Get("list\n"+r.Repository.ARN()+"\n"+p.ID.Name+"\n"+p.Revision, func() (*formats.Document, error) {
		all := []string{}
		for _, v := range sortedVersions(p, anyVersion) {
			if parsed, ok := nupkg.ParseVersion(v.Version); ok {
				all = append(all, parsed.Lower())
			}
		}
		if len(all) == 0 {
			return nil, errNotRegistered
		}
		return newJSON(map[string]any{"versions": all})
	})
	if errors.Is(err, errNotRegistered) {
		return h.Packages.WhyNotVisible(r.Context(), r.Repository, p.ID, "")
	}
	if err != nil {
		return err
	}
	doc.Serve(w, r.Request)
	return nil
}

// sortedVersions returns the listed and unlisted versions of a package that are wanted, in
// NuGet's order.
func sortedVersions(p *packages.Package, wanted func(*packages.Version) bool) []*packages.Version {
	var all []*packages.Version
	for v := range p.Downloadable() {
		if wanted(v) {
			all = append(all, v)
		}
	}
	slices.SortFunc(all, func(a, b *packages.Version) int { return packages.NuGet.Compare(a.Version, b.Version) })
	return all
}

func anyVersion(*packages.Version) bool { return true }

// getContent answers a package, or what is read out of it.
func (h *Handler) getContent(w http.ResponseWriter, r *formats.Request, rt route) error {
	id := packageID(rt.id)
	r.About(id, rt.version)
	v, ok := nupkg.ParseVersion(rt.version)
	if !ok {
		return h.Packages.WhyNotVisible(r.Context(), r.Repository, id, "")
	}
	switch rt.file {
	case nupkg.AssetName(rt.id, v), nupkg.SymbolsName(rt.id, v):
		return h.ServeAsset(w, r, id, v.Normal, rt.file)
	case rt.id + ".nuspec":
		return h.getInside(w, r, id, v, "application/xml", (*nupkg.File).RawManifest)
	case "readme":
		return h.getInside(w, r, id, v, "text/markdown; charset=utf-8", (*nupkg.File).OwnReadme)
	}
	return fault.New(fault.NotFound, "NotFound", "Version %s of %s has no file %s. It has %s.", v.Normal, rt.id, rt.file, nupkg.AssetName(rt.id, v))
}

// getInside answers a file in a package.
func (h *Handler) getInside(w http.ResponseWriter, r *formats.Request, id packages.PackageID, v nupkg.Version, media string, read func(*nupkg.File) ([]byte, error)) error {
	asset, object, err := h.Packages.OpenAsset(r.Context(), r.Repository, id, v.Normal, nupkg.AssetName(id.Name, v))
	if err != nil {
		return err
	}
	defer object.Close()
	missing := fault.New(fault.NotFound, "NotFound", "Version %s of %s has no such file.", v.Normal, id.Name)
	ctx := context.WithoutCancel(r.Context()) // other clients wait for it, too
	render := func() (*formats.Document, error) {
		return h.Documents.Render(ctx, func() (*formats.Document, error) {
			release, err := h.Archives.Acquire(ctx, asset.Size, archive.Limits{})
			if err != nil {
				return nil, err
			}
			defer release()
			p, err := nupkg.Open(ctx, object, asset.Size)
			if err != nil {
				return nil, err
			}
			raw, err := read(p)
			if err == nil && len(raw) == 0 {
				err = missing
			}
			return formats.NewDocument(media, raw), err
		})
	}
	// Opening a package reads its whole directory, so what is in it is kept. The hash is
	// not known while the package still comes from an external registry: then nothing
	// tells it from other packages.
	var doc *formats.Document
	if asset.SHA256 == "" {
		doc, err = render()
	} else {
		doc, err = h.Documents.Get("inside\n"+media+"\n"+asset.SHA256, render)
	}
	if err != nil {
		return err
	}
	doc.Serve(w, r.Request)
	return nil
}
