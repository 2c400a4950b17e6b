package maven

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/archive"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/maven/document"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// The parts of a version that are read when they are published.
var (
	pomPart = part{"", "pom"}
	jarPart = part{"", "jar"}
)

// putFile adds a file to its version, which is Unfinished until the index of the
// artifact is put.
func (h *Handler) putFile(w http.ResponseWriter, r *formats.Request, l location) error {
	version := l.storedVersion()
	r.About(l.id(), version)
	if err := h.Packages.AuthorizedPackage(r.Context(), r.Repository, l.id(), "codeartifact:PublishPackageVersion"); err != nil {
		return err
	}
	if err := l.checkPublishable(); err != nil {
		return err
	}
	of, _ := l.part()
	limit := h.MaxAsset
	if of == pomPart {
		limit = min(limit, document.MaxPOM)
	}
	content, err := h.Packages.Stage(r.Context(), r.Repository, l.id(), r.Body, limit)
	if err != nil {
		return err
	}
	defer content.Discard()
	p := packages.Publication{Repository: r.Repository, Package: l.id(), Version: version, Status: packages.Unfinished}
	asset := packages.StagedAsset{Name: l.name, Content: content}
	switch of {
	case pomPart:
		err = h.describe(r, &p, &asset)
	case jarPart:
		asset.Metadata, err = describeJar(r.Context(), content, h.Archives)
	}
	if err != nil {
		return err
	}
	p.Assets = []packages.StagedAsset{asset}
	v, err := h.Packages.Publish(r.Context(), p)
	if err != nil {
		return err
	}
	if v.Status == packages.Unfinished && sendsNoIndex(r.Request) && complete(l.artifact, v) {
		if err := h.Packages.Finish(r.Context(), r.Repository, l.id(), []string{version}); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// checkPublishable refuses what would be found by no client.
func (l location) checkPublishable() error {
	if build, ok := packages.ParseMavenBuild(l.version); ok {
		return fault.New(fault.Invalid, "InvalidPath", "%s is a build of a snapshot. Its files belong to the folder %s.", l.version, build.Snapshot())
	}
	if !packages.IsMavenSnapshot(l.version) {
		return nil
	}
	if _, _, ok := l.build(); !ok {
		return fault.New(fault.Invalid, "NonUniqueSnapshot", "%s is not a file of a build with a time stamp, such as %s-%s20261129.234155-1.jar. Files of snapshots without one would change under the same name, which this repository does not accept. Publish with Maven 3, Gradle 5 or newer, or publish releases.",
			l.name, l.artifact, strings.TrimSuffix(l.version, "SNAPSHOT"))
	}
	return nil
}

// describe takes what the CodeArtifact API answers about the version from its POM.
func (h *Handler) describe(r *formats.Request, p *packages.Publication, asset *packages.StagedAsset) error {
	object, err := asset.Content.Open(r.Context())
	if err != nil {
		return err
	}
	defer object.Close()
	memory := h.Bodies.Reader(r.Request, object, xmlWeight)
	defer memory.Release()
	read := &storeReader{r: memory}
	pom, err := document.ParsePOM(read)
	if read.failure != nil {
		return read.failure
	}
	if err != nil {
		return formats.BadContent(err, "InvalidPOM", "%s is not a POM that can be read.", asset.Name)
	}
	p.Description = pom.Describe()
	m := pom.Metadata()
	if m.Packaging == jarPart.extension {
		return nil
	}
	if m.Packaging == document.PluginPackaging {
		p.Attributes = pluginAttributes
	}
	asset.Metadata, err = json.Marshal(m)
	return err
}

// A storeReader keeps an error of the store apart from the errors of a bad document.
type storeReader struct {
	r       io.Reader
	failure error
}

func (s *storeReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.failure = err
	}
	return n, err
}

func describeJar(ctx context.Context, content *packages.Staged, archives *archive.Limiter) (json.RawMessage, error) {
	prefix, err := goalPrefix(ctx, content, archives)
	if err != nil || prefix == "" {
		return nil, err
	}
	return json.Marshal(jarMetadata{prefix})
}

// sendsNoIndex reports whether the client never puts a maven-metadata.xml: Ivy, by which
// sbt publishes. Its versions would stay Unfinished.
func sendsNoIndex(r *http.Request) bool { return strings.HasPrefix(r.UserAgent(), "Apache Ivy/") }

// complete reports whether a version has its POM and the file that the POM is about.
func complete(artifact string, v *packages.Version) bool {
	hasPOM, hasMain := false, false
	for _, a := range v.Assets {
		l := location{artifact: artifact, version: v.Version, name: a.Name}
		switch of, ok := l.part(); {
		case !ok || of.classifier != "" || strings.HasSuffix(of.extension, ".asc"):
		case of == pomPart:
			hasPOM = true
			pom, _ := files(artifact, v)
			hasMain = hasMain || pom.Packaging == pomPart.extension
		default:
			hasMain = true
		}
	}
	return hasPOM && hasMain
}

// putFileChecksum compares a checksum with its file.
func (h *Handler) putFileChecksum(w http.ResponseWriter, r *formats.Request, l location) error {
	version := l.storedVersion()
	r.About(l.id(), version)
	asset, err := h.Packages.UploadedAsset(r.Context(), r.Repository, l.id(), version, l.name)
	if err != nil {
		return err
	}
	if err := formats.AssetSums(asset).CheckSent(l.algorithm, l.name, r.Body); err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// putIndex takes a maven-metadata.xml as the sign that the versions that it names are
// complete. Which index it is, its content says.
func (h *Handler) putIndex(w http.ResponseWriter, r *formats.Request, l location) error {
	if err := h.authorizeReading(r, l); err != nil {
		return err
	}
	memory := h.Bodies.Reader(r.Request, r.Body, xmlWeight)
	defer memory.Release()
	text, err := io.ReadAll(io.LimitReader(memory, document.MaxIndex+1))
	if e := (*fault.Error)(nil); errors.As(err, &e) {
		return e
	}
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "IncompleteBody", "The body ended before it was complete.")
	}
	if len(text) > document.MaxIndex {
		return fault.New(fault.TooLarge, "MetadataTooLarge", "%s is larger than %d MiB.", metadataFile, document.MaxIndex>>20)
	}
	x, err := document.ParseIndex(text)
	if err != nil { // no word about the content to a caller who may not put it
		if denied := h.authorizeIndex(r, l); denied != nil {
			return denied
		}
		return formats.BadContent(err, "InvalidMetadata", "This is not a %s that can be read.", metadataFile)
	}
	if err := h.finish(r, l, x); err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// finish ends the publication of the versions that an index names.
func (h *Handler) finish(r *formats.Request, l location, x *document.Index) error {
	if id, version, ok := l.asSnapshot(); ok {
		return h.finishPackage(r, id, version, x, x.Builds(version))
	}
	if len(x.Plugins) > 0 {
		return h.finishGroup(r, l, x)
	}
	id, ok := l.asArtifact()
	if !ok {
		if err := h.authorizeIndex(r, l); err != nil {
			return err
		}
		return notAnArtifact(l)
	}
	return h.finishPackage(r, id, "", x, x.Listed())
}

// finishPackage ends the publication of versions of a package, if the index is its.
func (h *Handler) finishPackage(r *formats.Request, id packages.PackageID, snapshot string, x *document.Index, versions []string) error {
	r.About(id, snapshot)
	if err := h.Packages.AuthorizedPackage(r.Context(), r.Repository, id, putPackageMetadata); err != nil {
		return err
	}
	if err := checkIsOf(x, id, snapshot); err != nil {
		return err
	}
	return h.Packages.Finish(r.Context(), r.Repository, id, versions)
}

const putPackageMetadata = "codeartifact:PutPackageMetadata"

// maxPlugins bounds the plug-ins of a group whose permissions one request asks for.
const maxPlugins = 1000

// finishGroup accepts the index of a group from a caller who may put the metadata of one
// of the plug-ins that it names. Nothing changes: the server knows the plug-ins by their
// files.
func (h *Handler) finishGroup(r *formats.Request, l location, x *document.Index) error {
	group, ok := l.asGroup()
	if !ok {
		return fault.New(fault.Invalid, "InvalidMetadata", "/%s is not the folder of a group, but the index names plug-ins.", strings.Join(l.folder, "/"))
	}
	var names []string
	for _, p := range x.Plugins {
		names = append(names, p.ArtifactID)
	}
	names = document.Distinct(names)
	if len(names) == 0 || len(names) > maxPlugins {
		return fault.New(fault.Invalid, "InvalidMetadata", "The index of a group names 1 to %d plug-ins, and this one names %d.", maxPlugins, len(names))
	}
	var err error
	for _, name := range names {
		id := packageID(group, name)
		r.About(id, "")
		if err = h.Packages.AuthorizedPackage(r.Context(), r.Repository, id, putPackageMetadata); err == nil {
			break
		}
	}
	if err != nil {
		return err
	}
	// The folder may be the one of an artifact too, and the client has read its index
	// with the group's.
	if id, ok := l.asArtifact(); ok && x.Versioning != nil && h.Packages.AuthorizedPackage(r.Context(), r.Repository, id, putPackageMetadata) == nil {
		return h.Packages.Finish(r.Context(), r.Repository, id, x.Listed())
	}
	return nil
}

// checkIsOf refuses an index of another artifact or snapshot.
func checkIsOf(x *document.Index, id packages.PackageID, version string) error {
	if x.GroupID != "" && x.GroupID != id.Namespace || x.ArtifactID != "" && x.ArtifactID != id.Name || version != "" && x.Version != "" && x.Version != version {
		return fault.New(fault.Invalid, "InvalidMetadata", "The address is the one of %s %s, but the index is of %s:%s %s.", id, version, x.GroupID, x.ArtifactID, x.Version)
	}
	return nil
}

// putIndexChecksum accepts the checksum of a maven-metadata.xml. It is of what the client
// put, which is not what the server has, so there is nothing to compare it with.
func (h *Handler) putIndexChecksum(w http.ResponseWriter, r *formats.Request, l location) error {
	if err := h.authorizeIndex(r, l); err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// authorizeReading authorizes reading an index that is put. A caller who may put only
// the metadata of a plug-in that the index names is known when it is read, but has read the
// index of the group before.
func (h *Handler) authorizeReading(r *formats.Request, l location) error {
	err := h.authorizeIndex(r, l)
	if err != nil && h.Packages.Authorized(r.Context(), r.Repository, "codeartifact:ReadFromRepository") == nil {
		return nil
	}
	return err
}

// authorizeIndex authorizes a caller who may put the metadata of what the address may
// stand for: a snapshot, an artifact, or all packages of a group.
func (h *Handler) authorizeIndex(r *formats.Request, l location) error {
	var ids []packages.PackageID
	if id, _, ok := l.asSnapshot(); ok {
		ids = append(ids, id)
	}
	if id, ok := l.asArtifact(); ok {
		ids = append(ids, id)
	}
	if group, ok := l.asGroup(); ok {
		ids = append(ids, packageID(group, "*"))
	}
	err := notAnArtifact(l)
	for _, id := range ids {
		r.About(id, "")
		if err = h.Packages.AuthorizedPackage(r.Context(), r.Repository, id, putPackageMetadata); err == nil {
			return nil
		}
	}
	return err
}
