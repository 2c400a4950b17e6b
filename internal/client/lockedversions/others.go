package lockedversions

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// cargo reads Cargo.lock. Packages without a source are those of the workspace.
func cargo(l *Lock, content []byte) error {
	var lock struct {
		Package []struct{ Name, Version, Source, Checksum string }
	}
	if err := readTOML(content, &lock); err != nil {
		return err
	}
	lines := newNameLines(content)
	elsewhere := 0
	for _, p := range lock.Package {
		line := lines.next(p.Name)
		switch {
		case strings.HasPrefix(p.Source, "git+"):
			elsewhere++
			continue
		case p.Source == "":
			continue
		}
		v := Version{Format: "cargo", Name: p.Name, Version: p.Version, Line: line}
		if p.Checksum != "" {
			h, err := hexHash("sha256:"+p.Checksum, ":")
			if err != nil {
				return atLine(line, err)
			}
			v.Files = []File{{Hashes: []Hash{h}}}
		}
		if err := l.add(v); err != nil {
			return err
		}
	}
	l.note(elsewhere, "packages that come from git and not from a registry, which are left out")
	return nil
}

// A nugetPackage is an entry of packages.lock.json.
type nugetPackage struct {
	Type        string `json:"type"`
	Resolved    string `json:"resolved"`
	ContentHash string `json:"contentHash"`
	offset      int64
}

// UnmarshalJSONFrom notes where the entry is.
func (p *nugetPackage) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	type plain nugetPackage
	p.offset = d.InputOffset()
	return json.UnmarshalDecode(d, (*plain)(p))
}

// nuget reads packages.lock.json. contentHash is the SHA-512 of the package without its
// signature.
func nuget(l *Lock, content []byte) error {
	var lock struct {
		Dependencies map[string]map[string]nugetPackage `json:"dependencies"`
	}
	if err := readJSON(content, &lock); err != nil {
		return err
	}
	seen, lines := map[string]bool{}, newLineIndex(content)
	for _, target := range sortedKeys(lock.Dependencies) {
		for _, name := range sortedKeys(lock.Dependencies[target]) {
			p := lock.Dependencies[target][name]
			if p.Type == "Project" || p.Resolved == "" {
				continue
			}
			line := lines.line(p.offset)
			v := Version{Format: "nuget", Name: strings.ToLower(name), Version: p.Resolved, Line: line}
			if p.ContentHash != "" {
				h, err := base64Hash("sha512", p.ContentHash)
				if err != nil {
					return atLine(line, err)
				}
				v.Files = []File{{Hashes: []Hash{h}}}
			}
			if key := v.String() + p.ContentHash; !seen[key] {
				seen[key] = true
				if err := l.add(v); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

var (
	gem         = regexp.MustCompile(`^    ([A-Za-z0-9._-]+) \(([^)]+)\)$`)
	gemChecksum = regexp.MustCompile(`^  ([A-Za-z0-9._-]+) \(([^)]+)\)(?: (.+))?$`)
)

// bundler reads the sections GEM and CHECKSUMS of Gemfile.lock. The version of a gem for
// one platform has the platform at its end.
func bundler(l *Lock, content []byte) error {
	section, number, elsewhere := "", 0, 0
	checksums := map[string][]Hash{}
	type locked struct {
		name, version string
		line          int
	}
	var gems []locked
	for line := range strings.Lines(string(content)) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if line != "" && line[0] != ' ' {
			section = line
		}
		if m := gem.FindStringSubmatch(line); m != nil {
			switch section {
			case "GEM":
				gems = append(gems, locked{m[1], m[2], number})
			case "GIT", "PATH":
				elsewhere++
			}
		}
		if m := gemChecksum.FindStringSubmatch(line); m != nil && section == "CHECKSUMS" && m[3] != "" {
			for text := range strings.SplitSeq(m[3], ",") {
				h, err := hexHash(strings.TrimSpace(text), "=")
				if err != nil {
					return atLine(number, err)
				}
				checksums[m[1]+" "+m[2]] = append(checksums[m[1]+" "+m[2]], h)
			}
		}
	}
	for _, g := range gems {
		version, _, _ := strings.Cut(g.version, "-") // the rest is a platform
		f := File{Name: g.name + "-" + g.version + ".gem", Hashes: checksums[g.name+" "+g.version]}
		if err := l.add(Version{Format: "ruby", Name: g.name, Version: version, Files: []File{f}, Line: g.line}); err != nil {
			return err
		}
	}
	l.note(elsewhere, "gems that come from git or folders and not from a registry, which are left out")
	return nil
}

// list reads a list of FORMAT/NAMESPACE/NAME@VERSION, one a line.
func list(l *Lock, content []byte) error {
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		i := strings.LastIndexByte(line, '@')
		format, path, ok := strings.Cut(line[:max(i, 0)], "/")
		if !ok || i < 0 {
			return atLine(number, fmt.Errorf("%.200q is not FORMAT/NAME@VERSION or FORMAT/NAMESPACE/NAME@VERSION", line))
		}
		if !knownFormats[format] {
			return atLine(number, fmt.Errorf("%.50q is not a format: write npm, pypi, maven, nuget, cargo or ruby", format))
		}
		v := Version{Format: format, Name: path, Version: line[i+1:], Line: number}
		if namespace, name, ok := strings.Cut(path, "/"); ok {
			v.Namespace, v.Name = strings.TrimPrefix(namespace, "@"), name
		}
		if strings.Contains(v.Name, "/") {
			return atLine(number, errors.New("a package has more than one namespace"))
		}
		if err := l.add(v); err != nil {
			return err
		}
	}
	return nil
}

var knownFormats = map[string]bool{"npm": true, "pypi": true, "maven": true, "nuget": true, "cargo": true, "ruby": true}

// images reads a list of images, one a line: REFERENCE, or REFERENCE and after a space
// where its copy goes, REPOSITORY or REPOSITORY:TAG.
func images(l *Lock, content []byte) error {
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) > 2 {
			return atLine(number, errors.New("a line has more than two words: write the image, and where its copy goes"))
		}
		if len(l.Images) >= maxVersions {
			return fmt.Errorf("the file names more than %d images", maxVersions)
		}
		i := Image{Reference: words[0], Line: number}
		if len(words) == 2 {
			i.Repository, i.Tag, _ = strings.Cut(words[1], ":")
		}
		for _, word := range words {
			if err := safe(word); err != nil {
				return atLine(number, err)
			}
		}
		l.Images = append(l.Images, i)
	}
	return nil
}
