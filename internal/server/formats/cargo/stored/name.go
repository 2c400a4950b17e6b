package stored

import (
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
)

// MaxName and MaxVersion are the lengths of the longest name and version of a crate, in
// characters.
const (
	MaxName    = 64
	MaxVersion = 128
)

// ValidName reports whether a crate can have the name: ASCII letters, digits, '-' and '_',
// beginning with a letter (The Cargo Book, "Registry Index", "Name restrictions", whose
// recommendations are those of the public registry).
func ValidName(name string) bool {
	if name == "" || len(name) > MaxName || !isLetter(name[0]) {
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

// semanticVersion is the pattern of Semantic Versioning 2.0.0.
var semanticVersion = lazyregexp.New(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)` +
	`(?:-(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?` +
	`(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$`)

// ValidVersion reports whether cargo can read a version: Semantic Versioning 2.0.0 with
// numbers of at most 64 bits.
func ValidVersion(version string) bool {
	if len(version) > MaxVersion {
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

// IndexPath is the path of a crate's file in the index (The Cargo Book, "Registry
// Index", "Index files").
func IndexPath(name string) string {
	name = strings.ToLower(name)
	if name == "" {
		return ""
	}
	return Prefix(name) + "/" + name
}

// Prefix is the folder of a crate's file in the index, with the case of the name. The name
// must not be empty.
func Prefix(name string) string {
	switch len(name) {
	case 1, 2:
		return strconv.Itoa(len(name))
	case 3:
		return "3/" + name[:1]
	}
	return name[:2] + "/" + name[2:4]
}

// AssetName is the name under which the store has a .crate. It is the name of the file
// that cargo package writes.
func AssetName(name, version string) string { return name + "-" + version + ".crate" }
