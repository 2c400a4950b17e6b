package npm

import (
	"errors"
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/npm/packument"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

var tagPattern = lazyregexp.New(`^[A-Za-z0-9._~!*'()-]{1,214}$`)

// tarballName is the last element of a tarball's address. It must be the same in
// every registry, because Yarn derives it from name and version.
func tarballName(id packages.PackageID, version string) string {
	return id.Name + "-" + version + ".tgz"
}

// tarballVersion is the inverse of tarballName. The file may have the scope before
// the name, as npm writes it in a publication.
func tarballVersion(id packages.PackageID, file string) (string, bool) {
	if id.Namespace != "" {
		file = strings.TrimPrefix(file, "@"+id.Namespace+"/")
	}
	v, ok := strings.CutPrefix(file, id.Name+"-")
	if !ok {
		return "", false
	}
	v, ok = strings.CutSuffix(v, ".tgz")
	return v, ok && packument.ValidVersion(v)
}

// checkTag refuses what npm itself refuses as a dist-tag: a name that needs escaping
// in an address, and a range of versions, which a client would not look up as a tag
// (npm docs, npm dist-tag).
func checkTag(tag string) error {
	if !tagPattern.MatchString(tag) {
		return fault.New(fault.Invalid, "InvalidTag", "%q cannot be a dist-tag: a tag has 1 to 214 letters, digits and characters of -_.!~*'().", tag)
	}
	if isRange(tag) {
		return fault.New(fault.Invalid, "InvalidTag", "%q cannot be a dist-tag, because npm reads it as a range of versions.", tag)
	}
	return nil
}

// rangePattern is a range of node-semver that has no character which a tag cannot
// have: a version or a part of one, possibly after "~".
var rangePattern = lazyregexp.New(`^~?v*(` + rangePart + `)(?:\.(` + rangePart + `)(?:\.(` + rangePart + `)(?:-` + prerelease + `)?)?)?$`)

const (
	rangePart  = `0|[1-9][0-9]*|[xX*]`
	identifier = `(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)`
	prerelease = identifier + `(?:\.` + identifier + `)*`
)

// maxInteger is the largest number that node-semver reads.
const maxInteger = 1<<53 - 1

// isRange reports whether node-semver's validRange accepts the tag.
func isRange(tag string) bool {
	parts := rangePattern.FindStringSubmatch(tag)
	if parts == nil {
		return false
	}
	wildcard := false
	for _, p := range parts[1:] {
		n, err := strconv.ParseUint(p, 10, 64)
		switch {
		case errors.Is(err, strconv.ErrRange) || err == nil && (n > maxInteger || wildcard):
			return false // such as x.2
		case err != nil && p != "":
			wildcard = true
		}
	}
	return true
}

// CheckRelease refuses names and versions that cannot be published. Imports use it.
func CheckRelease(id packages.PackageID, version string) error {
	if same, ok := packument.ParseName(packument.FullName(id)); !ok || same != id {
		return fault.New(fault.Invalid, "InvalidName", "%.200q is not the name of an npm package.", packument.FullName(id))
	}
	if !packument.ValidVersion(version) {
		return fault.New(fault.Invalid, "InvalidVersion", "%.200q is not a version: see Semantic Versioning 2.0.0.", version)
	}
	return nil
}
