package archive

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"strings"
)

// A Zip lists the members of a zip and reads them by ranges.
type Zip struct {
	budget *Budget
	source *rangeSource
	files  []*ZipFile
}

// A ZipFile is a file in a zip.
type ZipFile struct {
	Name string
	Size int64 // in bytes, as the directory says
	zip  *Zip
	file *zip.File
}

// Zip opens a zip of size bytes. It reads the directory at its end.
func (b *Budget) Zip(r io.ReaderAt, size int64) (*Zip, error) {
	if err := b.open(); err != nil {
		return nil, err
	}
	s := &rangeSource{r: r, size: size, left: b.limits.Directory}
	if err := s.checkDirectory(b.limits); err != nil {
		return nil, reason(err, s.err)
	}
	list, err := zip.NewReader(s, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // checkName has the rule
		return nil, reason(err, s.err)
	}
	s.left = -1
	if len(list.File) > b.limits.Entries {
		return nil, invalid("it has more than %d files", b.limits.Entries)
	}
	z := &Zip{budget: b, source: s}
	for _, f := range list.File {
		if err := checkName(f.Name); err != nil {
			return nil, err
		}
		switch mode := f.Mode(); {
		case mode.IsDir() || strings.HasSuffix(f.Name, "/"):
		case mode&fs.ModeSymlink != 0:
			return nil, invalid("%q is a link", f.Name)
		default:
			z.files = append(z.files, &ZipFile{Name: f.Name, Size: int64(min(f.UncompressedSize64, 1<<62)), zip: z, file: f})
		}
	}
	return z, nil
}

// Files are the files in the order of the directory. Folders are left out.
func (z *Zip) Files() []*ZipFile { return z.files }

// Find returns the content, of at most limit bytes, of the one file for which wanted is
// true. Two such files are a fault: readers of the archive may choose either. what names
// the file in the fault Missing.
func (z *Zip) Find(what string, limit int64, wanted func(name string) bool) (name string, content []byte, err error) {
	var found *ZipFile
	for _, f := range z.files {
		if !wanted(f.Name) {
			continue
		}
		if found != nil {
			return "", nil, invalid("it has more than one %s: %s and %s", what, found.Name, f.Name)
		}
		found = f
	}
	if found == nil {
		return "", nil, missing(what)
	}
	content, err = found.Content(limit)
	return found.Name, content, err
}

// Open returns a reader of the content. It may be an archive itself.
func (f *ZipFile) Open() (io.ReadCloser, error) {
	r, err := f.file.Open()
	if err != nil {
		return nil, reason(err, f.zip.source.err)
	}
	packed := int64(min(f.file.CompressedSize64, 1<<62))
	m := &meter{budget: f.zip.budget, r: r, packed: func() int64 { return packed }}
	return &zipContent{m, r, f.zip.source}, nil
}

// Content returns the content, of at most limit bytes.
func (f *ZipFile) Content(limit int64) ([]byte, error) {
	if f.Size > limit {
		return nil, invalid("%s is larger than %d KiB", f.Name, limit>>10)
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return readAll(r, f.Name, limit)
}

type zipContent struct {
	io.Reader
	io.Closer
	source *rangeSource
}

func (c *zipContent) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = reason(err, c.source.err)
	}
	return n, err
}

// A rangeSource is a [source] that is read by ranges. It fails if more than left bytes
// are read; -1 means any number.
type rangeSource struct {
	r          io.ReaderAt
	size, left int64
	err        error
}

func (s *rangeSource) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > s.size { // an offset that a broken archive names
		return 0, errors.New("it names an offset outside of it")
	}
	n, err := s.r.ReadAt(p, off)
	if err != nil && err != io.EOF {
		s.err = err
		return n, err
	}
	if s.left >= 0 {
		if s.left -= int64(n); s.left < 0 {
			s.left = 0
			return 0, errors.New("its directory is too large")
		}
	}
	return n, err
}

// The end of a zip's directory ("APPNOTE.TXT", sections 4.3.14 to 4.3.16).
const (
	endSignature     = "PK\x05\x06"
	endLength        = 22
	locatorSignature = "PK\x06\x07"
	locatorLength    = 20
	end64Length      = 56
	maxComment       = 65 << 10
	maxEnds          = 16
)

// checkDirectory refuses a directory that is too large, by what the zip says about it.
// archive/zip allocates a list of as many files as are announced before it reads one,
// up to a 30th of the size of the archive. It may take any of several possible ends for
// the right one, so all of them have to be good.
func (s *rangeSource) checkDirectory(l Limits) error {
	tail := make([]byte, min(s.size, maxComment))
	base := s.size - int64(len(tail))
	if n, err := s.ReadAt(tail, base); n < len(tail) {
		return err
	}
	ends := 0
	for i := len(tail); ; {
		i = bytes.LastIndex(tail[:i], []byte(endSignature))
		if i < 0 {
			break
		}
		if len(tail)-i < endLength {
			continue
		}
		if ends++; ends > maxEnds {
			return errors.New("its end looks like several archives")
		}
		if err := s.checkEnd(tail[i:], base+int64(i), l); err != nil {
			return err
		}
	}
	if ends == 0 {
		return errors.New("it is not a zip, or a part of one")
	}
	return nil
}

func (s *rangeSource) checkEnd(end []byte, at int64, l Limits) error {
	records, size := uint64(binary.LittleEndian.Uint16(end[10:])), uint64(binary.LittleEndian.Uint32(end[12:]))
	if at >= locatorLength {
		locator := make([]byte, locatorLength)
		if n, err := s.ReadAt(locator, at-locatorLength); n < len(locator) {
			return err
		}
		if bytes.HasPrefix(locator, []byte(locatorSignature)) {
			end64 := make([]byte, end64Length)
			offset := binary.LittleEndian.Uint64(locator[8:])
			if n, err := s.ReadAt(end64, int64(min(offset, 1<<62))); n < len(end64) {
				return errors.Join(err, io.ErrUnexpectedEOF)
			}
			records, size = binary.LittleEndian.Uint64(end64[32:]), binary.LittleEndian.Uint64(end64[40:])
		}
	}
	if records > uint64(l.Entries) {
		return errors.New("it has too many files")
	}
	if size > uint64(l.Directory) {
		return errors.New("its directory is too large")
	}
	return nil
}
