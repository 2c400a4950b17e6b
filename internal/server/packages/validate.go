package packages

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
)

// maxName is the length of the longest name of a package, namespace, version or
// asset, in characters (CodeArtifact API Reference, the types PackageName and so on).
const maxName = 255

func validDomain(id DomainID) error {
	n := id.Name
	ok := len(n) >= 2 && len(n) <= 50 && n[0] >= 'a' && n[0] <= 'z' && n[len(n)-1] != '-'
	for i := range len(n) {
		c := n[i]
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-')
	}
	if !ok {
		return invalid("%q cannot name a domain: use 2 to 50 of a-z, 0-9 and '-', beginning with a letter and not ending with '-'.", n)
	}
	if !arn.IsAccountID(id.Owner) {
		return invalid("%q is not an account ID: it must have 12 digits.", id.Owner)
	}
	return nil
}

func validRepository(id RepositoryID) error {
	n := id.Name
	ok := len(n) >= 2 && len(n) <= 100
	for i := range len(n) {
		c := n[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		ok = ok && (alnum || i > 0 && (c == '.' || c == '_' || c == '-'))
	}
	if !ok {
		return invalid("%q cannot name a repository: use 2 to 100 of A-Z, a-z, 0-9, '.', '_' and '-', beginning with a letter or a digit.", n)
	}
	return nil
}

// validPackage checks what all formats have in common. Handlers check the rest.
func validPackage(p PackageID) error {
	if !p.Format.Known() {
		return invalid("%q is not a package format.", p.Format)
	}
	if !validPart(p.key()) || !validPart(p.Name) {
		return invalid("%q cannot name a package: use 1 to 255 characters without '#', '/' and white space.", p.Name)
	}
	if p.Namespace != "" && !validPart(p.Namespace) {
		return invalid("%q cannot be a namespace: use 1 to 255 characters without '#', '/' and white space.", p.Namespace)
	}
	return nil
}

func validVersion(version string) error {
	if !validPart(version) {
		return invalid("%q cannot be a version: use 1 to 255 characters without '#', '/' and white space.", version)
	}
	return nil
}

func validVersions(versions []string) error {
	for _, version := range versions {
		if err := validVersion(version); err != nil {
			return err
		}
	}
	return nil
}

// validPrefix checks what a name begins with in a filter. It may be empty.
func validPrefix(prefix string) error {
	if prefix != "" && !validPart(prefix) {
		return invalid("%q cannot be the beginning of a name: use 1 to 255 characters without '#', '/' and white space.", prefix)
	}
	return nil
}

func validTag(tag string) error {
	if !validPart(tag) {
		return invalid("%q cannot be a tag: use 1 to 255 characters without '#', '/' and white space.", tag)
	}
	return nil
}

// validPart is the pattern [^#/\s]+ of the API's model, 1 to 255 characters, without
// control characters. Every text of a client that names something goes through it before
// it reaches the database: PostgreSQL has no NUL in texts, and an error of the database
// would look like a failure of the server.
func validPart(s string) bool {
	return s != "" && utf8.ValidString(s) && utf8.RuneCountInString(s) <= maxName &&
		!strings.ContainsFunc(s, func(r rune) bool { return r == '#' || r == '/' || unicode.IsSpace(r) || unicode.IsControl(r) })
}

// validAssetName is the pattern \P{C}+ of the API's model, without names that are
// paths.
func validAssetName(s string) error {
	ok := s != "" && utf8.ValidString(s) && utf8.RuneCountInString(s) <= maxName && s != "." && s != ".." &&
		!strings.ContainsFunc(s, func(r rune) bool { return r == '/' || r == '\\' || unicode.Is(unicode.C, r) })
	if !ok {
		return invalid("%q cannot name an asset: use 1 to 255 printable characters without '/' and '\\'.", s)
	}
	return nil
}
