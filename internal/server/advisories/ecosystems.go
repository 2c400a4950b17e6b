package advisories

import (
	"regexp"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/images/inventory"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// Packages of distributions and of Go cannot be in a repository, but in an image. The
// format in their packages.PackageID is the ecosystem itself, such as "Debian:12". Those of
// one release of a distribution differ from those of another, because a fix has another
// version in each.

// withReleases are the distributions whose ecosystems have a release.
var withReleases = map[string]bool{"Debian": true, "Ubuntu": true, "Alpine": true}

// withoutReleases are the others.
var withoutReleases = map[string]bool{"Wolfi": true, "Chainguard": true, inventory.Go: true}

// packageOf returns the package that a part of a document is about. ok is false if it can be
// neither in a repository nor in an image.
func packageOf(ecosystem, name string) (id packages.PackageID, ok bool) {
	if !validText(name) {
		return id, false
	}
	family, release, _ := strings.Cut(ecosystem, ":")
	if format, ok := ecosystems[family]; ok {
		return packages.ParsePackageName(format, name)
	}
	switch {
	case withoutReleases[ecosystem]:
	case withReleases[family] && release != "" && validText(release):
		ecosystem = strings.TrimSuffix(ecosystem, ":LTS") // of Ubuntu
	default:
		return id, false
	}
	return packages.PackageID{Format: packages.Format(ecosystem), Name: name}, true
}

// isSystem reports whether a format is one of packageOf that package packages does not know.
func isSystem(f packages.Format) bool {
	family, _, _ := strings.Cut(string(f), ":")
	return withReleases[family] || withoutReleases[family]
}

// An order compares versions.
type order func(a, b string) int

// orderOf returns the order of the versions of a format.
func orderOf(f packages.Format) order {
	family, _, _ := strings.Cut(string(f), ":")
	switch family {
	case "Debian", "Ubuntu":
		return compareDpkg
	case "Alpine", "Wolfi", "Chainguard":
		return compareApk
	case inventory.Go:
		return compareGo
	}
	return func(a, b string) int {
		if f.SameVersion(a, b) {
			return 0
		}
		return f.Compare(a, b)
	}
}

// affects reports whether an advisory is about a version, and in which later version that is
// fixed, if it is.
func affects(a *packages.Advisory, compare order, version string) (fixed string, affected bool) {
	for _, r := range a.Ranges {
		if r.Introduced != "0" && r.Introduced != "" && compare(version, r.Introduced) < 0 {
			continue
		}
		if r.Fixed != "" && compare(version, r.Fixed) >= 0 || r.Fixed == "" && r.LastAffected != "" && compare(version, r.LastAffected) > 0 {
			continue
		}
		return r.Fixed, true
	}
	for _, v := range a.Versions {
		if compare(v, version) == 0 {
			return "", true
		}
	}
	return "", false
}

// goPrerelease is how Go names the versions of its releases that come before one.
var goPrerelease = regexp.MustCompile(`^(\d+\.\d+)(rc|beta)(\d+)$`)

// severityIn returns the severity that a distribution gives a vulnerability in its own
// packages, or unknown: urgency of Debian, and severity of others.
func severityIn(specific any) packages.Severity {
	members, _ := specific.(map[string]any)
	for _, name := range []string{"urgency", "severity"} {
		word, _ := members[name].(string)
		word = strings.TrimRight(word, "*")
		if strings.EqualFold(word, "unimportant") || strings.EqualFold(word, "negligible") {
			return packages.Low
		}
		if s := severityOf(word); s != packages.UnknownSeverity {
			return s
		}
	}
	return packages.UnknownSeverity
}
