package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-registry/gatehouse/internal/client/lockedversions"
	"github.com/gatehouse-registry/gatehouse/internal/client/packagerepo"
)

// An Export says what a bundle gets.
type Export struct {
	// Repository is nil if there are only images.
	Repository *packagerepo.Repository
	// Versions are those that the bundle gets; nil means all of the repository.
	Versions []lockedversions.Version
	// Images is nil if there are none.
	Images *Images
	// Key signs the bundle.
	Key ssh.Signer
	// Since is the path of an earlier bundle, signed with the same key: what it and those
	// before it have is left out.
	Since string
	Now   func() time.Time
	// Moved is told how many bytes were written.
	Moved func(int64)
}

// A Summary says what a bundle has.
type Summary struct {
	Versions, Images, Blobs int
	// Bytes is the size of the blobs.
	Bytes int64
	// LeftOut counts versions and images that an earlier bundle has.
	LeftOut int
	// Skipped are versions that cannot be exported, because they are not finished or have
	// lost their files.
	Skipped []string
}

// batch is how many records are fetched at a time. They are in memory together.
const (
	batch    = 64
	parallel = 8
)

// Write writes the bundle to a file, which must not exist yet.
func (e *Export) Write(ctx context.Context, path string) (*Summary, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("%s exists already; remove it, or choose another name", path)
	}
	x := &exporter{Export: e, hash: sha256.New(), writer: writer{
		header:    Header{Format: formatName, Created: e.Now().UTC().Truncate(time.Second)},
		inventory: inventory{}, blobs: map[string]content{}, key: e.Key, now: e.Now, moved: e.Moved,
	}, earlier: inventory{}}
	if e.Since != "" {
		var err error
		if x.earlier, x.writer.header.Since, err = readInventory(e.Since, []ssh.PublicKey{e.Key.PublicKey()}); err != nil {
			return nil, err
		}
		for line := range x.earlier {
			x.writer.inventory[line] = true
		}
	}
	spool, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part")
	if err != nil {
		return nil, err
	}
	defer os.Remove(spool.Name())
	defer spool.Close()
	x.writer.versions = spool
	if e.Repository != nil {
		x.writer.header.Source = e.Repository.Domain + "/" + e.Repository.Name
		if err := x.addVersions(ctx); err != nil {
			return nil, err
		}
	}
	if e.Images != nil {
		if err := x.addImages(ctx); err != nil {
			return nil, err
		}
	}
	w := &x.writer
	w.sum = x.hash.Sum(nil)
	w.header.Versions, w.header.Images = x.summary.Versions, x.summary.Images
	x.summary.Blobs = len(w.blobs)
	for _, c := range w.blobs {
		x.summary.Bytes += c.size
	}
	return &x.summary, w.write(ctx, path)
}

type exporter struct {
	*Export
	writer  writer
	earlier inventory
	hash    hash.Hash // of the records
	summary Summary
}

// addVersions fetches the records, in the order of the versions.
func (x *exporter) addVersions(ctx context.Context) error {
	versions := x.Versions
	if versions == nil {
		var err error
		if versions, err = list(ctx, x.Repository); err != nil {
			return err
		}
	}
	for len(versions) > 0 {
		some := versions[:min(batch, len(versions))]
		versions = versions[len(some):]
		texts := make([][]byte, len(some))
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(parallel)
		for i := range some {
			group.Go(func() (err error) {
				texts[i], err = x.Repository.Record(ctx, &some[i])
				if errors.Is(err, packagerepo.ErrNotExportable) {
					return nil
				}
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		for i, text := range texts {
			if text == nil {
				x.summary.Skipped = append(x.summary.Skipped, some[i].String())
				continue
			}
			if err := x.addRecord(text); err != nil {
				return fmt.Errorf("%s: %w", some[i].String(), err)
			}
		}
	}
	return nil
}

// addRecord adds a version unless an earlier bundle has the same record.
func (x *exporter) addRecord(text []byte) error {
	line := "version " + digest(text)
	if x.writer.inventory[line] {
		if x.earlier[line] {
			x.summary.LeftOut++
		}
		return nil
	}
	x.writer.inventory[line] = true
	var r packagerepo.Record
	if err := json.Unmarshal(text, &r); err != nil {
		return err
	}
	for _, f := range r.Files {
		if !isDigest(f.SHA256) {
			return fmt.Errorf("the record has no digest of %s", f.Name)
		}
		held := fileLine(&r, f.Name, f.SHA256)
		x.writer.inventory[held] = true
		if x.earlier[held] {
			continue
		}
		x.writer.blobs[f.SHA256] = content{f.SHA256, f.Size, func(ctx context.Context) (io.ReadCloser, error) {
			return x.Repository.OpenFile(ctx, &r, f.Name)
		}}
	}
	x.summary.Versions++
	text = append(text, '\n')
	x.hash.Write(text)
	n, err := x.writer.versions.Write(text)
	x.writer.size += int64(n)
	return err
}

// list returns all versions that the repository itself has.
func list(ctx context.Context, r *packagerepo.Repository) (all []lockedversions.Version, err error) {
	err = r.EachPackage(ctx, "", func(p packagerepo.Package) error {
		versions, err := r.Versions(ctx, p)
		for _, v := range versions {
			all = append(all, p.At(v.Version))
		}
		return err
	})
	return all, err
}
