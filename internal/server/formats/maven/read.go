package maven

import (
	"net/http"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/maven/document"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// getFile answers a file with its hashes, so that Maven from 3.9 on asks for no
// checksum file.
func (h *Handler) getFile(w http.ResponseWriter, r *formats.Request, l location) error {
	version := l.storedVersion()
	r.About(l.id(), version)
	asset, content, err := h.Packages.OpenAsset(r.Context(), r.Repository, l.id(), version, l.name)
	if err != nil {
		return err
	}
	formats.AssetSums(asset).SetChecksums(w.Header())
	w.Header().Set("Last-Modified", asset.Published.UTC().Format(http.TimeFormat))
	return formats.ServeAsset(w, r.Request, asset, content)
}

// getFileChecksum answers a hash of a file.
func (h *Handler) getFileChecksum(w http.ResponseWriter, r *formats.Request, l location) error {
	version := l.storedVersion()
	r.About(l.id(), version)
	asset, err := h.Packages.FetchedAsset(r.Context(), r.Repository, l.id(), version, l.name)
	if err != nil {
		return err
	}
	formats.ServeChecksum(w, r.Request, formats.AssetSums(asset), l.algorithm)
	return nil
}

// getIndex answers a maven-metadata.xml or its checksum. Both come from one revision of
// the packages. The document has its own hashes in the header, since it may change
// before the client asks for its checksum.
func (h *Handler) getIndex(w http.ResponseWriter, r *formats.Request, l location) error {
	d, err := h.document(r, l)
	if err != nil {
		return err
	}
	if l.kind == metadataChecksum {
		formats.ServeChecksum(w, r.Request, d.Sums(), l.algorithm)
		return nil
	}
	d.Sums().SetChecksums(w.Header())
	d.Serve(w, r.Request)
	return nil
}

func (h *Handler) document(r *formats.Request, l location) (*formats.Document, error) {
	if id, version, ok := l.asSnapshot(); ok {
		return h.snapshotDocument(r, id, version)
	}
	artifact, artifactErr := h.artifact(r, l)
	if artifactErr != nil && !formats.IsNotFound(artifactErr) && !packages.IsRemoteFailure(artifactErr) {
		return nil, artifactErr
	}
	plugins, err := h.plugins(r, l)
	if err != nil {
		return nil, err
	}
	var remote []*packages.RemotePackage
	if group, ok := l.asGroup(); ok && artifact == nil {
		remote, err = h.Packages.RemoteMavenPlugins(r.Context(), r.Repository, group)
		if err != nil && !packages.IsRemoteFailure(err) {
			return nil, err
		}
	}
	if artifact == nil && len(plugins)+len(remote) == 0 {
		if err != nil {
			return nil, err
		}
		return nil, artifactErr
	}
	key := []string{r.Repository.ARN(), strings.Join(l.folder, "/")}
	if artifact != nil {
		key = append(key, artifact.Revision)
	}
	for _, p := range plugins {
		key = append(key, p.ID.Name, p.Revision)
	}
	for _, p := range remote {
		key = append(key, p.Revision)
	}
	return h.Documents.Get(strings.Join(key, "\n"), func() (*formats.Document, error) {
		var x document.Index
		if artifact != nil {
			x = artifactIndex(artifact)
		}
		for _, p := range plugins {
			if entry, ok := pluginEntry(p); ok {
				x.Plugins = append(x.Plugins, entry)
			}
		}
		err := addPlugins(&x, remote)
		return newDocument(x), err
	})
}

func newDocument(x document.Index) *formats.Document {
	return formats.NewDocument("application/xml; charset=utf-8", x.Render())
}

// snapshotDocument is the index of the builds of a snapshot. No other registry is asked:
// snapshots are not taken from outside.
func (h *Handler) snapshotDocument(r *formats.Request, id packages.PackageID, version string) (*formats.Document, error) {
	r.About(id, version)
	p, err := h.Packages.StoredPackage(r.Context(), r.Repository, id)
	if err != nil {
		return nil, err
	}
	if p.Version(version) == nil {
		return nil, h.Packages.WhyNotVisible(r.Context(), r.Repository, id, version)
	}
	return h.Documents.Get(strings.Join([]string{r.Repository.ARN(), id.Namespace, id.Name, version, p.Revision}, "\n"), func() (*formats.Document, error) {
		x, ok := snapshotIndex(p, version)
		if !ok {
			return nil, fault.New(fault.NotFound, "ResourceNotFound", "Version %s of %s has no build that can be downloaded.", version, id)
		}
		return newDocument(x), nil
	})
}

// artifact returns the package whose address the location is, if it has a visible
// version. The error is a fault ResourceNotFound if there is none.
func (h *Handler) artifact(r *formats.Request, l location) (*packages.Package, error) {
	id, ok := l.asArtifact()
	if !ok {
		return nil, notAnArtifact(l)
	}
	r.About(id, "")
	p, err := h.Packages.Package(r.Context(), r.Repository, id)
	if err != nil {
		return nil, err
	}
	if len(p.Versions) == 0 {
		return nil, fault.New(fault.NotFound, "ResourceNotFound", "%s has no version that is listed.", id)
	}
	return p, nil
}

func notAnArtifact(l location) error {
	return fault.New(fault.NotFound, "ResourceNotFound", "/%s is not the address of an artifact or of a group with plug-ins.", strings.Join(l.folder, "/"))
}

// plugins returns the plug-ins of the group whose address the location is.
func (h *Handler) plugins(r *formats.Request, l location) ([]*packages.Package, error) {
	group, ok := l.asGroup()
	if !ok {
		return nil, nil
	}
	named, err := h.Packages.PackagesIn(r.Context(), r.Repository, packages.Maven, group)
	if err != nil {
		return nil, err
	}
	var plugins []*packages.Package
	for _, n := range named {
		if !isPlugin(n) {
			continue
		}
		p, err := h.Packages.Package(r.Context(), r.Repository, n.ID)
		if formats.IsNotFound(err) { // hidden, or deleted since
			continue
		}
		if err != nil {
			return nil, err
		}
		if _, ok := pluginEntry(p); ok {
			plugins = append(plugins, p)
		}
	}
	return plugins, nil
}
