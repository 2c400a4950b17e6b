package lockedversions

import (
	"errors"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// readJSON decodes a document. Errors have their line.
func readJSON(content []byte, into any) error {
	err := json.Unmarshal(content, into)
	var syntax *jsontext.SyntacticError
	var semantic *json.SemanticError
	switch {
	case errors.As(err, &syntax):
		return atLine(newLineIndex(content).line(syntax.ByteOffset), errors.New("the file is not valid JSON"))
	case errors.As(err, &semantic):
		return atLine(newLineIndex(content).line(semantic.ByteOffset), errors.New("a member has another type than in a lock file"))
	}
	return err
}

// An npmPackage is an entry of "packages" or of "dependencies".
type npmPackage struct {
	Name      string `json:"name"`
	Version   string `json:"version"`
	Resolved  any    `json:"resolved"` // a text, or false
	Integrity string `json:"integrity"`
	Link      bool   `json:"link"`
	InBundle  bool   `json:"inBundle"`
	offset    int64
}

// UnmarshalJSONFrom notes where the entry is.
func (p *npmPackage) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	type plain npmPackage
	p.offset = d.InputOffset()
	return json.UnmarshalDecode(d, (*plain)(p))
}

// An npmDependency is an entry of "dependencies", which versions 1 and 2 of the file have.
type npmDependency struct {
	Version      string                   `json:"version"`
	Integrity    string                   `json:"integrity"`
	Bundled      bool                     `json:"bundled"`
	Dependencies map[string]npmDependency `json:"dependencies"`
}

// npm reads package-lock.json of versions 1 to 3.
func npm(l *Lock, content []byte) error {
	var lock struct {
		Packages     map[string]npmPackage    `json:"packages"`
		Dependencies map[string]npmDependency `json:"dependencies"`
	}
	if err := readJSON(content, &lock); err != nil {
		return err
	}
	r, lines := npmReader{lock: l, seen: map[string]bool{}}, newLineIndex(content)
	for _, place := range sortedKeys(lock.Packages) {
		p := lock.Packages[place]
		i := strings.LastIndex(place, "node_modules/")
		if i < 0 || p.Link || p.InBundle { // of the project itself, or in the tarball of another package
			continue
		}
		name := place[i+len("node_modules/"):]
		if p.Name != "" {
			name = p.Name // an alias
		}
		if resolved, _ := p.Resolved.(string); strings.HasPrefix(resolved, "git") || strings.HasPrefix(resolved, "file:") {
			r.elsewhere++
			continue
		}
		if err := r.add(name, p.Version, p.Integrity, lines.line(p.offset)); err != nil {
			return err
		}
	}
	if len(lock.Packages) == 0 { // version 2 has the same in both
		if err := r.walk(lock.Dependencies); err != nil {
			return err
		}
	}
	l.note(r.elsewhere, "dependencies that come from git, files or addresses and not from a registry, which are left out")
	return nil
}

type npmReader struct {
	lock      *Lock
	seen      map[string]bool
	elsewhere int
}

func (r *npmReader) walk(dependencies map[string]npmDependency) error {
	for _, name := range sortedKeys(dependencies) {
		d := dependencies[name]
		if d.Bundled {
			continue
		}
		if alias, ok := strings.CutPrefix(d.Version, "npm:"); ok {
			if i := strings.LastIndexByte(alias, '@'); i > 0 {
				name, d.Version = alias[:i], alias[i+1:]
			}
		}
		if err := r.add(name, d.Version, d.Integrity, 0); err != nil {
			return err
		}
		if err := r.walk(d.Dependencies); err != nil {
			return err
		}
	}
	return nil
}

func (r *npmReader) add(name, version, integrity string, line int) error {
	if version == "" {
		return nil
	}
	if strings.ContainsAny(version, ":/") { // a file, a folder or a repository
		r.elsewhere++
		return nil
	}
	v := Version{Format: "npm", Name: name, Version: version, Line: line}
	if scope, bare, ok := strings.Cut(strings.TrimPrefix(name, "@"), "/"); ok {
		v.Namespace, v.Name = scope, bare
	}
	if strings.Contains(v.Name, "/") {
		return atLine(line, errors.New("a package has a slash in its name"))
	}
	if integrity != "" {
		hashes, err := subresource(integrity)
		if err != nil {
			return atLine(line, err)
		}
		v.Files = []File{{Hashes: hashes}}
	}
	key := v.String() + " " + integrity
	if r.seen[key] {
		return nil
	}
	r.seen[key] = true
	return r.lock.add(v)
}

// subresource reads the strongest hashes of an integrity (Subresource Integrity, 3.5: the
// strongest algorithm counts, and each hash of it is an alternative).
func subresource(integrity string) ([]Hash, error) {
	var best []Hash
	for text := range strings.FieldsSeq(integrity) {
		text, _, _ = strings.Cut(text, "?")
		algorithm, digest, _ := strings.Cut(text, "-")
		h, err := base64Hash(algorithm, digest)
		if err != nil {
			return nil, err
		}
		switch {
		case len(best) == 0 || hashSizes[h.Algorithm] > hashSizes[best[0].Algorithm]:
			best = []Hash{h}
		case h.Algorithm == best[0].Algorithm:
			best = append(best, h)
		}
	}
	return best, nil
}

func sortedKeys[T any](m map[string]T) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
