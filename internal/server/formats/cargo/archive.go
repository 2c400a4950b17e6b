package cargo

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Bounds on what is read of a .crate.
const (
	// minUnpacked and maxRatio bound the unpacked size as cargo itself does: it refuses
	// to unpack more than 512 MiB and more than twenty times the size of the .crate.
	minUnpacked = 512 << 20
	maxRatio    = 20
	maxEntries  = 100_000
	maxManifest = 2 << 20 // bytes
	maxReadme   = 1 << 20 // bytes
)

// A crateArchive is what is read of a .crate.
type crateArchive struct {
	manifest manifest
	readme   string // empty if there is none, or if it is too large
}

// A manifest is the part of Cargo.toml that is compared with the publish request.
// cargo package resolves what a manifest can inherit from its workspace.
type manifest struct {
	Package struct {
		Name        string `toml:"name"`
		Version     string `toml:"version"`
		Links       string `toml:"links"`
		RustVersion string `toml:"rust-version"`
		// Readme is a path, or false.
		Readme any `toml:"readme"`
	} `toml:"package"`
}

// readArchive reads a .crate: a tar compressed by gzip whose files are below the folder
// NAME-VERSION, among them Cargo.toml. It refuses what cargo does not unpack, or
// unpacks into something else than what was checked here. size is that of the .crate,
// in bytes.
func readArchive(ctx context.Context, crate io.Reader, size int64, name, version string) (*crateArchive, error) {
	compressed := bufio.NewReader(crate)
	z, err := gzip.NewReader(compressed)
	if err != nil {
		return nil, fmt.Errorf("it is not compressed by gzip: %w", err)
	}
	z.Multistream(false) // cargo reads one member
	unpacked := &io.LimitedReader{R: z, N: max(minUnpacked, size*maxRatio) + 1}
	files := &archiveFiles{root: name + "-" + version}
	err = files.read(ctx, tar.NewReader(unpacked))
	if err == nil {
		_, err = io.Copy(io.Discard, unpacked) // what follows the end of the tar
	}
	switch {
	case unpacked.N == 0:
		return nil, fmt.Errorf("it has more than %d MiB when it is unpacked, which cargo refuses", max(minUnpacked, size*maxRatio)>>20)
	case err != nil:
		return nil, err
	}
	if _, err := compressed.ReadByte(); err != io.EOF {
		return nil, errors.New("something follows the end of the compressed data")
	}
	return files.archive(name, version)
}

// archiveFiles are the files of an archive that are kept.
type archiveFiles struct {
	root     string
	manifest []byte
	readmes  map[string][]byte // by path below the root
	entries  int
}

func (f *archiveFiles) read(ctx context.Context, t *tar.Reader) error {
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = f.add(h, t)
		}
		if err != nil {
			return err
		}
	}
}

func (f *archiveFiles) add(h *tar.Header, content io.Reader) error {
	if f.entries++; f.entries > maxEntries {
		return fmt.Errorf("it has more than %d files", maxEntries)
	}
	if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir {
		return fmt.Errorf("%.200q is not a file or a folder", h.Name)
	}
	clean := path.Clean(h.Name)
	below, ok := strings.CutPrefix(clean, f.root+"/")
	if !ok && clean != f.root || clean != strings.TrimSuffix(h.Name, "/") || strings.ContainsAny(h.Name, "\\\x00") {
		return fmt.Errorf("%.200q is not below the folder %s", h.Name, f.root)
	}
	if h.Typeflag != tar.TypeReg {
		return nil
	}
	lower := strings.ToLower(below)
	switch {
	case lower == "cargo.toml" && (below != "Cargo.toml" || f.manifest != nil):
		return errors.New("it has more than one Cargo.toml")
	case lower == "cargo.toml":
		var err error
		f.manifest, err = readFile(content, h.Size, maxManifest)
		if err == errTooLarge {
			err = fmt.Errorf("its Cargo.toml has more than %d MiB", maxManifest>>20)
		}
		return err
	case strings.HasPrefix(lower, "readme") && !strings.Contains(lower, "/") && len(f.readmes) < 4:
		text, err := readFile(content, h.Size, maxReadme)
		if err == errTooLarge {
			return nil
		}
		if f.readmes == nil {
			f.readmes = map[string][]byte{}
		}
		f.readmes[below] = text
		return err
	}
	return nil
}

var errTooLarge = errors.New("too large")

func readFile(content io.Reader, size, limit int64) ([]byte, error) {
	if size > limit {
		return nil, errTooLarge
	}
	var b bytes.Buffer
	_, err := b.ReadFrom(content)
	return b.Bytes(), err
}

// archive checks that the manifest is of the crate that is published.
func (f *archiveFiles) archive(name, version string) (*crateArchive, error) {
	if f.manifest == nil {
		return nil, fmt.Errorf("it has no %s/Cargo.toml", f.root)
	}
	a := new(crateArchive)
	if err := toml.Unmarshal(f.manifest, &a.manifest); err != nil {
		return nil, fmt.Errorf("its Cargo.toml cannot be read: %w", err)
	}
	if p := a.manifest.Package; p.Name != name || p.Version != version {
		return nil, fmt.Errorf("its Cargo.toml is of %.80q %.80q and not of %s %s", p.Name, p.Version, name, version)
	}
	if file, ok := a.manifest.Package.Readme.(string); ok {
		a.readme = strings.ToValidUTF8(string(f.readmes[path.Clean(file)]), "\uFFFD")
	}
	return a, nil
}
