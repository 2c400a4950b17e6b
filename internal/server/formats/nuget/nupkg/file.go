package nupkg

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/archive"
)

// maxReadme bounds a readme, in bytes. The public gallery takes 1 MiB.
const maxReadme = 1 << 20

// A File is a package file: a zip with one manifest at its root. The errors of its
// methods are faults, or failures of the store.
type File struct {
	zip      *archive.Zip
	manifest string // its name in the zip
	raw      []byte // its text
}

// Open reads the manifest of a package. Nothing else is unpacked.
func Open(ctx context.Context, r io.ReaderAt, size int64) (*File, error) {
	z, err := archive.NewBudget(ctx, archive.Limits{}).Zip(r, size)
	if err != nil {
		return nil, err
	}
	name, raw, err := z.Find(".nuspec file at its root", maxManifest, func(name string) bool {
		return !strings.ContainsAny(name, `/\`) && strings.HasSuffix(strings.ToLower(name), ".nuspec")
	})
	if err != nil {
		return nil, err
	}
	return &File{z, name, raw}, nil
}

// FileMetadata is what the store keeps, as JSON, of a package file.
type FileMetadata struct {
	// Signed means that the file has a signature of its author or of a repository. It is
	// not verified.
	Signed bool `json:"signed"`
}

// signatureName is the file that has the signatures (NuGet wiki, "Package Signatures
// Technical Details").
const signatureName = ".signature.p7s"

// Metadata is what is kept of the file.
func (p *File) Metadata() FileMetadata {
	return FileMetadata{Signed: slices.ContainsFunc(p.zip.Files(), func(f *archive.ZipFile) bool { return f.Name == signatureName })}
}

// RawManifest returns the manifest's text.
func (p *File) RawManifest() ([]byte, error) { return p.raw, nil }

// Readme returns the text of a readme file. A package without it is as good as one
// whose manifest names none.
func (p *File) Readme(name string) (string, error) {
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

// OwnReadme returns the readme that the manifest names.
func (p *File) OwnReadme() ([]byte, error) {
	n, err := p.Manifest()
	if err != nil {
		return nil, err
	}
	text, err := p.Readme(n.Readme)
	return []byte(text), err
}

// Manifest returns the manifest, checked.
func (p *File) Manifest() (*Manifest, error) {
	n, err := ParseManifest(p.raw)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "InvalidPackage", "The manifest %s of the package cannot be read. The reason: %s.", p.manifest, strings.TrimSuffix(err.Error(), "."))
	}
	return n, nil
}
