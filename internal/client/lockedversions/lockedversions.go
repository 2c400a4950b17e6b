// Package lockedversions reads which versions the lock files of package managers name, as lines
// FORMAT/NAMESPACE/NAME@VERSION, which a Gatehouse server takes as a lock list of
// retention rules.
package lockedversions

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// References returns the versions that a file names, one a line, in order and without
// repetitions. The name of the file says which format it has; any other file is a list
// already and is returned as it is.
func References(file string, content []byte) (string, error) {
	var read func([]byte) ([]string, error)
	switch name := filepath.Base(file); {
	case name == "package-lock.json" || name == "npm-shrinkwrap.json":
		read = npm
	case name == "Cargo.lock":
		read = cargo
	case name == "Gemfile.lock" || name == "gems.locked":
		read = bundler
	case strings.HasPrefix(name, "requirements") && strings.HasSuffix(name, ".txt"):
		read = pip
	default:
		return string(content), nil
	}
	all, err := read(content)
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", errors.New("the file names no version")
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), "\n") + "\n", nil
}

// npmDependency is an entry of "dependencies", which versions 1 and 2 of the file have.
type npmDependency struct {
	Version      string                   `json:"version"`
	Dependencies map[string]npmDependency `json:"dependencies"`
}

// npm reads package-lock.json of versions 1 to 3.
func npm(content []byte) ([]string, error) {
	var lock struct {
		Packages map[string]struct {
			Name    string `json:"name"`
			Version string `json:"version"`
			Link    bool   `json:"link"`
		} `json:"packages"`
		Dependencies map[string]npmDependency `json:"dependencies"`
	}
	if err := json.Unmarshal(content, &lock); err != nil {
		return nil, err
	}
	var all []string
	add := func(name, version string) {
		if version != "" && !strings.ContainsAny(version, ":/") { // a file, a folder or a repository
			all = append(all, "npm/"+name+"@"+version)
		}
	}
	for place, p := range lock.Packages {
		_, name, installed := cutLast(place, "node_modules/")
		if p.Name != "" {
			name = p.Name // an alias
		}
		if installed && !p.Link {
			add(name, p.Version)
		}
	}
	var walk func(map[string]npmDependency)
	walk = func(dependencies map[string]npmDependency) {
		for name, d := range dependencies {
			if alias, ok := strings.CutPrefix(d.Version, "npm:"); ok {
				if i := strings.LastIndexByte(alias, '@'); i > 0 {
					name, d.Version = alias[:i], alias[i+1:]
				}
			}
			add(name, d.Version)
			walk(d.Dependencies)
		}
	}
	walk(lock.Dependencies)
	return all, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// cargo reads Cargo.lock. Packages without a source are those of the workspace.
func cargo(content []byte) ([]string, error) {
	var lock struct {
		Package []struct{ Name, Version, Source string }
	}
	if err := toml.Unmarshal(content, &lock); err != nil {
		return nil, err
	}
	var all []string
	for _, p := range lock.Package {
		if p.Source != "" && !strings.HasPrefix(p.Source, "git+") {
			all = append(all, "cargo/"+p.Name+"@"+p.Version)
		}
	}
	return all, nil
}

var requirement = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*===?\s*([^\s;\\#,*]+)`)

// pip reads the pinned versions of requirements.txt.
func pip(content []byte) ([]string, error) {
	var all []string
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "-") {
			continue
		}
		m := requirement.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("%q is not pinned with ==", line)
		}
		all = append(all, "pypi/"+m[1]+"@"+m[2])
	}
	return all, nil
}

var gem = regexp.MustCompile(`^    ([A-Za-z0-9._-]+) \(([^)]+)\)$`)

// bundler reads the section GEM of Gemfile.lock.
func bundler(content []byte) ([]string, error) {
	var all []string
	section := ""
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), "\r")
		if line != "" && line[0] != ' ' {
			section = path.Clean(line)
		}
		if m := gem.FindStringSubmatch(line); m != nil && section == "GEM" {
			all = append(all, "ruby/"+m[1]+"@"+m[2])
		}
	}
	return all, lines.Err()
}
