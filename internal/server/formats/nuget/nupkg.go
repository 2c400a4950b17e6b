package nuget

import (
	"context"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/archive"
)

// maxReadme bounds a readme, in bytes. The public gallery takes 1 MiB.
const maxReadme = 1 << 20

// A nupkg is a package file: a zip with one manifest at its root. The errors of its
// methods are faults, or failures of the store.
type nupkg struct {
	zip      *archive.Zip
	manifest string // its name in the zip
	raw      []byte // its text
}

// openNupkg reads the manifest of a package. Nothing else is unpacked.
func openNupkg(ctx context.Context, r io.ReaderAt, size int64) (*nupkg, error) {
	z, err := archive.NewBudget(ctx, archive.Limits{}).Zip(r, size)
	if err != nil {
		return nil, err
	}
	name, raw, err := z.Find(".nuspec file at its root", maxNuspec, func(name string) bool {
		return !strings.ContainsAny(name, `/\`) && strings.HasSuffix(strings.ToLower(name), ".nuspec")
	})
	if err != nil {
		return nil, err
	}
	return &nupkg{z, name, raw}, nil
}

// rawNuspec returns the manifest's text.
func (p *nupkg) rawNuspec() ([]byte, error) { return p.raw, nil }

// readme returns the text of a readme file. A package without it is as good as one
// whose manifest names none.
func (p *nupkg) readme(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	for _, f := range p.zip.Files() {
		if !strings.EqualFold(path(f.Name), name) {
			continue
		}
		raw, err := f.Content(maxReadme)
		if e := (*fault.Error)(nil); errors.As(err, &e) || !utf8.Valid(raw) {
			return "", nil
		}
		return string(raw), err
	}
	return "", nil
}

// ownReadme returns the readme that the manifest names.
func (p *nupkg) ownReadme() ([]byte, error) {
	n, err := p.nuspec()
	if err != nil {
		return nil, err
	}
	text, err := p.readme(n.Readme)
	return []byte(text), err
}

// nuspec returns the manifest, checked.
func (p *nupkg) nuspec() (*nuspec, error) {
	n, err := parseNuspec(p.raw)
	if err != nil {
		return nil, formats.BadContent(err, "InvalidPackage", "The manifest %s of the package cannot be read.", p.manifest)
	}
	return n, nil
}
