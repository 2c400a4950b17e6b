package archive

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"io"
	"strings"
)

// A Tar reads the members of a tar one after the other.
type Tar struct {
	budget  *Budget
	t       *tar.Reader
	source  *source
	entries int
}

// Tar opens a tar that is not compressed.
func (b *Budget) Tar(r io.Reader) (*Tar, error) {
	if err := b.open(); err != nil {
		return nil, err
	}
	s := &source{r: r}
	return &Tar{budget: b, source: s, t: tar.NewReader(&meter{budget: b, r: s, packed: func() int64 { return s.n }})}, nil
}

// TarGz opens a tar that is compressed with gzip.
func (b *Budget) TarGz(r io.Reader) (*Tar, error) {
	if err := b.open(); err != nil {
		return nil, err
	}
	s := &source{r: r}
	z, err := gzip.NewReader(bufio.NewReader(s))
	if err != nil {
		return nil, reason(err, s.err)
	}
	return &Tar{budget: b, source: s, t: tar.NewReader(&meter{budget: b, r: z, packed: func() int64 { return s.n }})}, nil
}

// A TarFile is a member of a tar, of which Read returns the content until the next call
// of Next. It may be an archive itself.
type TarFile struct {
	Name string // without a leading "./"
	Size int64  // in bytes, as the tar says
	Link string // the target of a link, which has no content
	tar  *Tar
}

// Next returns the next file or link, or io.EOF at the end. Folders are left out.
func (t *Tar) Next() (*TarFile, error) {
	for {
		h, err := t.t.Next()
		if err == io.EOF {
			return nil, io.EOF
		}
		if err != nil {
			return nil, reason(err, t.source.err)
		}
		if t.entries++; t.entries > t.budget.limits.Entries {
			return nil, invalid("it has more than %d files", t.budget.limits.Entries)
		}
		if err := checkName(h.Name); err != nil {
			return nil, err
		}
		f := &TarFile{Name: strings.TrimPrefix(h.Name, "./"), Size: h.Size, tar: t}
		switch h.Typeflag {
		case tar.TypeReg, tar.TypeGNUSparse:
			return f, nil
		case tar.TypeSymlink, tar.TypeLink:
			if err := checkLink(h.Name, h.Linkname, h.Typeflag == tar.TypeSymlink); err != nil {
				return nil, err
			}
			f.Link = h.Linkname
			return f, nil
		case tar.TypeDir, tar.TypeXGlobalHeader:
		default:
			return nil, invalid("%q is neither a file nor a folder nor a link", h.Name)
		}
	}
}

// Find returns the content, of at most limit bytes, of the first file for which wanted is
// true. What comes after it is not read. what names the file in the fault Missing.
func (t *Tar) Find(what string, limit int64, wanted func(name string) bool) (name string, content []byte, err error) {
	for {
		f, err := t.Next()
		if err == io.EOF {
			return "", nil, missing(what)
		}
		if err != nil {
			return "", nil, err
		}
		if f.Link == "" && wanted(f.Name) {
			content, err := f.Content(limit)
			return f.Name, content, err
		}
	}
}

// Read reads from the content.
func (f *TarFile) Read(p []byte) (int, error) {
	n, err := f.tar.t.Read(p)
	if err != nil && err != io.EOF {
		err = reason(err, f.tar.source.err)
	}
	return n, err
}

// Content returns the content, of at most limit bytes.
func (f *TarFile) Content(limit int64) ([]byte, error) {
	if f.Size > limit {
		return nil, invalid("%s is larger than %d KiB", f.Name, limit>>10)
	}
	return readAll(f, f.Name, limit)
}

// Gunzip returns what is compressed in r, of at most limit bytes. name is for messages.
func (b *Budget) Gunzip(r io.Reader, name string, limit int64) ([]byte, error) {
	s := &source{r: r}
	z, err := gzip.NewReader(bufio.NewReader(s))
	if err != nil {
		return nil, reason(err, s.err)
	}
	content, err := readAll(&meter{budget: b, r: z, packed: func() int64 { return s.n }}, name, limit)
	if err != nil {
		return nil, reason(err, s.err)
	}
	return content, nil
}
