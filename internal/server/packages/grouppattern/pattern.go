// Package grouppattern has the patterns of CodeArtifact's package groups: which packages
// a pattern matches, and which of several patterns is the most specific one
// (CodeArtifact User Guide, "Package group definition syntax and matching behavior").
//
// A package has a path, /FORMAT/NAMESPACE/NAME, with two slashes if it has no namespace.
// A [Pattern] is the beginning of a path and a suffix: $ matches exactly that path, ~
// matches paths in which a word ends there, and * matches all paths that begin so.
//
// A pattern matches strongly if the path has its letters. It matches weakly if the path
// only looks like that: see [Fold]. Every strong match is a weak one too.
//
// A [Set] finds the most specific pattern for a path without looking at the others.
//
// The package is pure: it knows no domain, and imports nothing of the server.
package grouppattern

import (
	"fmt"
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The suffixes of patterns.
const (
	Exact  = '$'
	Prefix = '~'
	All    = '*'
)

// The length of a pattern, in characters (CodeArtifact API Reference,
// PackageGroupPattern).
const (
	minLength = 2
	maxLength = 520
)

// Root is the pattern that matches everything. Every domain has a group for it.
const Root = "/*"

// A Pattern is a parsed pattern. Two patterns are the same if their Strings are.
type Pattern struct {
	prefix string
	suffix byte
	folded string // Fold(prefix)
}

// A Format says how the names of a package format are written in paths.
type Format struct {
	// Namespaces is false if packages of the format have no namespace.
	Namespaces bool
	// Normalize returns the stored spelling of a name, or of the beginning of one.
	Normalize func(string) string
}

// Parse reads a pattern. format returns what is known of a format. The result has the
// stored spelling of names, so two spellings of one pattern give the same result.
func Parse(text string, format func(name string) (Format, bool)) (Pattern, error) {
	if n := utf8.RuneCountInString(text); !utf8.ValidString(text) || n < minLength || n > maxLength {
		return Pattern{}, fmt.Errorf("a pattern has %d to %d characters", minLength, maxLength)
	}
	if text == Root {
		return newPattern("/", All), nil
	}
	prefix, suffix := text[:len(text)-1], text[len(text)-1]
	if strings.IndexByte("$~*", suffix) < 0 {
		return Pattern{}, fmt.Errorf("a pattern ends with $ for one package, ~ for a prefix or * for everything")
	}
	if strings.ContainsFunc(prefix, func(r rune) bool { return r == '#' || unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return Pattern{}, fmt.Errorf("a pattern has no white space, no control characters and no #")
	}
	name, rest, ok := strings.Cut(strings.TrimPrefix(prefix, "/"), "/")
	if !ok || prefix[0] != '/' {
		return Pattern{}, fmt.Errorf("a pattern begins with a slash, a format and a slash, such as /npm/*")
	}
	f, ok := format(name)
	if !ok {
		return Pattern{}, fmt.Errorf("%q is not a package format", name)
	}
	rest, err := parseRest(rest, suffix, f)
	if err != nil {
		return Pattern{}, err
	}
	return newPattern("/"+name+"/"+rest, suffix), nil
}

// parseRest checks what follows the format and returns it with a normalized name.
func parseRest(rest string, suffix byte, f Format) (string, error) {
	namespace, name, named := strings.Cut(rest, "/")
	last, _ := utf8.DecodeLastRuneInString(rest)
	switch {
	case strings.Contains(name, "/"):
		return "", fmt.Errorf("a pattern has three parts at most: the format, the namespace and the name")
	case !f.Namespaces && namespace != "":
		return "", fmt.Errorf("packages of this format have no namespace: write two slashes after the format")
	case suffix == Exact && name == "":
		return "", fmt.Errorf("a pattern that ends with $ needs a name; without a namespace there are two slashes before it")
	case suffix == Prefix && !inWord(last):
		return "", fmt.Errorf("~ must come after a letter or a digit")
	case suffix == All && rest != "" && inWord(last):
		return "", fmt.Errorf("* must come after a slash or another character that is not a letter or a digit; use ~ for a prefix")
	}
	if !named {
		return namespace, nil
	}
	return namespace + "/" + f.Normalize(name), nil
}

func newPattern(prefix string, suffix byte) Pattern { return Pattern{prefix, suffix, Fold(prefix)} }

func (p Pattern) String() string { return p.prefix + string(p.suffix) }

// Format returns the format of what the pattern matches; empty for [Root].
func (p Pattern) Format() string {
	format, _, _ := strings.Cut(p.prefix[1:], "/")
	return format
}

// IsRoot reports whether p is [Root].
func (p Pattern) IsRoot() bool { return p.prefix == "/" }

// ExactPath returns the one path that the pattern matches strongly. ok is false if it may
// match others.
func (p Pattern) ExactPath() (path string, ok bool) { return p.prefix, p.suffix == Exact }

// Matches reports whether the pattern matches a path strongly.
func (p Pattern) Matches(path string) bool { return covers(p.prefix, p.suffix, path) }

// MatchesFolded reports whether the pattern matches a path weakly. folded is [Fold] of
// the path.
func (p Pattern) MatchesFolded(folded string) bool { return covers(p.folded, p.suffix, folded) }

// Contains reports whether p matches, strongly, everything that o does, and more.
func (p Pattern) Contains(o Pattern) bool {
	return p.suffix != Exact && p != o && p.Matches(o.prefix)
}

func covers(prefix string, suffix byte, path string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	switch suffix {
	case Exact:
		return ok && rest == ""
	case Prefix:
		return ok && wordEnds(rest)
	default:
		return ok
	}
}

// wordEnds reports whether a word that came before rest ends there.
func wordEnds(rest string) bool {
	r, _ := utf8.DecodeRuneInString(rest)
	return rest == "" || !inWord(r)
}

// inWord reports whether a character can continue a word. Marks cannot begin one.
func inWord(r rune) bool { return unicode.In(r, unicode.L, unicode.N, unicode.M) }

// A Key is what patterns have in common that match the same paths weakly.
type Key string

// Key returns the key of a pattern.
func (p Pattern) Key() Key { return Key(p.folded + string(p.suffix)) }

// Keys yields the keys of all patterns that match a path weakly, the most specific ones
// first. folded is [Fold] of the path. The patterns of a later key match everything that
// those of an earlier one do.
func Keys(folded string) iter.Seq[Key] {
	return func(yield func(Key) bool) {
		if !yield(Key(folded + string(Exact))) {
			return
		}
		for i := len(folded); i > 0; {
			last, size := utf8.DecodeLastRuneInString(folded[:i])
			suffix := All
			if inWord(last) {
				suffix = Prefix
			}
			if (suffix == All || wordEnds(folded[i:])) && !yield(Key(folded[:i]+string(suffix))) {
				return
			}
			i -= size
		}
	}
}

// PathKeys yields the keys of all patterns that may contain p, the most specific ones
// first, and perhaps that of p itself.
func (p Pattern) PathKeys() iter.Seq[Key] { return Keys(p.folded) }
