package maven

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// metadataFile is the name of the index that the server writes at three levels.
const metadataFile = "maven-metadata.xml"

// What an address names.
const (
	// file is a file of a version: GROUP/ARTIFACT/VERSION/NAME.
	file formats.Kind = "file"
	// fileChecksum is the checksum of such a file.
	fileChecksum formats.Kind = "checksum"
	// metadata is a maven-metadata.xml: of a group, an artifact or a snapshot. The
	// address does not say of which: the group com.acme and the artifact acme of the
	// group com have the same.
	metadata formats.Kind = "metadata"
	// metadataChecksum is the checksum of a maven-metadata.xml.
	metadataChecksum formats.Kind = "metadata checksum"
)

// A location is an address below the endpoint, parsed.
type location struct {
	// kind is "" for an address that is not in the layout of a Maven repository.
	kind formats.Kind
	// algorithm is the one of a checksum.
	algorithm formats.Algorithm

	// folder has the segments before maven-metadata.xml.
	folder []string

	// The coordinates and the name of a file. The version is the folder's, so it is
	// X-SNAPSHOT for a file of a snapshot.
	group, artifact, version, name string
}

// parseLocation reads the escaped path below the endpoint. It is the inverse of
// [location.path].
func parseLocation(escaped string) location {
	segments := strings.Split(escaped, "/")
	for i, s := range segments {
		u, err := url.PathUnescape(s)
		if err != nil || !validSegment(u) {
			return location{}
		}
		segments[i] = u
	}
	folder, name := segments[:len(segments)-1], segments[len(segments)-1]
	var l location
	of, algorithm, isChecksum := formats.ParseChecksumName(name)
	if isChecksum {
		name, l.algorithm = of, algorithm
	}
	switch {
	case name == metadataFile:
		if len(folder) == 0 || !groupSegments(folder[:max(0, len(folder)-2)]) {
			return location{}
		}
		l.kind, l.folder = metadata, folder
		if isChecksum {
			l.kind = metadataChecksum
		}
	case len(folder) < 3 || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "maven-metadata") || !groupSegments(folder[:len(folder)-2]):
		return location{}
	default:
		n := len(folder)
		l.kind, l.name = file, name
		if isChecksum {
			l.kind = fileChecksum
		}
		l.group, l.artifact, l.version = strings.Join(folder[:n-2], "."), folder[n-2], folder[n-1]
	}
	return l
}

// validSegment reports whether a part of a path can be a part of the coordinates or
// the name of a file. The store checks the rest.
func validSegment(s string) bool {
	return s != "" && s != "." && s != ".." && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return r == '/' || r == '\\' || unicode.IsControl(r) })
}

// groupSegments reports whether the segments are the folders of a group. A group with
// a dot in a segment would have two paths.
func groupSegments(folder []string) bool {
	return !slices.ContainsFunc(folder, func(s string) bool { return strings.Contains(s, ".") })
}

// path constructs the escaped path.
func (l location) path() string {
	var segments []string
	switch l.kind {
	case metadata, metadataChecksum:
		segments = append(slices.Clone(l.folder), metadataFile)
	case file, fileChecksum:
		segments = append(strings.Split(l.group, "."), l.artifact, l.version, l.name)
	default:
		return ""
	}
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	p := strings.Join(segments, "/")
	if l.algorithm != "" {
		p += "." + string(l.algorithm)
	}
	return p
}

// packageID is the package of a group and an artifact.
func packageID(group, artifact string) packages.PackageID {
	return packages.PackageID{Format: packages.Maven, Namespace: group, Name: artifact}
}

// id is the package of a file.
func (l location) id() packages.PackageID { return packageID(l.group, l.artifact) }

// asGroup returns the group whose metadata the address names. ok is false if no group
// has this address.
func (l location) asGroup() (group string, ok bool) {
	return strings.Join(l.folder, "."), groupSegments(l.folder)
}

// asArtifact returns the artifact whose metadata the address names.
func (l location) asArtifact() (id packages.PackageID, ok bool) {
	n := len(l.folder)
	if n < 2 || !groupSegments(l.folder[:n-1]) {
		return packages.PackageID{}, false
	}
	return packageID(strings.Join(l.folder[:n-1], "."), l.folder[n-1]), true
}

// asSnapshot returns the snapshot whose metadata the address names.
func (l location) asSnapshot() (id packages.PackageID, version string, ok bool) {
	n := len(l.folder)
	if n < 3 || !packages.IsMavenSnapshot(l.folder[n-1]) {
		return packages.PackageID{}, "", false
	}
	return packageID(strings.Join(l.folder[:n-2], "."), l.folder[n-2]), l.folder[n-1], true
}

// A part says which of the files of a version a file is: the POM has the extension
// "pom" and no classifier, the main file of most has "jar".
type part struct{ classifier, extension string }

var buildPattern = lazyregexp.New(`^[0-9]{8}\.[0-9]{6}-[0-9]+`)

// build returns the version of which the file of a snapshot is a file, such as
// 1.1-20261129.234155-1, and its part. ok is false if the name has no time stamp.
func (l location) build() (version string, p part, ok bool) {
	base := strings.TrimSuffix(l.version, "SNAPSHOT")
	rest, ok := strings.CutPrefix(l.name, l.artifact+"-"+base)
	if !ok || !packages.IsMavenSnapshot(l.version) {
		return "", part{}, false
	}
	stamp := buildPattern.FindString(rest)
	p, ok = parsePart(rest[len(stamp):])
	return base + stamp, p, ok && stamp != ""
}

// storedVersion is the version of which the file is an asset: the build, for a file of
// a snapshot.
func (l location) storedVersion() string {
	if build, _, ok := l.build(); ok {
		return build
	}
	return l.version
}

// part returns the part that the file is. ok is false for a file whose name does not
// begin with the artifact and the version, which some tools publish.
func (l location) part() (part, bool) {
	if packages.IsMavenSnapshot(l.version) {
		_, p, ok := l.build()
		return p, ok
	}
	rest, ok := strings.CutPrefix(l.name, l.artifact+"-"+l.version)
	if !ok {
		return part{}, false
	}
	return parsePart(rest)
}

// parsePart reads what follows the version in the name of a file: -CLASSIFIER.EXT or
// .EXT. A classifier may have dots, and so may an extension, as in tar.gz and
// jar.asc.
func parsePart(s string) (part, bool) {
	if ext, ok := strings.CutPrefix(s, "."); ok {
		return part{"", ext}, ext != ""
	}
	s, ok := strings.CutPrefix(s, "-")
	if !ok {
		return part{}, false
	}
	end := len(s) // the extension begins before s[end:]
	for _, signature := range []string{".asc", ".sigstore.json", ".sigstore"} {
		if strings.HasSuffix(s, signature) && len(s) > len(signature) {
			end = len(s) - len(signature)
			break
		}
	}
	dot := strings.LastIndexByte(s[:end], '.')
	if dot < 0 { // a signature without a file
		dot = strings.IndexByte(s, '.')
	}
	if dot > 0 && strings.HasSuffix(s[:dot], ".tar") {
		dot -= len(".tar")
	}
	if dot <= 0 || dot == len(s)-1 {
		return part{}, false
	}
	return part{s[:dot], s[dot+1:]}, true
}

// routes is everything that Maven's clients may ask for.
func (h *Handler) routes() *formats.Table[location] {
	const read, publish, index = "ReadFromRepository", "PublishPackageVersion", "PutPackageMetadata"
	return formats.NewTable(func(escaped string) (formats.Kind, location) { l := parseLocation(escaped); return l.kind, l },
		"Files are at GROUP/ARTIFACT/VERSION/FILE with the dots of the group as slashes.",
		formats.Route[location]{Kind: file, Method: http.MethodGet, Action: read, Example: "com/acme/sample/1.0/sample-1.0.pom", Serve: h.getFile},
		formats.Route[location]{Kind: fileChecksum, Method: http.MethodGet, Action: read, Example: "com/acme/sample/1.0/sample-1.0.pom.sha1", Serve: h.getFileChecksum},
		formats.Route[location]{Kind: metadata, Method: http.MethodGet, Action: read, Example: "com/acme/sample/maven-metadata.xml", Serve: h.getIndex},
		formats.Route[location]{Kind: metadataChecksum, Method: http.MethodGet, Action: read, Example: "com/acme/sample/maven-metadata.xml.sha1", Serve: h.getIndex},
		formats.Route[location]{Kind: file, Method: http.MethodPut, Action: publish, Example: "com/acme/sample/1.0/sample-1.0.pom", Serve: h.putFile},
		formats.Route[location]{Kind: fileChecksum, Method: http.MethodPut, Action: publish, Example: "com/acme/sample/1.0/sample-1.0.pom.sha1", Serve: h.putFileChecksum},
		formats.Route[location]{Kind: metadata, Method: http.MethodPut, Action: index, Example: "com/acme/sample/maven-metadata.xml", Serve: h.putIndex},
		formats.Route[location]{Kind: metadataChecksum, Method: http.MethodPut, Action: index, Example: "com/acme/sample/maven-metadata.xml.sha1", Serve: h.putIndexChecksum},
	)
}

// CheckRelease refuses coordinates that cannot be published. Imports use it.
func CheckRelease(id packages.PackageID, version string) error {
	l := location{kind: file, group: id.Namespace, artifact: id.Name, version: version, name: id.Name + "-" + version + ".pom"}
	at := parseLocation(l.path())
	if at.kind != file || at.group != id.Namespace || at.artifact != id.Name || at.version != version {
		return fault.New(fault.Invalid, "InvalidCoordinates", "%.200q, %.200q and %.200q are not the group, the artifact and the version of a Maven artifact.", id.Namespace, id.Name, version)
	}
	return nil
}
