package maven

import (
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/maven/document"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// artifactIndex is the index of the visible versions of a package, which has at least
// one. The newest is the highest in Maven's order and not the one published last: a fix
// of an old version is not what clients want that ask for LATEST or RELEASE.
func artifactIndex(p *packages.Package) document.Index {
	v := &document.Versioning{LastUpdated: document.Timestamp(p.Modified)}
	for _, version := range p.Versions {
		v.Versions = append(v.Versions, version.Version)
	}
	slices.SortFunc(v.Versions, packages.Maven.Compare)
	v.Latest = v.Versions[len(v.Versions)-1]
	for _, version := range slices.Backward(v.Versions) {
		if !packages.IsMavenSnapshot(version) {
			v.Release = version
			break
		}
	}
	return document.Index{GroupID: p.ID.Namespace, ArtifactID: p.ID.Name, Versioning: v}
}

// snapshotIndex is the index of the builds of a snapshot. It names files that exist and
// no others: Gradle goes by the newest build, Maven and coursier by the newest build
// that has the part. ok is false if there is no build that can be downloaded.
func snapshotIndex(p *packages.Package, version string) (x document.Index, ok bool) {
	type build struct {
		packages.MavenBuild
		*packages.Version
	}
	var newest build
	newestOf := map[part]build{}
	for v := range p.Downloadable() {
		parsed, isBuild := packages.ParseMavenBuild(v.Version)
		if !isBuild || parsed.Snapshot() != version || v.Status == packages.Unfinished {
			continue
		}
		b := build{parsed, v}
		if newest.Version == nil || newest.Before(parsed) {
			newest = b
		}
		for _, a := range v.Assets {
			l := location{artifact: p.ID.Name, version: version, name: a.Name}
			_, of, named := l.build()
			if had := newestOf[of]; named && (had.Version == nil || had.Before(parsed)) {
				newestOf[of] = b
			}
		}
	}
	if newest.Version == nil {
		return document.Index{}, false
	}
	stamp := func(b build) string { return strings.Replace(b.Timestamp, ".", "", 1) }
	v := &document.Versioning{
		Snapshot:    &document.Snapshot{Timestamp: newest.Timestamp, BuildNumber: strconv.FormatUint(newest.Number, 10)},
		LastUpdated: stamp(newest),
	}
	for of, b := range newestOf {
		v.SnapshotVersions = append(v.SnapshotVersions, document.SnapshotVersion{Classifier: of.classifier, Extension: of.extension, Value: b.Version.Version, Updated: stamp(b)})
	}
	slices.SortFunc(v.SnapshotVersions, func(a, b document.SnapshotVersion) int {
		if c := strings.Compare(a.Classifier, b.Classifier); c != 0 {
			return c
		}
		return strings.Compare(a.Extension, b.Extension)
	})
	return document.Index{GroupID: p.ID.Namespace, ArtifactID: p.ID.Name, Version: version, Versioning: v}, true
}
