package pypi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"deps.dev/util/pypi"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/archive"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// maxMetadata bounds the size of METADATA and PKG-INFO, in bytes.
const maxMetadata = 4 << 20

// coreMetadata is the core metadata of a distribution ("Core metadata
// specifications" in the Python Packaging User Guide).
type coreMetadata struct {
	raw    []byte
	fields map[string][]string // by lower-case name
	body   string
}

// parseCoreMetadata reads the header fields, which have the form of an email's
// header, and the description after them. It never fails: a line that is not a field
// is skipped.
func parseCoreMetadata(raw []byte) *coreMetadata {
	m := &coreMetadata{raw: raw, fields: map[string][]string{}}
	rest := raw
	last := ""
	var folded strings.Builder // the value of the last field, if it has several lines
	unfold := func() {
		if values := m.fields[last]; folded.Len() > 0 {
			values[len(values)-1] = folded.String()
			folded.Reset()
		}
	}
	defer unfold()
	for len(rest) > 0 {
		line, tail, _ := bytes.Cut(rest, []byte("\n"))
		rest = tail
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			m.body = string(rest)
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			if values := m.fields[last]; len(values) > 0 {
				if folded.Len() == 0 {
					folded.WriteString(values[len(values)-1])
				}
				folded.WriteByte('\n')
				folded.Write(bytes.TrimSpace(line))
			}
			continue
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		unfold()
		last = strings.ToLower(string(name))
		m.fields[last] = append(m.fields[last], string(bytes.TrimSpace(value)))
	}
	return m
}

// get returns the first value of a field, or "". Old tools wrote "UNKNOWN" for a
// field without a value.
func (m *coreMetadata) get(name string) string {
	if values := m.fields[strings.ToLower(name)]; len(values) > 0 && values[0] != "UNKNOWN" {
		return values[0]
	}
	return ""
}

func (m *coreMetadata) all(name string) []string { return m.fields[strings.ToLower(name)] }

func (m *coreMetadata) release() release { return release{m.get("Name"), m.get("Version")} }

// check reports why an installer could not read the metadata: the text must be UTF-8,
// and a reader must refuse a major version that it does not know ("Core metadata
// specifications", Metadata-Version).
func (m *coreMetadata) check() error {
	if !utf8.Valid(m.raw) {
		return errors.New("it is not UTF-8")
	}
	version := m.get("Metadata-Version")
	major, minor, _ := strings.Cut(version, ".")
	if _, err := strconv.ParseUint(minor, 10, 16); err != nil || major != "1" && major != "2" {
		return fmt.Errorf("the Metadata-Version is %q, and known are 1 and 2", version)
	}
	return nil
}

// final reports whether every wheel built from a source distribution has the same
// metadata in the fields that an installer reads: the version is 2.2 or later, and
// none of those fields is dynamic (PEP 643).
func (m *coreMetadata) final() bool {
	switch v := m.get("Metadata-Version"); v {
	case "", "1.0", "1.1", "1.2", "2.0", "2.1":
		return false
	}
	for _, field := range m.all("Dynamic") {
		if slices.Contains([]string{"requires-dist", "requires-python", "provides-extra"}, strings.ToLower(field)) {
			return false
		}
	}
	return true
}

// description is what the CodeArtifact API answers about the version.
func (m *coreMetadata) description() *packages.Description {
	d := &packages.Description{
		DisplayName: m.get("Name"), Summary: m.get("Summary"), HomePage: m.get("Home-page"), Readme: m.body,
	}
	if d.Readme == "" {
		d.Readme = m.get("Description")
	}
	for _, labelled := range m.all("Project-URL") {
		label, address, _ := strings.Cut(labelled, ",")
		address = strings.TrimSpace(address)
		// "Well-known Project URLs in Metadata": labels are compared without
		// punctuation and case.
		switch strings.Map(lettersOnly, strings.ToLower(label)) {
		case "homepage":
			if d.HomePage == "" {
				d.HomePage = address
			}
		case "source", "repository", "sourcecode", "github":
			d.SourceCodeRepository = address
		}
	}
	for _, field := range []string{"License-Expression", "License"} {
		if l := m.get(field); l != "" && !strings.Contains(l, "\n") {
			d.Licenses = []packages.License{{Name: l}}
			break
		}
	}
	for _, requirement := range m.all("Requires-Dist") {
		name, rest := requirement, ""
		if i := strings.IndexAny(requirement, " ([<>=!~;@"); i >= 0 {
			name, rest = requirement[:i], strings.TrimSpace(requirement[i:])
		}
		if namePattern.MatchString(name) {
			d.Dependencies = append(d.Dependencies, packages.Dependency{Package: name, VersionRequirement: rest})
		}
	}
	return d
}

func lettersOnly(c rune) rune {
	if c >= 'a' && c <= 'z' {
		return c
	}
	return -1
}

// readWheelMetadata returns the METADATA in the .dist-info folder of a wheel, which
// must have exactly one (PEP 427). Installers refuse a folder of another project.
func readWheelMetadata(budget *archive.Budget, r io.ReaderAt, size int64, project string) ([]byte, error) {
	z, err := budget.Zip(r, size)
	if err != nil {
		return nil, err
	}
	name, raw, err := z.Find("METADATA in a .dist-info folder", maxMetadata, func(name string) bool {
		dir, file, _ := strings.Cut(name, "/")
		return strings.HasSuffix(dir, ".dist-info") && file == "METADATA"
	})
	if err != nil {
		return nil, err
	}
	dir, _, _ := strings.Cut(name, "/")
	if of, _, _ := strings.Cut(dir, "-"); pypi.CanonPackageName(of) != project {
		return nil, invalid(archive.Invalid, "Its metadata are in the folder %s, which does not have the name of the project.", dir)
	}
	return raw, nil
}

// readSdistMetadata returns the PKG-INFO in the top folder of a source distribution,
// which is a zip or a tar according to its name ("Source distribution format").
func readSdistMetadata(budget *archive.Budget, file string, r io.ReaderAt, size int64) ([]byte, error) {
	wanted := func(name string) bool {
		dir, base, ok := strings.Cut(name, "/")
		return ok && dir != "" && base == "PKG-INFO"
	}
	const what = "PKG-INFO in its folder"
	if strings.HasSuffix(file, ".zip") {
		z, err := budget.Zip(r, size)
		if err != nil {
			return nil, err
		}
		_, raw, err := z.Find(what, maxMetadata, wanted)
		return raw, err
	}
	t, err := budget.TarGz(io.NewSectionReader(r, 0, size))
	if err != nil {
		return nil, err
	}
	_, raw, err := t.Find(what, maxMetadata, wanted)
	return raw, err
}
