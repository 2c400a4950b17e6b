package nupkg

import (
	"math"
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
)

// maxVersion is the length of the longest version, in bytes.
const maxVersion = 64

// versionPattern is NuGetVersion.TryParse: up to four numbers, and the labels of
// Semantic Versioning 2.0.0.
var versionPattern = lazyregexp.New(`^(\d{1,10}(?:\.\d{1,10}){0,3})(-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$`)

// A Version is a version of a package in its two spellings.
type Version struct {
	// Full is as the package spells it.
	Full string
	// Normal is the normalised version (Microsoft Learn, "Package versioning",
	// Normalized version numbers): three or four numbers without leading zeros, the
	// fourth only if it is not 0, and no build metadata.
	Normal string
}

// ParseVersion reads a version. ok is false if NuGet could not read it.
func ParseVersion(s string) (v Version, ok bool) {
	m := versionPattern.FindStringSubmatch(s)
	if m == nil || len(s) > maxVersion {
		return Version{}, false
	}
	numbers := strings.Split(m[1], ".")
	for len(numbers) < 3 {
		numbers = append(numbers, "0")
	}
	for i, digits := range numbers {
		n, err := strconv.ParseUint(digits, 10, 64)
		if err != nil || n > math.MaxInt32 {
			return Version{}, false
		}
		numbers[i] = strconv.FormatUint(n, 10)
	}
	if len(numbers) == 4 && numbers[3] == "0" {
		numbers = numbers[:3]
	}
	return Version{Full: s, Normal: strings.Join(numbers, ".") + m[2]}, true
}

// Lower is the version in addresses and in the name of its asset.
func (v Version) Lower() string { return strings.ToLower(v.Normal) }

// needsSemVer2 reports whether only clients that know Semantic Versioning 2.0.0 can
// read the version: it has build metadata, or a dot in its labels.
func needsSemVer2(s string) bool {
	s, _, build := strings.Cut(s, "+")
	_, labels, _ := strings.Cut(s, "-")
	return build || strings.Contains(labels, ".")
}

// boundsNeedSemVer2 is [needsSemVer2] for a version range, such as
// "[1.0.0, 2.0.0-rc.1)".
func boundsNeedSemVer2(r string) bool {
	low, high, _ := strings.Cut(strings.Trim(r, "[]() "), ",")
	return needsSemVer2(strings.TrimSpace(low)) || needsSemVer2(strings.TrimSpace(high))
}

// FullRange writes a dependency's range with both bounds, as registrations have it.
// A nuspec may have a single version, which means that version or a higher one, or
// nothing, which means any (Microsoft Learn, "Package versioning", Version ranges).
func FullRange(r string) string {
	switch r = strings.TrimSpace(r); {
	case r == "":
		return "(, )"
	case r[0] == '[' || r[0] == '(':
		return r
	}
	return "[" + r + ", )"
}

// AssetName is the name of a package's file, in addresses and in the store.
func AssetName(id string, v Version) string { return strings.ToLower(id) + "." + v.Lower() + ".nupkg" }

// SymbolsName is the name of the file of a package's symbols.
func SymbolsName(id string, v Version) string {
	return strings.ToLower(id) + "." + v.Lower() + ".snupkg"
}
