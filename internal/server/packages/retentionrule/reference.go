package retentionrule

import (
	"fmt"
	"strings"
)

// A Reference names one version of a package, as in a lock list.
type Reference struct {
	Package
	Version string
}

// ParseReference reads FORMAT/NAME@VERSION or FORMAT/NAMESPACE/NAME@VERSION, such as
// npm/react@18.2.0, npm/@acme/ui@1.0.0 or maven/com.acme/core@1.0. An empty namespace may
// be written too: npm//react@18.2.0.
func ParseReference(text string) (Reference, error) {
	wrong := fmt.Errorf("%q does not name a version: write FORMAT/NAME@VERSION or FORMAT/NAMESPACE/NAME@VERSION", text)
	format, rest, ok := strings.Cut(text, "/")
	if !ok {
		return Reference{}, wrong
	}
	slash := strings.LastIndexByte(rest, '/')
	namespace, name := "", rest
	if slash >= 0 {
		namespace, name = rest[:slash], rest[slash+1:]
	}
	at := strings.LastIndexByte(name, '@')
	if at < 1 || at == len(name)-1 || format == "" || strings.ContainsRune(namespace, '/') {
		return Reference{}, wrong
	}
	if format == "npm" {
		namespace = strings.TrimPrefix(namespace, "@")
	}
	return Reference{Package{format, namespace, name[:at]}, name[at+1:]}, nil
}

// ParseList reads a lock list: one reference a line. Empty lines, and lines that begin
// with "#", are skipped.
func ParseList(text string) ([]Reference, error) {
	var all []Reference
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		r, err := ParseReference(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		all = append(all, r)
	}
	return all, nil
}
