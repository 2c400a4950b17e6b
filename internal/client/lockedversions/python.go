package lockedversions

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// readTOML decodes a document. Errors have their line.
func readTOML(content []byte, into any) error {
	err := toml.Unmarshal(content, into)
	var wrong *toml.DecodeError
	if errors.As(err, &wrong) {
		line, _ := wrong.Position()
		return atLine(line, fmt.Errorf("the file is not a valid lock file: %w", err))
	}
	return err
}

// An artifact is a file of a Python lock file.
type artifact struct {
	URL    string            `toml:"url"`
	Name   string            `toml:"name"` // pylock.toml
	File   string            `toml:"file"` // poetry.lock
	Hash   string            `toml:"hash"`
	Hashes map[string]string `toml:"hashes"`
}

// lockFile is the file with the name that is at the end of its address.
func (a *artifact) lockFile() (File, error) {
	f := File{Name: a.Name + a.File}
	if f.Name == "" {
		u, err := url.Parse(a.URL)
		if err != nil || path.Base(u.Path) == "/" || path.Base(u.Path) == "." {
			return f, fmt.Errorf("%.200q is not the address of a file", a.URL)
		}
		f.Name = path.Base(u.Path)
	}
	text := a.Hash
	for _, algorithm := range []string{"sha512", "sha256"} {
		if digits := a.Hashes[algorithm]; text == "" && digits != "" {
			text = algorithm + ":" + digits
		}
	}
	if text == "" {
		return f, nil
	}
	h, err := hexHash(text, ":")
	f.Hashes = []Hash{h}
	return f, err
}

// A pythonPackage is a package of uv.lock, pylock.toml or poetry.lock.
type pythonPackage struct {
	Name    string
	Version string
	Source  struct {
		Registry string
		Type     string // poetry: empty for the default index, or legacy
		Virtual  string // uv: the folder of a project that is not installed
		Editable string // uv: the folder of a project that is installed from there
	}
	Sdist     *artifact
	Wheels    []artifact
	Files     []artifact
	VCS       any `toml:"vcs"`
	Directory any `toml:"directory"`
	Archive   any `toml:"archive"`
}

// isProject reports whether the package is the project itself, which uv.lock contains.
func (p *pythonPackage) isProject() bool {
	return p.Source.Virtual == "." || p.Source.Editable == "."
}

// A pythonLock says what the kinds of lock files have that is different.
type pythonLock struct {
	packages []pythonPackage
	// isElsewhere reports whether a package does not come from an index.
	isElsewhere func(*pythonPackage) bool
	files       func(*pythonPackage) []artifact
}

func (p *pythonLock) read(l *Lock, content []byte) error {
	lines, elsewhere := newNameLines(content), 0
	for i := range p.packages {
		pkg := &p.packages[i]
		line := lines.next(pkg.Name)
		if pkg.isProject() {
			continue
		}
		if p.isElsewhere(pkg) {
			elsewhere++
			continue
		}
		v := Version{Format: "pypi", Name: pkg.Name, Version: pkg.Version, Line: line}
		for _, a := range p.files(pkg) {
			f, err := a.lockFile()
			if err != nil {
				return atLine(line, err)
			}
			v.Files = append(v.Files, f)
		}
		if err := l.add(v); err != nil {
			return err
		}
	}
	l.note(elsewhere, "packages that come from git, folders or addresses and not from an index, which are left out")
	return nil
}

// nameLines has the lines name = "…" of a file in TOML, by the name.
type nameLines map[string][]int

func newNameLines(content []byte) nameLines {
	found, number := nameLines{}, 0
	for line := range bytes.Lines(content) {
		number++
		if rest, ok := bytes.CutPrefix(line, []byte(`name = "`)); ok {
			if name, _, ok := bytes.Cut(rest, []byte(`"`)); ok && len(name) <= maxName {
				found[string(name)] = append(found[string(name)], number)
			}
		}
	}
	return found
}

// next returns the next line of a name, or 0. The packages of a lock file are in order.
func (n nameLines) next(name string) int {
	lines := n[name]
	if len(lines) == 0 {
		return 0
	}
	n[name] = lines[1:]
	return lines[0]
}

// all are the files of a package of uv.lock or pylock.toml.
func (p *pythonPackage) all() []artifact {
	all := p.Wheels
	if p.Sdist != nil {
		all = append(all, *p.Sdist)
	}
	return all
}

// uv reads uv.lock. All platforms' files are needed: nobody knows where it is installed.
func uv(l *Lock, content []byte) error {
	var lock struct {
		Package []pythonPackage `toml:"package"`
	}
	if err := readTOML(content, &lock); err != nil {
		return err
	}
	p := pythonLock{lock.Package, func(p *pythonPackage) bool { return p.Source.Registry == "" }, (*pythonPackage).all}
	return p.read(l, content)
}

// pylock reads pylock.toml (PEP 751).
func pylock(l *Lock, content []byte) error {
	var lock struct {
		Packages []pythonPackage `toml:"packages"`
	}
	if err := readTOML(content, &lock); err != nil {
		return err
	}
	p := pythonLock{lock.Packages, func(p *pythonPackage) bool {
		return p.VCS != nil || p.Directory != nil || p.Archive != nil || p.Version == ""
	}, (*pythonPackage).all}
	return p.read(l, content)
}

// poetry reads poetry.lock.
func poetry(l *Lock, content []byte) error {
	var lock struct {
		Package []pythonPackage `toml:"package"`
	}
	if err := readTOML(content, &lock); err != nil {
		return err
	}
	p := pythonLock{
		lock.Package, func(p *pythonPackage) bool { return p.Source.Type != "" && p.Source.Type != "legacy" },
		func(p *pythonPackage) []artifact { return p.Files },
	}
	return p.read(l, content)
}

// maxRequirement bounds a requirement with its continuation lines, in bytes.
const maxRequirement = 1 << 20

var (
	requirement = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*===?\s*([^\s;\\#,*]+)`)
	pipHash     = regexp.MustCompile(`--hash[= ]\s*(\S+)`)
)

// pip reads the pinned versions of requirements.txt, with their hashes if it has them.
func pip(l *Lock, content []byte) error {
	options := 0
	number, start := 0, 0
	var joined strings.Builder
	for line := range strings.Lines(string(content)) {
		number++
		if joined.Len() == 0 {
			start = number
		}
		line = strings.TrimRight(line, "\r\n")
		if i := strings.Index(line, "#"); i == 0 || i > 0 && (line[i-1] == ' ' || line[i-1] == '\t') {
			line = line[:i]
		}
		line = strings.TrimRight(line, " \t")
		if rest, goesOn := strings.CutSuffix(line, `\`); goesOn {
			if joined.WriteString(rest + " "); joined.Len() > maxRequirement {
				return atLine(start, fmt.Errorf("a requirement is longer than %d MiB", maxRequirement>>20))
			}
			continue
		}
		text := strings.TrimSpace(joined.String() + line)
		joined.Reset()
		switch {
		case text == "":
		case strings.HasPrefix(text, "-"):
			options++
		default:
			if err := atLine(start, pipRequirement(l, text, start)); err != nil {
				return err
			}
		}
	}
	if joined.Len() > 0 {
		return atLine(start, errors.New("the last line ends with a backslash"))
	}
	l.note(options, "lines with options of pip, such as --index-url or -r, whose files are not read")
	return nil
}

func pipRequirement(l *Lock, text string, line int) error {
	m := requirement.FindStringSubmatch(text)
	if m == nil {
		return fmt.Errorf("%.200q is not pinned with ==", text)
	}
	v := Version{Format: "pypi", Name: m[1], Version: m[2]}
	for _, h := range pipHash.FindAllStringSubmatch(text, -1) {
		hash, err := hexHash(h[1], ":")
		if err != nil {
			return err
		}
		v.Files = append(v.Files, File{Hashes: []Hash{hash}})
	}
	if strings.Contains(text, "--hash") && len(v.Files) == 0 {
		return fmt.Errorf("%.200q has a hash that cannot be read", text)
	}
	if err := l.add(v); err != nil {
		return err
	}
	l.Versions[len(l.Versions)-1].Line = line
	return nil
}
