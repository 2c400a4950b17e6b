package swift

import (
	"errors"
	"io"
	"net/url"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// The patterns of scopes and names (specification, 3.6), without their lookaheads: no
// two hyphens or underscores follow each other, and none is at the end.
var (
	scopePattern = lazyregexp.New(`^[A-Za-z0-9](?:-?[A-Za-z0-9])*$`)
	namePattern  = lazyregexp.New(`^[A-Za-z0-9](?:[-_]?[A-Za-z0-9])*$`)
)

// The lengths of the longest names, in characters.
const (
	maxScope   = 39
	maxName    = 100
	maxVersion = 128
)

func validScope(s string) bool { return len(s) <= maxScope && scopePattern.MatchString(s) }
func validName(s string) bool  { return len(s) <= maxName && namePattern.MatchString(s) }

// semanticVersion is the pattern of Semantic Versioning 2.0.0.
var semanticVersion = lazyregexp.New(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)` +
	`(?:-(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?` +
	`(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$`)

func validVersion(s string) bool { return len(s) <= maxVersion && semanticVersion.MatchString(s) }

// pkg identifies the package with the scope and the name, in any case.
func pkg(scope, name string) packages.PackageID {
	return packages.PackageID{Format: packages.Swift, Namespace: strings.ToLower(scope), Name: strings.ToLower(name)}
}

// archiveName is the name of the asset that is the source archive.
func archiveName(id packages.PackageID, version string) string {
	return id.Name + "-" + version + ".zip"
}

// normalURL returns the same text for the addresses of one source repository: it leaves
// out the scheme, the user, "git@", ".git" and the last slash, and folds the case of the
// host. It is "" for what is not an address.
func normalURL(address string) string {
	address = strings.TrimSpace(address)
	if host, path, ok := strings.Cut(strings.TrimPrefix(address, "git@"), ":"); ok && !strings.Contains(address, "://") && !strings.Contains(host, "/") {
		address = "ssh://" + host + "/" + strings.TrimPrefix(path, "/")
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	return strings.ToLower(u.Hostname()) + strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), ".git")
}

// cutFolder splits the name of a file in an archive at its first folder.
func cutFolder(name string) (folder, below string, ok bool) {
	folder, below, ok = strings.Cut(name, "/")
	return folder, below, ok && folder != "" && below != ""
}

func invalid(code, format string, args ...any) error {
	return fault.New(fault.Invalid, code, format, args...)
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }

// CheckRelease refuses names and versions that cannot be published. Imports use it.
func CheckRelease(id packages.PackageID, version string) error {
	switch {
	case !validScope(id.Namespace) || !validName(id.Name):
		return invalid("InvalidName", "%.100q is not the scope and the name of a Swift package.", id.Namespace+"."+id.Name)
	case !validVersion(version):
		return invalid("InvalidVersion", "%.200q is not a version: see Semantic Versioning 2.0.0.", version)
	}
	return nil
}
