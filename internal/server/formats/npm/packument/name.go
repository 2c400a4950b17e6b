package packument

import (
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// maxName is the longest name with its scope, in bytes (npm docs, package.json, "name").
const maxName = 214

var (
	// namePattern is a scope or a name that needs no escaping in an address.
	// Old packages have upper-case names, and a repository may have to keep them.
	namePattern = lazyregexp.New(`^[A-Za-z0-9~-][A-Za-z0-9._~-]*$`)
	// versionPattern is a version of Semantic Versioning 2.0.0, sections 2 to 10.
	// npm normalises a version to this form before it publishes.
	versionPattern = lazyregexp.New(`^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(\.(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)
)

// maxVersion is the length of the longest version that node-semver reads, in bytes.
const maxVersion = 256

// ParseName reads "name" or "@scope/name".
func ParseName(s string) (packages.PackageID, bool) {
	id := packages.PackageID{Format: packages.NPM, Name: s}
	if scoped, ok := strings.CutPrefix(s, "@"); ok {
		id.Namespace, id.Name, ok = strings.Cut(scoped, "/")
		if !ok || !namePattern.MatchString(id.Namespace) {
			return packages.PackageID{}, false
		}
	}
	if len(s) > maxName || id.Name == "-" || !namePattern.MatchString(id.Name) {
		return packages.PackageID{}, false
	}
	return id, true
}

// FullName is the inverse of [ParseName].
func FullName(id packages.PackageID) string {
	if id.Namespace == "" {
		return id.Name
	}
	return "@" + id.Namespace + "/" + id.Name
}

// ValidVersion reports whether v is a version.
func ValidVersion(v string) bool { return len(v) <= maxVersion && versionPattern.MatchString(v) }
