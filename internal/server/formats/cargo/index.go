package cargo

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/cargo/stored"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// An indexEntry is a line of the index (The Cargo Book, "Registry Index", "JSON
// schema").
type indexEntry struct {
	Name         string              `json:"name"`
	Version      string              `json:"vers"`
	Dependencies []stored.Dependency `json:"deps"`
	Features     map[string][]string `json:"features"`
	// Features2 are the features with the syntax of cargo 1.60, and those that name
	// them. An older cargo skips a line whose Schema is 2.
	Features2   map[string][]string `json:"features2,omitempty"`
	Links       string              `json:"links,omitempty"`
	RustVersion string              `json:"rust_version,omitempty"`
	Schema      int                 `json:"v,omitzero"`
}

// newIndexEntry converts a publication. endpoint is the address of the repository: a
// dependency that names it is a dependency on this registry.
func newIndexEntry(p *publication, endpoint string) indexEntry {
	e := indexEntry{Name: p.Name, Version: p.Version, Dependencies: make([]stored.Dependency, 0, len(p.Dependencies)), Links: p.Links, RustVersion: p.RustVersion}
	for _, d := range p.Dependencies {
		to := stored.Dependency{
			Name: d.Name, Requirement: d.Requirement, Features: d.Features, Optional: d.Optional, DefaultFeatures: d.DefaultFeatures,
			Kind: d.Kind, Registry: d.Registry,
		}
		if d.Renamed != "" {
			to.Name, to.Package = d.Renamed, d.Name
		}
		if d.Target != "" {
			to.Target = &d.Target
		}
		if strings.TrimPrefix(d.Registry, "sparse+") == endpoint {
			to.Registry = ""
		}
		e.Dependencies = append(e.Dependencies, to)
	}
	e.Features, e.Features2 = splitFeatures(p.Features)
	if len(e.Features2) > 0 {
		e.Schema = 2
	}
	return e
}

// splitFeatures separates the features that a cargo before 1.60 cannot read, because
// they or a feature that they enable contain "dep:NAME" or "NAME?/FEATURE".
func splitFeatures(all map[string][]string) (old, recent map[string][]string) {
	old, recent = make(map[string][]string, len(all)), map[string][]string{}
	enabledBy := map[string][]string{} // feature → the features that enable it
	var next []string
	for name, enables := range all {
		old[name] = enables
		for _, e := range enables {
			enabledBy[e] = append(enabledBy[e], name)
			if strings.HasPrefix(e, "dep:") || strings.Contains(e, "?/") {
				next = append(next, name)
			}
		}
	}
	for len(next) > 0 {
		name := next[len(next)-1]
		next = next[:len(next)-1]
		if enables, ok := old[name]; ok {
			delete(old, name)
			recent[name] = enables
			next = append(next, enabledBy[name]...)
		}
	}
	return old, recent
}

// encode returns the metadata of a version for the store.
func encode(about stored.About, e indexEntry) ([]byte, error) {
	line, err := json.Marshal(e, json.Deterministic(true))
	if err != nil {
		return nil, err
	}
	return stored.Version{Index: line, About: about}.Encode()
}

// indexFile renders the index of a crate: a line for each version, in the order of
// publication. It changes only by new lines and by yanking.
func indexFile(p *packages.Package) ([]byte, error) {
	var out bytes.Buffer
	for _, v := range p.WithUnlisted() {
		m, err := stored.Decode(v.Metadata)
		if err != nil {
			return nil, err
		}
		line, ok := bytes.CutSuffix(m.Index, []byte("}"))
		if !ok {
			continue // it was not published by cargo
		}
		out.Write(line)
		out.WriteString(`,"cksum":"` + checksum(v) + `","yanked":` + strconv.FormatBool(yanked(v)))
		if !m.HasTime {
			out.WriteString(`,"pubtime":"` + timestamp(v.Published) + `"`)
		}
		out.WriteString("}\n")
	}
	return out.Bytes(), nil
}

// checksum is the SHA-256 of the .crate, in hex.
func checksum(v *packages.Version) string {
	if len(v.Assets) == 0 {
		return ""
	}
	return v.Assets[0].SHA256
}

func yanked(v *packages.Version) bool { return v.Status == packages.Unlisted }

// timestamp has no fraction, which cargo does not accept. It is empty for the zero time.
func timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
