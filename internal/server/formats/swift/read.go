package swift

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// A releaseLink is a release in the list of releases.
type releaseLink struct {
	URL string `json:"url"`
}

// getReleases answers the releases that clients may choose from.
func (h *Handler) getReleases(w http.ResponseWriter, r *formats.Request, rt route) error {
	r.About(rt.id, "")
	p, err := h.Packages.Package(r.Context(), r.Repository, rt.id)
	if err != nil {
		return err
	}
	base := r.Base + rt.scope + "/" + rt.name
	doc, err := h.Documents.GetWithBase(r, rt.scope+"/"+rt.name+"\n"+p.Revision, func() (*formats.Document, error) {
		list := make(map[string]releaseLink, len(p.Versions))
		for _, v := range p.Versions {
			list[v.Version] = releaseLink{base + "/" + v.Version}
		}
		body, err := json.Marshal(map[string]any{"releases": list}, json.Deterministic(true))
		if err != nil {
			return nil, err
		}
		return formats.NewDocument("application/json", body), nil
	})
	if err != nil {
		return err
	}
	if v := p.Highest(); v != nil {
		w.Header().Add("Link", fmt.Sprintf("<%s/%s>; rel=\"latest-version\"", base, v.Version))
	}
	doc.Serve(w, r.Request)
	return nil
}

// A releaseDocument is what is answered about a release (specification, 4.2).
type releaseDocument struct {
	ID        string         `json:"id"`
	Version   string         `json:"version"`
	Resources []resource     `json:"resources"`
	Metadata  jsontext.Value `json:"metadata"`
	// PublishedAt has no fraction: Swift 6.0 cannot read one.
	PublishedAt string `json:"publishedAt"`
}

type resource struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Checksum string   `json:"checksum"`
	Signing  *signing `json:"signing,omitempty"`
}

type signing struct {
	Signature string `json:"signatureBase64Encoded"`
	Format    string `json:"signatureFormat"`
}

// getRelease answers what is known about a release.
func (h *Handler) getRelease(w http.ResponseWriter, r *formats.Request, rt route) error {
	p, v, m, err := h.version(r, rt)
	if err != nil {
		return err
	}
	doc := releaseDocument{ID: m.Scope + "." + m.Name, Version: v.Version, Metadata: m.Metadata, PublishedAt: v.Published.UTC().Format(time.RFC3339)}
	if len(doc.Metadata) == 0 {
		doc.Metadata = jsontext.Value("{}")
	}
	if a := v.Asset(archiveName(rt.id, v.Version)); a != nil {
		archive := resource{Name: "source-archive", Type: "application/zip", Checksum: a.SHA256}
		if len(m.Signature) > 0 {
			archive.Signing = &signing{base64.StdEncoding.EncodeToString(m.Signature), m.Format}
		}
		doc.Resources = append(doc.Resources, archive)
	}
	body, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	if latest := p.Highest(); latest != nil {
		w.Header().Add("Link", fmt.Sprintf("<%s%s/%s/%s>; rel=\"latest-version\"", r.Base, rt.scope, rt.name, latest.Version))
	}
	formats.NewDocument("application/json", body).Serve(w, r.Request)
	return nil
}

// version returns a release that can be downloaded, listed or not.
func (h *Handler) version(r *formats.Request, rt route) (*packages.Package, *packages.Version, versionMetadata, error) {
	r.About(rt.id, rt.version)
	p, err := h.Packages.Package(r.Context(), r.Repository, rt.id)
	if err != nil {
		return nil, nil, versionMetadata{}, err
	}
	v := p.Version(rt.version)
	if v == nil {
		return nil, nil, versionMetadata{}, h.Packages.WhyNotVisible(r.Context(), r.Repository, rt.id, rt.version)
	}
	m, err := decodeMetadata(v.Metadata)
	return p, v, m, err
}

// getManifest answers Package.swift, or the manifest for the version of Swift that the
// client names. If the release has none for it, it redirects to Package.swift
// (specification, 4.3).
func (h *Handler) getManifest(w http.ResponseWriter, r *formats.Request, rt route) error {
	_, v, m, err := h.version(r, rt)
	if err != nil {
		return err
	}
	file := packageSwift
	if wanted := r.URL.Query().Get("swift-version"); wanted != "" {
		name, ok := manifestFile(wanted)
		if !ok {
			return fault.New(fault.Invalid, "InvalidSwiftVersion", "%.50q is not a version of Swift.", wanted)
		}
		if v.Sidecar(name) == nil {
			w.Header().Set("Location", r.Base+rt.scope+"/"+rt.name+"/"+rt.version+"/"+packageSwift)
			w.WriteHeader(http.StatusSeeOther)
			return nil
		}
		file = name
	}
	asset, content, err := h.Packages.OpenAsset(r.Context(), r.Repository, rt.id, v.Version, file)
	if err != nil {
		return err
	}
	defer content.Close()
	text := make([]byte, asset.Size) // at most maxManifest
	if _, err := content.ReadAt(text, 0); err != nil && asset.Size > 0 && !isEOF(err) {
		return err
	}
	if file == packageSwift {
		for _, other := range m.Manifests {
			if other.File != packageSwift {
				swift := strings.TrimSuffix(strings.TrimPrefix(other.File, "Package@swift-"), ".swift")
				w.Header().Add("Link", fmt.Sprintf("<%s%s/%s/%s/%s?swift-version=%s>; rel=\"alternate\"; filename=\"%s\"; swift-tools-version=\"%s\"",
					r.Base, rt.scope, rt.name, rt.version, packageSwift, swift, other.File, other.ToolsVersion))
			}
		}
	}
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", file))
	formats.NewDocument("text/x-swift", text).Serve(w, r.Request)
	return nil
}

// getArchive answers the source archive.
func (h *Handler) getArchive(w http.ResponseWriter, r *formats.Request, rt route) error {
	_, v, m, err := h.version(r, rt)
	if err != nil {
		return err
	}
	name := archiveName(rt.id, v.Version)
	asset, content, err := h.Packages.OpenAsset(r.Context(), r.Repository, rt.id, v.Version, name)
	if err != nil {
		return err
	}
	sum, err := hex.DecodeString(asset.SHA256)
	if err != nil {
		content.Close()
		return err
	}
	header := w.Header()
	header.Set("Content-Type", "application/zip") // the client requires it
	header.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
	header.Set("Digest", "sha-256="+base64.StdEncoding.EncodeToString(sum))
	if len(m.Signature) > 0 {
		header.Set("X-Swift-Package-Signature-Format", m.Format)
		header.Set("X-Swift-Package-Signature", base64.StdEncoding.EncodeToString(m.Signature))
	}
	return formats.ServeAsset(w, r.Request, asset, content)
}

// getIdentifiers answers the packages of a source repository (specification, 4.5).
func (h *Handler) getIdentifiers(w http.ResponseWriter, r *formats.Request, _ route) error {
	address := r.URL.Query().Get("url")
	wanted := normalURL(address)
	if wanted == "" {
		return fault.New(fault.Invalid, "InvalidURL", "The parameter url must be the address of a source repository.")
	}
	found, _, err := h.Packages.Search(r.Context(), r.Repository, packages.Swift, packages.SearchPage{Size: maxIdentifiers},
		func(_ packages.PackageID, text string) bool { return hasLine(text, wanted) })
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return fault.New(fault.NotFound, "ResourceNotFound", "No package of this repository names %.200q as its source.", address)
	}
	names := make([]string, 0, len(found))
	for _, id := range found {
		names = append(names, id.Namespace+"."+id.Name)
	}
	body, err := json.Marshal(map[string][]string{"identifiers": names})
	if err != nil {
		return err
	}
	formats.NewDocument("application/json", body).Serve(w, r.Request)
	return nil
}

const maxIdentifiers = 100
