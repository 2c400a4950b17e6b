package nuget

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Bounds on what is read of a package.
const (
	// maxEntries is how many files a package may have.
	maxEntries = 100_000
	// maxDirectory bounds how much of a zip is read to list its files, in bytes:
	// mostly its directory. The list takes about ten times as much memory.
	maxDirectory = 16 << 20
	// maxReadme bounds a readme, in bytes. The public gallery takes 1 MiB.
	maxReadme = 1 << 20
)

// A nupkg is a package file: a zip with one manifest at its root.
type nupkg struct {
	zip      *zip.Reader
	manifest *zip.File
}

// openNupkg reads the directory of a package. Nothing is unpacked.
func openNupkg(r io.ReaderAt, size int64) (*nupkg, error) {
	directory := &boundedReaderAt{ReaderAt: r, left: maxDirectory}
	z, err := zip.NewReader(directory, size)
	if err != nil {
		return nil, err
	}
	directory.left = size // each file has a bound of its own
	if len(z.File) > maxEntries {
		return nil, fmt.Errorf("it has more than %d files", maxEntries)
	}
	p := &nupkg{zip: z}
	for _, f := range z.File {
		if unsafeName(f.Name) {
			return nil, fmt.Errorf("the file name %.100q leads out of the package", f.Name)
		}
		if strings.ContainsAny(f.Name, `/\`) || !strings.HasSuffix(strings.ToLower(f.Name), ".nuspec") {
			continue
		}
		if p.manifest != nil {
			return nil, errors.New("it has more than one .nuspec file at its root")
		}
		p.manifest = f
	}
	if p.manifest == nil {
		return nil, errors.New("it has no .nuspec file at its root")
	}
	return p, nil
}

// unsafeName reports whether a client that unpacks the file could write outside of its
// folder.
func unsafeName(name string) bool {
	name = strings.ReplaceAll(name, `\`, "/")
	if strings.HasPrefix(name, "/") || len(name) > 1 && name[1] == ':' {
		return true
	}
	for _, segment := range strings.Split(name, "/") {
		if segment == ".." {
			return true
		}
	}
	return false
}

// rawNuspec returns the manifest's text.
func (p *nupkg) rawNuspec() ([]byte, error) {
	raw, err := readZipped(p.manifest, maxNuspec)
	if err != nil {
		return nil, fmt.Errorf("its manifest: %w", err)
	}
	return raw, nil
}

// readme returns the text of a readme file. A package without it is as good as one
// whose manifest names none.
func (p *nupkg) readme(name string) string {
	if name == "" {
		return ""
	}
	for _, f := range p.zip.File {
		if !strings.EqualFold(path(f.Name), name) {
			continue
		}
		if raw, err := readZipped(f, maxReadme); err == nil && utf8.Valid(raw) {
			return string(raw)
		}
		return ""
	}
	return ""
}

// ownReadme returns the readme that the manifest names.
func (p *nupkg) ownReadme() ([]byte, error) {
	n, err := p.nuspec()
	if err != nil {
		return nil, err
	}
	return []byte(p.readme(n.Readme)), nil
}

// nuspec returns the manifest, checked.
func (p *nupkg) nuspec() (*nuspec, error) {
	raw, err := p.rawNuspec()
	if err != nil {
		return nil, err
	}
	n, err := parseNuspec(raw)
	if err != nil {
		return nil, fmt.Errorf("its manifest %s: %w", p.manifest.Name, err)
	}
	return n, nil
}

// readZipped unpacks a file of at most limit bytes.
func readZipped(f *zip.File, limit int64) ([]byte, error) {
	content, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer content.Close()
	b, err := io.ReadAll(io.LimitReader(content, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("the file is larger than %d KiB", limit>>10)
	}
	return b, nil
}

// A boundedReaderAt fails if more than left bytes are read.
type boundedReaderAt struct {
	io.ReaderAt
	left int64
}

func (b *boundedReaderAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.ReaderAt.ReadAt(p, off)
	if b.left -= int64(n); b.left < 0 {
		return 0, errors.New("its directory is too large")
	}
	return n, err
}
