package inventory

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/textproto"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// inNodeModules reports whether a directory is that of a package of npm:
// …/node_modules/NAME/ or …/node_modules/@SCOPE/NAME/.
func inNodeModules(dir string) bool {
	parts := strings.Split(strings.TrimSuffix(dir, "/"), "/")
	n := len(parts)
	return n >= 2 && parts[n-2] == "node_modules" ||
		n >= 3 && parts[n-3] == "node_modules" && strings.HasPrefix(parts[n-2], "@")
}

func parsePackageJSON(f *file) error {
	text, err := f.text(maxMetadata)
	if err != nil {
		return err
	}
	var doc struct {
		Name    any `json:"name"`
		Version any `json:"version"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return errors.New("it is not JSON")
	}
	name, _ := doc.Name.(string)
	version, _ := doc.Version.(string)
	f.language(NPM, name, version)
	return nil
}

// parsePython reads the metadata of a Python distribution (PyPA, "Core metadata
// specifications"): the header of a message.
func parsePython(f *file) error {
	text, err := f.text(maxMetadata)
	if err != nil {
		return err
	}
	head, _, _ := bytes.Cut(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), []byte("\n\n"))
	header, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(append(bytes.Clone(head), "\n\n"...)))).ReadMIMEHeader()
	if err != nil {
		return errors.New("it has no header of metadata")
	}
	f.language(PyPI, header.Get("Name"), header.Get("Version"))
	return nil
}

var (
	gemName    = regexp.MustCompile(`(?m)^\s*s\.name\s*=\s*["']([^"'\n]+)["']`)
	gemVersion = regexp.MustCompile(`(?m)^\s*s\.version\s*=\s*(?:Gem::Version\.new\()?["']([^"'\n]+)["']`)
)

// parseGemspec reads the specification that RubyGems writes when it installs a gem. It is a
// Ruby program of a fixed form.
func parseGemspec(f *file) error {
	text, err := f.text(maxMetadata)
	if err != nil {
		return err
	}
	name, version := gemName.FindSubmatch(text), gemVersion.FindSubmatch(text)
	if name == nil || version == nil {
		return errors.New("it has no name and version in the form that RubyGems writes")
	}
	f.language(RubyGems, string(name[1]), string(version[1]))
	return nil
}

func parseCargoLock(f *file) error {
	text, err := f.text(maxLock)
	if err != nil {
		return err
	}
	var doc struct {
		Package []struct {
			Name    string `toml:"name"`
			Version string `toml:"version"`
			Source  string `toml:"source"`
		} `toml:"package"`
	}
	if err := toml.Unmarshal(text, &doc); err != nil {
		return errors.New("it is not TOML")
	}
	for _, p := range doc.Package {
		if strings.HasPrefix(p.Source, "registry+") || strings.HasPrefix(p.Source, "sparse+") { // others are not of crates.io
			f.language(Crates, p.Name, p.Version)
		}
	}
	return nil
}

// parseDotnet reads the list of dependencies of a .NET program ("Runtime configuration
// file", .NET SDK documentation).
func parseDotnet(f *file) error {
	text, err := f.text(maxLock)
	if err != nil {
		return err
	}
	var doc struct {
		Libraries map[string]struct {
			Type string `json:"type"`
		} `json:"libraries"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return fmt.Errorf("it is not a list of dependencies: %w", err)
	}
	for id, library := range doc.Libraries {
		if name, version, ok := strings.Cut(id, "/"); ok && library.Type == "package" {
			f.language(NuGet, name, version)
		}
	}
	return nil
}
