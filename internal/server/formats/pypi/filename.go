package pypi

import (
	"strings"

	"deps.dev/util/pypi"
	"deps.dev/util/semver"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// The file types that an upload may have.
const (
	wheelType = "bdist_wheel"
	sdistType = "sdist"
)

var (
	// namePattern is a project's name ("Names and normalization" in the Python
	// Packaging User Guide).
	namePattern = lazyregexp.New(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)
	filePattern = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._+!-]*$`)
)

// The longest project name, version and file name, in bytes.
const (
	maxName     = 200
	maxVersion  = 200
	maxFileName = 240
)

// A release is a project's name and a version as the uploader spelled them.
type release struct{ name, version string }

func checkName(name string) error {
	if len(name) > maxName || !namePattern.MatchString(name) {
		return invalid("InvalidName", "%q is not the name of a project: a name has letters, digits, '.', '_' and '-', and begins and ends with a letter or digit.", name)
	}
	return nil
}

// checkRelease refuses an invalid name and an invalid version (PEP 440).
func checkRelease(r release) error {
	if err := checkName(r.name); err != nil {
		return err
	}
	if _, err := semver.PyPI.Parse(r.version); err != nil || len(r.version) > maxVersion {
		return invalid("InvalidVersion", "%q is not a version: see PEP 440.", r.version)
	}
	return nil
}

// checkFileName refuses a file name that does not fit the file type and the release.
func checkFileName(file, fileType string, r release) error {
	if len(file) > maxFileName || !filePattern.MatchString(file) {
		return invalid("InvalidFilename", "%q cannot be the file name of a distribution.", file)
	}
	var name, version string
	switch {
	case fileType == wheelType && strings.HasSuffix(file, ".whl"):
		w, err := pypi.ParseWheelName(file)
		if err != nil {
			return invalid("InvalidFilename", "%q is not the file name of a wheel, which is name-version[-build]-python-abi-platform.whl (PEP 427).", file)
		}
		name, version = w.Name, w.Version
	case fileType == sdistType && (strings.HasSuffix(file, ".tar.gz") || strings.HasSuffix(file, ".zip")):
		n, v, err := pypi.SdistVersion(pypi.CanonPackageName(r.name), file)
		if err != nil {
			return invalid("InvalidFilename", "%q is not the file name of a source distribution of %s, which is name-version.tar.gz (PEP 625).", file, r.name)
		}
		name, version = n, v
	default:
		return invalid("InvalidFilename", "A file %q of the type %q is not accepted: upload wheels (.whl, %s) and source distributions (.tar.gz, %s).", file, fileType, wheelType, sdistType)
	}
	if !sameRelease(r, release{name, version}) {
		return invalid("InvalidFilename", "The file name %q says %s %s, but the form says %s %s.", file, name, version, r.name, r.version)
	}
	return nil
}

// fileProject returns the project of a file by its name alone, or "". A source
// distribution's name ends before the first hyphen after which there is a version.
func fileProject(file string) string {
	if strings.HasSuffix(file, ".whl") {
		if w, err := pypi.ParseWheelName(file); err == nil {
			return w.Name
		}
		return ""
	}
	stem, ok := strings.CutSuffix(file, ".tar.gz")
	if !ok {
		if stem, ok = strings.CutSuffix(file, ".zip"); !ok {
			return ""
		}
	}
	for i, c := range stem {
		if c != '-' {
			continue
		}
		if _, err := semver.PyPI.Parse(stem[i+1:]); err == nil && namePattern.MatchString(stem[:i]) {
			return stem[:i]
		}
	}
	return ""
}

// sameRelease compares names and versions in their normalised forms.
func sameRelease(a, b release) bool {
	return pypi.CanonPackageName(a.name) == pypi.CanonPackageName(b.name) && pypi.CanonVersion(a.version) == pypi.CanonVersion(b.version)
}

func invalid(code, format string, args ...any) error {
	return fault.New(fault.Invalid, code, format, args...)
}

// CheckRelease refuses names and versions that cannot be published. Imports use it.
func CheckRelease(id packages.PackageID, version string) error {
	return checkRelease(release{id.Name, version})
}
