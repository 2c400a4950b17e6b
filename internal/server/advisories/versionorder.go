package advisories

import (
	"cmp"
	"strings"

	"deps.dev/util/semver"
)

// compareGo compares versions of modules of Go, and of Go itself, without the "v" or "go" at
// the beginning.
func compareGo(a, b string) int {
	return semver.DefaultSystem.Compare(goPrerelease.ReplaceAllString(a, "$1.0-$2.$3"), goPrerelease.ReplaceAllString(b, "$1.0-$2.$3"))
}

// compareDpkg compares versions of Debian (Debian Policy Manual, 5.6.12): the epoch, the
// upstream version and the revision.
func compareDpkg(a, b string) int {
	epochA, a := cutEpoch(a)
	epochB, b := cutEpoch(b)
	upstreamA, revisionA := cutRevision(a)
	upstreamB, revisionB := cutRevision(b)
	return cmp.Or(compareNumbers(epochA, epochB), compareDpkgPart(upstreamA, upstreamB), compareDpkgPart(revisionA, revisionB))
}

func cutEpoch(v string) (epoch, rest string) {
	if epoch, rest, ok := strings.Cut(v, ":"); ok {
		return epoch, rest
	}
	return "0", v
}

func cutRevision(v string) (upstream, revision string) {
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		return v[:i], v[i+1:]
	}
	return v, ""
}

// compareDpkgPart compares by turns texts without digits and numbers.
func compareDpkgPart(a, b string) int {
	for a != "" || b != "" {
		var textA, textB, numberA, numberB string
		textA, a = span(a, func(c byte) bool { return !isDigit(c) })
		textB, b = span(b, func(c byte) bool { return !isDigit(c) })
		if c := compareDpkgText(textA, textB); c != 0 {
			return c
		}
		numberA, a = span(a, isDigit)
		numberB, b = span(b, isDigit)
		if c := compareNumbers(numberA, numberB); c != 0 {
			return c
		}
	}
	return 0
}

// compareDpkgText compares texts without digits: a tilde is before the end, the end before
// letters, and letters before everything else.
func compareDpkgText(a, b string) int {
	weight := func(s string, i int) int {
		switch {
		case i >= len(s):
			return 0
		case s[i] == '~':
			return -1
		case isLetter(s[i]):
			return int(s[i])
		}
		return int(s[i]) + 256
	}
	for i := range max(len(a), len(b)) {
		if c := cmp.Compare(weight(a, i), weight(b, i)); c != 0 {
			return c
		}
	}
	return 0
}

// compareNumbers compares decimal numbers of any length.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// span returns the beginning of s whose bytes all fit, and the rest.
func span(s string, fits func(byte) bool) (head, rest string) {
	i := 0
	for i < len(s) && fits(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// An apkVersion has the parts of a version of Alpine (apk-package(5), "VERSION"):
// number{.number}[letter]{_suffix[number]}[~hash][-r number].
type apkVersion struct {
	numbers  []string
	letter   string
	suffixes []apkSuffix
	release  string
}

type apkSuffix struct {
	weight int // negative: before the version without the suffix
	number string
}

// apkSuffixes has the suffixes in their order; 0 would be the version without one.
var apkSuffixes = map[string]int{"alpha": -4, "beta": -3, "pre": -2, "rc": -1, "cvs": 1, "svn": 2, "git": 3, "hg": 4, "p": 5}

// parseApkVersion reads what it can of a version. What is not one is before all others.
func parseApkVersion(v string) (out apkVersion) {
	v, release, _ := strings.Cut(v, "-r")
	out.release = release
	v, _, _ = strings.Cut(v, "~")
	parts := strings.Split(v, "_")
	numbers := parts[0]
	if n := len(numbers); n > 0 && isLetter(numbers[n-1]) {
		numbers, out.letter = numbers[:n-1], numbers[n-1:]
	}
	out.numbers = strings.Split(numbers, ".")
	for _, s := range parts[1:] {
		name, number := span(s, isLetter)
		out.suffixes = append(out.suffixes, apkSuffix{apkSuffixes[name], number})
	}
	return out
}

// compareApk compares versions of Alpine, Wolfi and Chainguard.
func compareApk(a, b string) int {
	x, y := parseApkVersion(a), parseApkVersion(b)
	for i := range max(len(x.numbers), len(y.numbers)) {
		switch {
		case i >= len(x.numbers):
			return -1
		case i >= len(y.numbers):
			return 1
		}
		if c := compareApkNumber(x.numbers[i], y.numbers[i], i == 0); c != 0 {
			return c
		}
	}
	if c := strings.Compare(x.letter, y.letter); c != 0 {
		return c
	}
	for i := range max(len(x.suffixes), len(y.suffixes)) {
		var s, t apkSuffix
		if i < len(x.suffixes) {
			s = x.suffixes[i]
		}
		if i < len(y.suffixes) {
			t = y.suffixes[i]
		}
		if c := cmp.Or(cmp.Compare(s.weight, t.weight), compareNumbers(s.number, t.number)); c != 0 {
			return c
		}
	}
	return compareNumbers(x.release, y.release)
}

// compareApkNumber compares two numbers. After the first one, a number with a zero at the
// beginning is compared as what follows a decimal point.
func compareApkNumber(a, b string, first bool) int {
	if !first && (strings.HasPrefix(a, "0") || strings.HasPrefix(b, "0")) {
		return strings.Compare(a, b)
	}
	return compareNumbers(a, b)
}
