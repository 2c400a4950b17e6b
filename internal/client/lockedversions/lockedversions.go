// Package lockedversions reads which packages and images the lock files and the lists of
// a project name, with the hashes that they have of them.
//
// [Read] is for what fetches or checks the packages, and [References] for what only needs
// their names. The name of a file says which of the formats it has: see [Names].
//
// Lock files come from other people, so they are read as hostile: their size, the number
// of what they name, and each name are bounded, and an error says on which line it is.
package lockedversions

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

// MaxSize is the size of the largest file that is read, in bytes.
const MaxSize = 64 << 20

// maxVersions bounds what one file can name.
const maxVersions = 200_000

// maxName bounds a name or a version, in bytes.
const maxName = 500

// A Lock is what a file names.
type Lock struct {
	Versions []Version
	Images   []Image
	// Notes say what the file has that is not in Versions, for people.
	Notes []string
}

// A Version is a version of a package.
type Version struct {
	// Format is CodeArtifact's name of the format, such as npm or maven.
	Format string
	// Namespace is the scope of npm without its @, or Maven's group id.
	Namespace, Name, Version string
	// Files are the files of the version that are needed. If there are none, the lock file
	// does not tell: then they are all that the registry has.
	Files []File
	// Line is the line of the file, or 0.
	Line int
}

// A File is a file of a version.
type File struct {
	// Name is empty if the lock file has only hashes.
	Name string
	// Hashes are alternatives of one algorithm: the file must have one of them. There may
	// be none if the file has a name.
	Hashes []Hash
}

// A Hash is a digest of a file.
type Hash struct {
	// Algorithm is md5, sha1, sha256, sha384 or sha512.
	Algorithm string
	// Hex is the digest in lower-case hexadecimal digits.
	Hex string
}

func (h Hash) String() string { return h.Algorithm + ":" + h.Hex }

// An Image is a container image that a list names.
type Image struct {
	// Reference is where the image is, such as registry.example/team/app:1.0.
	Reference string
	// Repository and Tag are where a copy goes; empty if the list does not say.
	Repository, Tag string
	Line            int
}

// A parser reads one kind of file.
type parser struct {
	// pattern is of the base name of the file, as in [filepath.Match].
	pattern string
	read    func(*Lock, []byte) error
}

var parsers = []parser{
	{"package-lock.json", npm},
	{"npm-shrinkwrap.json", npm},
	{"uv.lock", uv},
	{"pylock*.toml", pylock},
	{"poetry.lock", poetry},
	{"requirements*.txt", pip},
	{"Cargo.lock", cargo},
	{"*packages.lock.json", nuget},
	{"Gemfile.lock", bundler},
	{"gems.locked", bundler},
	{"pom.xml", pom},
	{"*.pom", pom},
	{"images*.txt", images},
	{"*.images", images},
	{"*.txt", list},
	{"*.list", list},
}

// Names are the patterns of the names of the files that [Read] knows.
func Names() []string {
	names := make([]string, len(parsers))
	for i, p := range parsers {
		names[i] = p.pattern
	}
	return names
}

// Read reads a file. The names of versions, and their versions, are safe to put into
// addresses after escaping: they have no control characters, and no part of them is a dot
// or two. Errors begin with the line if it is known.
func Read(file string, content []byte) (Lock, error) {
	read := parserOf(file)
	if read == nil {
		return Lock{}, fmt.Errorf("the name %q does not say which format the file has; known are %s", filepath.Base(file), strings.Join(Names(), ", "))
	}
	if len(content) > MaxSize {
		return Lock{}, fmt.Errorf("the file is larger than %d MiB", MaxSize>>20)
	}
	var l Lock
	if err := read(&l, content); err != nil {
		return Lock{}, err
	}
	if len(l.Versions)+len(l.Images) == 0 {
		return Lock{}, errors.New("the file names no version")
	}
	return l, nil
}

func parserOf(file string) func(*Lock, []byte) error {
	for _, p := range parsers {
		if ok, _ := filepath.Match(p.pattern, filepath.Base(file)); ok {
			return p.read
		}
	}
	return nil
}

// References returns the versions that a file names as lines FORMAT/NAMESPACE/NAME@VERSION,
// in order and without repetitions, which a Gatehouse server takes as a lock list of
// retention rules. A file with a name that [Read] does not know is a list already and is
// returned as it is.
func References(file string, content []byte) (string, error) {
	if ok, _ := filepath.Match("*.txt", filepath.Base(file)); parserOf(file) == nil || ok && !strings.HasPrefix(filepath.Base(file), "requirements") {
		return string(content), nil
	}
	l, err := Read(file, content)
	if err != nil {
		return "", err
	}
	all := make([]string, len(l.Versions))
	for i := range l.Versions {
		all[i] = l.Versions[i].String()
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), "\n") + "\n", nil
}

// String is FORMAT/NAMESPACE/NAME@VERSION.
func (v *Version) String() string { return v.Package() + "@" + v.Version }

// Package is FORMAT/NAMESPACE/NAME.
func (v *Version) Package() string {
	switch {
	case v.Namespace == "":
		return v.Format + "/" + v.Name
	case v.Format == "npm":
		return v.Format + "/@" + v.Namespace + "/" + v.Name
	}
	return v.Format + "/" + v.Namespace + "/" + v.Name
}

// add adds a version after checking its names.
func (l *Lock) add(v Version) error {
	if len(l.Versions) >= maxVersions {
		return fmt.Errorf("the file names more than %d versions", maxVersions)
	}
	for _, part := range []string{v.Namespace, v.Name, v.Version} {
		if err := safe(part); err != nil {
			return atLine(v.Line, err)
		}
	}
	if v.Name == "" || v.Version == "" {
		return atLine(v.Line, errors.New("a package has no name or no version"))
	}
	if v.Format == "maven" && (strings.Contains("."+v.Namespace+".", "..") || strings.ContainsAny(v.Namespace+v.Name+v.Version, "/\\")) {
		return atLine(v.Line, fmt.Errorf("%.200q is not a Maven artifact: a group id has an empty part, or there is a slash", v.String()))
	}
	for _, f := range v.Files {
		if strings.ContainsAny(f.Name, "/\\") {
			return atLine(v.Line, fmt.Errorf("%.100q cannot be the name of a file", f.Name))
		}
		if err := safe(f.Name); err != nil {
			return atLine(v.Line, err)
		}
	}
	l.Versions = append(l.Versions, v)
	return nil
}

func safe(name string) error {
	if len(name) > maxName {
		return fmt.Errorf("a name is longer than %d bytes", maxName)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) || r == unicode.ReplacementChar }) {
		return fmt.Errorf("%.100q cannot be a name: it has a space or a control character", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "." || part == ".." {
			return fmt.Errorf("%.100q cannot be a name", name)
		}
	}
	return nil
}

// note adds a note if there is something to tell.
func (l *Lock) note(count int, what string) {
	if count > 0 {
		l.Notes = append(l.Notes, fmt.Sprintf("%s: %d", what, count))
	}
}

// atLine puts a line in front of an error.
func atLine(line int, err error) error {
	if err == nil || line == 0 {
		return err
	}
	return fmt.Errorf("line %d: %w", line, err)
}

// A lineIndex has the offset of the first byte of each line but the first.
type lineIndex []int64

func newLineIndex(content []byte) lineIndex {
	index := make(lineIndex, 0, bytes.Count(content, []byte{'\n'}))
	for i, c := range content {
		if c == '\n' {
			index = append(index, int64(i)+1)
		}
	}
	return index
}

// line is the line of an offset. Errors of decoders may have one behind the end.
func (x lineIndex) line(offset int64) int {
	i, found := slices.BinarySearch(x, offset)
	if found {
		i++
	}
	return i + 1
}

// hashSizes has the length of a digest of each algorithm, in bytes.
var hashSizes = map[string]int{"md5": 16, "sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}

// hexHash reads ALGORITHM:HEX.
func hexHash(text, separator string) (Hash, error) {
	algorithm, digits, _ := strings.Cut(text, separator)
	digits = strings.ToLower(digits)
	if b, err := hex.DecodeString(digits); err != nil || len(b) == 0 || len(b) != hashSizes[algorithm] {
		return Hash{}, fmt.Errorf("%.100q is not a hash such as sha256%s followed by hexadecimal digits", text, separator)
	}
	return Hash{algorithm, digits}, nil
}

// base64Hash reads a digest in base64.
func base64Hash(algorithm, text string) (Hash, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) == 0 || len(b) != hashSizes[algorithm] {
		return Hash{}, fmt.Errorf("%.100q is not a %s digest in base64", text, algorithm)
	}
	return Hash{algorithm, hex.EncodeToString(b)}, nil
}
