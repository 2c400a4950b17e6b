package inventory

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/gatehouse-registry/gatehouse/internal/truncate"
)

// Limits bound what is read of an image, over all layers.
type Limits struct {
	Bytes    int64 // after decompression
	Entries  int   // of the archives
	Files    int   // that parsers read
	Packages int
}

// DefaultLimits are far above those of real images, of which the largest have tens of
// gigabytes and a million of files.
var DefaultLimits = Limits{Bytes: 64 << 30, Entries: 3_000_000, Files: 200_000, Packages: 50_000}

// The bounds of parts.
const (
	maxPath      = 4096 // bytes; longer ones cannot exist in Linux
	maxText      = 255  // bytes of a name or a version
	maxUnread    = 20   // that are named
	maxZstd      = 64 << 20
	maxPathParts = 128
)

// A Reader reads the layers of one image.
type Reader struct {
	limits   Limits
	left     int64
	entries  int
	files    int
	packages int
	root     *node // of the layers before
	unread   []string
	more     int // files that are not read, beyond maxUnread
}

// NewReader returns a Reader of an image.
func NewReader(l Limits) *Reader {
	return &Reader{limits: l, left: l.Bytes, root: new(node)}
}

// A LayerError says that a layer cannot be read. The message is for people who look at the
// image.
type LayerError struct {
	Layer string
	Cause error
}

func (e *LayerError) Error() string { return fmt.Sprintf("the layer %s: %v", e.Layer, e.Cause) }
func (e *LayerError) Unwrap() error { return e.Cause }

// errTooMuch is that of an image beyond the limits.
var errTooMuch = errors.New("the image is too large to be scanned")

// Layer reads the next layer. The bytes decide whether it is compressed with gzip or zstd,
// as all container runtimes do it. The error is a [*LayerError].
func (r *Reader) Layer(digest string, body io.Reader) error {
	if err := r.layer(digest, body); err != nil {
		return &LayerError{digest, err}
	}
	return nil
}

func (r *Reader) layer(digest string, body io.Reader) error {
	plain, err := decompress(bufio.NewReaderSize(body, 64<<10))
	if err != nil {
		return err
	}
	defer plain.Close()
	limited := &meter{r: plain, left: &r.left}
	archive := tar.NewReader(limited)
	own := new(node) // what the layer has
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			r.root.merge(own)
			return nil
		}
		if err != nil {
			return cmp.Or(limited.exceeded, err)
		}
		if r.entries++; r.entries > r.limits.Entries {
			return fmt.Errorf("%w: it has more than %d entries", errTooMuch, r.limits.Entries)
		}
		if err := r.entry(own, digest, header, archive); err != nil {
			return cmp.Or(limited.exceeded, err)
		}
	}
}

// entry reads one entry of a layer.
func (r *Reader) entry(own *node, digest string, h *tar.Header, content io.Reader) error {
	parts := split(h.Name)
	if parts == nil {
		return nil
	}
	last := len(parts) - 1
	if name, ok := strings.CutPrefix(parts[last], ".wh."); ok { // image-spec 1.1, Whiteouts
		if name == ".wh..opq" {
			r.root.remove(parts[:last], onlyBelow)
		} else {
			r.root.remove(append(parts[:last:last], name), whole)
		}
		return nil
	}
	if h.Typeflag == tar.TypeDir {
		r.root.remove(parts, onlyFile)
		own.remove(parts, onlyFile)
		return nil
	}
	r.root.remove(parts, whole) // whatever it is, it replaces what was there
	own.remove(parts, whole)
	if h.Typeflag != tar.TypeReg {
		return nil
	}
	parse := parserOf(strings.Join(parts, "/"), h)
	if parse == nil {
		return nil
	}
	if r.files++; r.files > r.limits.Files {
		return fmt.Errorf("%w: it has more than %d files of package managers", errTooMuch, r.limits.Files)
	}
	f := &file{path: strings.Join(parts, "/"), size: h.Size, content: &meter{r: content, left: &r.left}}
	if err := parse(f); err != nil {
		if f.vital || errors.Is(err, errTooMuch) {
			return fmt.Errorf("%s: %w", f.path, err)
		}
		r.skip(f.path, err)
	}
	if len(f.packages) == 0 && f.system == nil {
		return nil
	}
	if r.packages += len(f.packages); r.packages > r.limits.Packages {
		return fmt.Errorf("%w: it has more than %d packages", errTooMuch, r.limits.Packages)
	}
	for i := range f.packages {
		f.packages[i].Path, f.packages[i].Layer = f.path, digest
	}
	own.put(parts, f)
	return nil
}

// skip notes a file that was not read.
func (r *Reader) skip(path string, err error) {
	if len(r.unread) == maxUnread {
		r.more++
		return
	}
	r.unread = append(r.unread, truncate.String(path+": "+err.Error(), 300))
}

// Inventory returns what was found.
func (r *Reader) Inventory() *Inventory {
	out := &Inventory{Packages: []Package{}, Unread: r.unread}
	if r.more > 0 {
		out.Unread = append(out.Unread, fmt.Sprintf("and %d other files", r.more))
	}
	for _, where := range []string{"etc/os-release", "usr/lib/os-release"} {
		if f := r.root.get(split(where)); f != nil && f.system != nil && out.System == (System{}) {
			out.System = *f.system
		}
	}
	r.root.each(func(f *file) { out.Packages = append(out.Packages, f.packages...) })
	ecosystem := out.System.Ecosystem()
	for i := range out.Packages {
		if p := &out.Packages[i]; p.Manager == managerOS {
			p.Ecosystem = cmp.Or(ecosystem, out.System.ID)
		}
	}
	out.Packages = arrange(out.Packages)
	return out
}

// split returns the parts of a path, or nil if it names nothing below the root.
func split(name string) []string {
	if len(name) > maxPath || strings.ContainsRune(name, 0) {
		return nil
	}
	name = strings.TrimPrefix(path.Clean("/"+name), "/") // ".." cannot leave the root
	if name == "" || strings.Count(name, "/") >= maxPathParts {
		return nil
	}
	return strings.Split(name, "/")
}

// decompress returns the archive in a layer.
func decompress(r *bufio.Reader) (io.ReadCloser, error) {
	magic, err := r.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return gzip.NewReader(r)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxZstd), zstd.WithDecoderMaxWindow(maxZstd))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return io.NopCloser(r), nil
}

// A meter ends a stream with an error if it is longer than what is left for the image.
type meter struct {
	r        io.Reader
	left     *int64
	exceeded error
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if *m.left -= int64(n); *m.left < 0 {
		m.exceeded = fmt.Errorf("%w: its layers have too many bytes when they are unpacked", errTooMuch)
		return 0, m.exceeded
	}
	return n, err
}
