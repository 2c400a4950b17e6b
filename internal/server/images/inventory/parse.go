package inventory

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A file is one that a parser reads, and then what it found.
type file struct {
	path    string
	size    int64
	content io.Reader
	// vital means that the scan fails if the file cannot be read: it is the list of all
	// packages of the system.
	vital bool

	packages []Package
	system   *System
}

// add notes a package, unless its name or version cannot be one.
func (f *file) add(p Package) {
	if validText(p.Name) && validText(p.Version) {
		f.packages = append(f.packages, p)
	}
}

func (f *file) language(ecosystem, name, version string) {
	f.add(Package{Ecosystem: ecosystem, Name: strings.Clone(name), Version: strings.Clone(version), Manager: Managers[ecosystem]})
}

func validText(s string) bool {
	return s != "" && len(s) <= maxText && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// text reads the whole file, of at most limit bytes.
func (f *file) text(limit int64) ([]byte, error) {
	if f.size > limit {
		return nil, fmt.Errorf("it has %d bytes, and at most %d are read", f.size, limit)
	}
	var b bytes.Buffer
	_, err := b.ReadFrom(f.content)
	return b.Bytes(), err
}

// The sizes of the largest files that are read whole.
const (
	maxList     = 64 << 20 // of all packages of a system
	maxMetadata = 4 << 20  // of one package
	maxLock     = 16 << 20
)

type parser func(*file) error

// parserOf returns what reads a file, or nil. The paths are those at which package managers
// keep their files, so most files are not even looked at.
func parserOf(p string, h *tar.Header) parser {
	switch p {
	case "etc/os-release", "usr/lib/os-release":
		return parseOSRelease
	case "var/lib/dpkg/status":
		return parseDpkg
	case "lib/apk/db/installed", "usr/lib/apk/db/installed":
		return parseApk
	}
	dir, name := path.Split(p)
	switch {
	case dir == "var/lib/dpkg/status.d/" && !strings.HasSuffix(name, ".md5sums"): // images without a package manager
		return parseDpkg
	case isRPM(p):
		return parseRPM
	case name == "package.json" && inNodeModules(dir):
		return parsePackageJSON
	case name == "METADATA" && strings.HasSuffix(dir, ".dist-info/"), name == "PKG-INFO" && strings.HasSuffix(dir, ".egg-info/"), strings.HasSuffix(name, ".egg-info"):
		return parsePython
	case strings.HasSuffix(name, ".gemspec") && strings.HasSuffix(dir, "/specifications/"):
		return parseGemspec
	case name == "Cargo.lock":
		return parseCargoLock
	case strings.HasSuffix(name, ".deps.json"):
		return parseDotnet
	case isJavaArchive(name):
		return parseJava
	case h.Mode&0o111 != 0 && h.Size > minExecutable:
		return parseExecutable
	}
	return nil
}

// errNotReadable is that of files that are known not to be read.
var errNotReadable = errors.New("files of this kind are not read")
