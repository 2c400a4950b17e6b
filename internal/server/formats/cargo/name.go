package cargo

import (
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/cargo/stored"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// checkName checks the name of a crate.
func checkName(name string) error {
	if stored.ValidName(name) {
		return nil
	}
	return invalid("InvalidName", "%.80q cannot name a crate: use 1 to %d ASCII letters, digits, '-' and '_', beginning with a letter.", name, stored.MaxName)
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func crate(name string) packages.PackageID {
	return packages.PackageID{Format: packages.Cargo, Name: name}
}

// checkVersion checks that cargo can read a version.
func checkVersion(version string) error {
	if stored.ValidVersion(version) {
		return nil
	}
	return invalid("InvalidVersion", "%.80q is not a version: see Semantic Versioning 2.0.0. It may have %d characters.", version, stored.MaxVersion)
}

// requirement is the pattern of a version requirement (The Cargo Book, "Specifying
// Dependencies"): comparators such as ^1.2, =1.2.3-rc.1 and 1.*, separated by commas.
var (
	requirement = lazyregexp.New(`^\s*(?:[*xX]|` + comparator + `(?:\s*,\s*` + comparator + `)*\s*,?)\s*$`)
	comparator  = `(?:(?:=|>=?|<=?|~|\^)?\s*` + number + `(?:\.(?:` + number + `|[*xX])(?:\.(?:` + number + `|[*xX])` +
		`(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?)?)?)`
	number = `(?:0|[1-9]\d{0,19})`
)

const (
	maxRequirement = 512 // characters
	maxComparators = 32  // cargo reads no more
)

// validRequirement reports whether cargo can read a version requirement. Without
// spaces before and after it, it is what cargo publishes.
func validRequirement(req string) bool {
	return len(req) <= maxRequirement && strings.Count(req, ",") < maxComparators && requirement.MatchString(req)
}

// parseIndexPath is the inverse of [stored.IndexPath]. The name is in lower case.
func parseIndexPath(path string) (name string, ok bool) {
	name = path[strings.LastIndexByte(path, '/')+1:]
	return name, stored.ValidName(name) && stored.IndexPath(name) == path
}

func invalid(code, format string, args ...any) error {
	return fault.New(fault.Invalid, code, format, args...)
}

// CheckRelease refuses names and versions that cannot be published. Imports use it.
func CheckRelease(id packages.PackageID, version string) error {
	if err := checkName(id.Name); err != nil {
		return err
	}
	return checkVersion(version)
}
