package cargo

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/archive"
)

// Bounds on what is read of a .crate.
const (
	// minUnpacked and maxRatio bound the unpacked size as cargo itself does: it refuses
	// to unpack more than 512 MiB and more than twenty times the size of the .crate.
	minUnpacked = 512 << 20
	maxRatio    = 20
	maxTime     = time.Minute
	maxPadding  = 1 << 20 // bytes after the end of the tar
	maxManifest = 2 << 20 // bytes
	maxReadme   = 1 << 20 // bytes
	maxReadmes  = 4       // files that may be the readme
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
	t, err := archive.NewBudget(ctx, archive.Limits{Unpacked: max(minUnpacked, size*maxRatio), Time: maxTime}).Tar(z)
	if err != nil {
		return nil, err
	}
	files := &archiveFiles{root: name + "-" + version, readmes: map[string][]byte{}}
	if err := files.read(t); err != nil {
		return nil, err
	}
	if n, err := io.Copy(io.Discard, io.LimitReader(z, maxPadding)); err != nil {
		return nil, err
	} else if n == maxPadding {
		return nil, errors.New("something follows the end of the tar")
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
}

func (f *archiveFiles) read(t *archive.Tar) error {
	for {
		file, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = f.add(file)
		}
		if err != nil {
			return err
		}
	}
}

func (f *archiveFiles) add(file *archive.TarFile) (err error) {
	if file.Link != "" {
		return fmt.Errorf("%.200q is a link, which cargo does not publish", file.Name)
	}
	below, ok := strings.CutPrefix(file.Name, f.root+"/")
	if !ok || path.Clean(below) != below || strings.Contains(below, `\`) {
		return fmt.Errorf("%.200q is not below the folder %s", file.Name, f.root)
	}
	lower := strings.ToLower(below)
	switch {
	case lower == "cargo.toml" && (below != "Cargo.toml" || f.manifest != nil):
		return errors.New("it has more than one Cargo.toml")
	case lower == "cargo.toml":
		f.manifest, err = file.Content(maxManifest)
	case strings.HasPrefix(lower, "readme") && !strings.Contains(lower, "/") && len(f.readmes) < maxReadmes && file.Size <= maxReadme:
		f.readmes[below], err = file.Content(maxReadme)
	}
	return err
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
