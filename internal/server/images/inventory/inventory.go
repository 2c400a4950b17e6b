package inventory

import (
	"cmp"
	"slices"
	"strings"
)

// An Inventory is what is installed in an image.
type Inventory struct {
	System System `json:"system"`
	// Packages are ordered by ecosystem, name, version and path.
	Packages []Package `json:"packages"`
	// Unread names files whose packages are not known, with the reason.
	Unread []string `json:"unread,omitempty"`
	// Declared is true if the packages are those that a bill of materials lists, and not
	// what was found in the layers.
	Declared bool `json:"declared,omitempty"`
}

// A System is the distribution of an image, as os-release describes it (freedesktop.org,
// os-release(5)). It is zero if the image has none.
type System struct {
	ID      string `json:"id,omitempty"`      // such as debian
	Version string `json:"version,omitempty"` // VERSION_ID, such as 12
	Name    string `json:"name,omitempty"`    // PRETTY_NAME
}

// A Package is an installed package.
type Package struct {
	// Ecosystem is that of OSV: "Debian:12", "Alpine:v3.20", "npm", "PyPI", ….
	Ecosystem string `json:"ecosystem"`
	Name      string `json:"name"`
	Version   string `json:"version"`
	// Source and SourceVersion are those of the source package from which a package of a
	// distribution was built. Advisories are about these. They are never empty for such
	// packages, and always for others.
	Source        string `json:"source,omitempty"`
	SourceVersion string `json:"sourceVersion,omitempty"`
	Arch          string `json:"arch,omitempty"`
	// Manager is the name that ECR has for the package manager, such as OS, NODEPKG or
	// PYTHONPKG.
	Manager string `json:"manager"`
	// Path is the file in which the package was found, without a slash at the beginning.
	Path string `json:"path,omitempty"`
	// Layer is the digest of the layer with the file.
	Layer string `json:"layer,omitempty"`
}

// About returns the name and the version that advisories are about.
func (p *Package) About() (name, version string) {
	if p.Source != "" {
		return p.Source, p.SourceVersion
	}
	return p.Name, p.Version
}

// The managers, with the names of Amazon Inspector's PackageManager.
const (
	managerOS    = "OS"
	managerNode  = "NODEPKG"
	managerPip   = "PYTHONPKG"
	managerGem   = "GEMSPEC"
	managerJar   = "JAR"
	managerGo    = "GOBINARY"
	managerNuGet = "DOTNET_CORE"
	managerCargo = "CARGO"
)

// The ecosystems of languages.
const (
	NPM      = "npm"
	PyPI     = "PyPI"
	Maven    = "Maven"
	NuGet    = "NuGet"
	RubyGems = "RubyGems"
	Crates   = "crates.io"
	Go       = "Go"
)

// Managers have the name of the manager of each ecosystem of a language.
var Managers = map[string]string{
	NPM: managerNode, PyPI: managerPip, Maven: managerJar, NuGet: managerNuGet, RubyGems: managerGem, Crates: managerCargo, Go: managerGo,
}

// Ecosystem returns OSV's ecosystem of the packages of the system. It is empty if the
// system is not known.
func (s System) Ecosystem() string {
	major, rest, _ := strings.Cut(s.Version, ".")
	switch s.ID {
	case "debian":
		if major != "" {
			return "Debian:" + major
		}
	case "ubuntu":
		if s.Version != "" {
			return "Ubuntu:" + s.Version
		}
	case "alpine":
		if minor, _, _ := strings.Cut(rest, "."); minor != "" {
			return "Alpine:v" + major + "." + minor
		}
	case "wolfi":
		return "Wolfi"
	case "chainguard":
		return "Chainguard"
	}
	return ""
}

func comparePackages(a, b Package) int {
	return cmp.Or(strings.Compare(a.Ecosystem, b.Ecosystem), strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version), strings.Compare(a.Path, b.Path), strings.Compare(a.Arch, b.Arch))
}

// arrange orders the packages and removes what is there twice.
func arrange(list []Package) []Package {
	slices.SortFunc(list, comparePackages)
	return slices.CompactFunc(list, func(a, b Package) bool { return comparePackages(a, b) == 0 })
}
