package cargo

import (
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// maxName is the length of the longest name of a crate, in characters.
const maxName = 64

// checkName checks the name of a crate: ASCII letters, digits, '-' and '_', beginning
// with a letter (The Cargo Book, "Registry Index", "Name restrictions", whose
// recommendations are those of the public registry).
func checkName(name string) error {
	if validName(name) {
		return nil
	}
	return invalid("InvalidName", "%.80q cannot name a crate: use 1 to %d ASCII letters, digits, '-' and '_', beginning with a letter.", name, maxName)
}

func validName(name string) bool {
	if name == "" || len(name) > maxName || !isLetter(name[0]) {
		return false
	}
	for i := range len(name) {
		if c := name[i]; !isLetter(c) && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func crate(name string) packages.PackageID {
	return packages.PackageID{Format: packages.Cargo, Name: name}
}

// maxVersion is the length of the longest version that is accepted, in characters.
const maxVersion = 128

// semanticVersion is the pattern of Semantic Versioning 2.0.0.
var semanticVersion = lazyregexp.New(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)` +
	`(?:-(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?` +
	`(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$`)

// checkVersion checks that cargo can read a version: Semantic Versioning 2.0.0 with
// numbers of at most 64 bits.
func checkVersion(version string) error {
	if validVersion(version) {
		return nil
	}
	return invalid("InvalidVersion", "%.80q is not a version: see Semantic Versioning 2.0.0. It may have %d characters.", version, maxVersion)
}

func validVersion(version string) bool {
	if len(version) > maxVersion {
		return false
	}
	numbers := semanticVersion.FindStringSubmatch(version)
	if numbers == nil {
		return false
	}
	for _, n := range numbers[1:4] {
		if _, err := strconv.ParseUint(n, 10, 64); err != nil {
			return false
		}
	}
	return true
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

// indexPath is the path of a crate's file in the index (The Cargo Book, "Registry
// Index", "Index files").
func indexPath(name string) string {
	name = strings.ToLower(name)
	switch len(name) {
	case 0:
		return ""
	case 1, 2:
		return strconv.Itoa(len(name)) + "/" + name
	case 3:
		return "3/" + name[:1] + "/" + name
	}
	return name[:2] + "/" + name[2:4] + "/" + name
}

// parseIndexPath is the inverse of [indexPath]. The name is in lower case.
func parseIndexPath(path string) (name string, ok bool) {
	name = path[strings.LastIndexByte(path, '/')+1:]
	return name, validName(name) && indexPath(name) == path
}

// assetName is the name under which the store has a .crate. It is the name of the file
// that cargo package writes.
func assetName(name, version string) string { return name + "-" + version + ".crate" }

func invalid(code, format string, args ...any) error {
	return fault.New(fault.Invalid, code, format, args...)
}
