package backup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob/local"
	"github.com/gatehouse-registry/gatehouse/internal/server/consistency"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/sqlite"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/progress"
)

const keyringFile = "keyring.json"

// A Source is what is backed up.
type Source struct {
	Database string // the SQLite file
	Blobs    string // the folder of the blob store
	// Keyring is the keyring file; "" leaves it out. Whoever has it can act as anyone.
	Keyring string
	// Files are further files, by their names in the backup, with slashes.
	Files map[string]string
	// Account is the first account of the installation.
	Account string
}

// Options are how a backup is made.
type Options struct {
	// Version is the version of this program.
	Version string
	// Now is the clock.
	Now func() time.Time
	// Keep is how many generations are kept, this one included. 0 keeps all.
	Keep int
	// Copies makes copies of objects even if they could be linked.
	Copies bool
	// Progress may be nil.
	Progress progress.Reporter
}

// attempts is how often a snapshot is taken if objects that it names are gone. An
// object is gone only if it was damaged and was replaced meanwhile.
const attempts = 2

// Create makes a backup of a running or stopped installation in the folder dir, and
// returns it. Objects that are damaged in the installation are not in the backup, and
// its manifest names them.
func Create(ctx context.Context, source Source, dir string, o Options) (*Generation, error) {
	if o.Progress == nil {
		o.Progress = progress.Silent
	}
	f, err := openFolder(dir)
	if err != nil {
		return nil, err
	}
	defer f.close()
	c := &creation{folder: f, source: source, options: o}
	g, err := c.run(ctx)
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	if o.Keep > 0 {
		if err := f.prune(ctx, o.Keep, o.Progress); err != nil {
			return g, fmt.Errorf("the backup %s is complete, but older ones could not be deleted: %w", g.Name, err)
		}
	}
	return g, nil
}

// A creation is one run of [Create].
type creation struct {
	folder  *folder
	source  Source
	options Options
	*Generation
}

func (c *creation) run(ctx context.Context) (*Generation, error) {
	for attempt := 1; ; attempt++ {
		if err := c.snapshot(ctx); err != nil {
			return nil, err
		}
		if err := c.copyObjects(ctx); err != nil {
			return nil, err
		}
		if c.Objects.Damaged == 0 || attempt == attempts {
			break
		}
	}
	if err := c.addFiles(); err != nil {
		return nil, err
	}
	return c.Generation, c.folder.complete(c.Generation)
}

// snapshot copies the database and lists the objects that it names.
func (c *creation) snapshot(ctx context.Context) (err error) {
	phase := c.options.Progress.Begin("database", 0, progress.Bytes)
	defer phase.End()
	now := c.options.Now()
	if c.Generation, err = c.folder.begin(now); err != nil {
		return err
	}
	c.Manifest = Manifest{Format: format, Created: now.UTC(), Version: c.options.Version, Account: c.source.Account}
	file := filepath.Join(c.dir, databaseFile)
	if err := sqlite.Copy(ctx, c.source.Database, file); err != nil {
		return err
	}
	if info, err := os.Stat(file); err == nil {
		phase.Add(info.Size())
	}
	d, err := sqlite.OpenReadOnly(ctx, file)
	if err != nil {
		return err
	}
	if c.Schema, err = d.SchemaSteps(ctx); err == nil {
		err = c.listObjects(ctx, d)
	}
	if err = errors.Join(err, d.Close()); err != nil {
		return fmt.Errorf("read the copy of the database: %w", err)
	}
	return errors.Join(c.record(databaseFile), c.record(objectsFile))
}

// objects yields the objects that a database names.
func objects(ctx context.Context, q db.Querier) consistency.Objects {
	return func(yield func(consistency.Object, error) bool) {
		for _, of := range []consistency.Objects{images.Objects(ctx, q), packages.Objects(ctx, q)} {
			for o, err := range of {
				if !yield(o, err) || err != nil {
					return
				}
			}
		}
	}
}

// listObjects writes the list of the objects.
func (c *creation) listObjects(ctx context.Context, d *db.DB) error {
	f, err := os.OpenFile(filepath.Join(c.dir, objectsFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	for o, err := range objects(ctx, d) {
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s %d %s\n", o.Name, o.Size, o.Digests[0]); err != nil {
			return err
		}
		c.Objects.Count++
		c.Objects.Bytes += o.Size
	}
	return errors.Join(w.Flush(), f.Sync())
}

// listedObjects reads the list of the objects.
func (g *Generation) listedObjects() consistency.Objects {
	return func(yield func(consistency.Object, error) bool) {
		f, err := os.Open(filepath.Join(g.dir, objectsFile))
		if err != nil {
			yield(consistency.Object{}, err)
			return
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			o := consistency.Object{Digests: make([]string, 1)}
			if _, err := fmt.Sscanf(lines.Text(), "%s %d %s", &o.Name, &o.Size, &o.Digests[0]); err != nil {
				yield(consistency.Object{}, fmt.Errorf("%w: %s of generation %s: %w", ErrDamaged, objectsFile, g.Name, err))
				return
			}
			if !yield(o, nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(consistency.Object{}, err)
		}
	}
}

// addFiles copies the keyring and the other files. It comes after the snapshot: a key
// is in the keyring before anything in the database needs it.
func (c *creation) addFiles() error {
	if c.source.Keyring != "" {
		if err := c.add(keyringFile, c.source.Keyring); err != nil {
			return fmt.Errorf("the keyring: %w", err)
		}
	}
	for name, path := range c.source.Files {
		if err := c.add(name, path); err != nil {
			return err
		}
	}
	return nil
}

// prune deletes all but the newest generations, and the objects that only they had.
func (f *folder) prune(ctx context.Context, keep int, p progress.Reporter) error {
	list, err := f.list()
	if err != nil {
		return err
	}
	old := list[:max(0, len(list)-keep)]
	for _, g := range old {
		// First under another name, so that it is not taken for a complete one.
		if err := errors.Join(os.Rename(g.dir, g.dir+partial), os.RemoveAll(g.dir+partial)); err != nil {
			return err
		}
	}
	if len(old) == 0 {
		return nil
	}
	return f.deleteUnnamed(ctx, list[len(old):], p)
}

// deleteUnnamed deletes the objects that none of the generations names.
func (f *folder) deleteUnnamed(ctx context.Context, kept []*Generation, p progress.Reporter) error {
	phase := p.Begin("old blobs", 0, progress.Items)
	defer phase.End()
	names, err := namesOf(kept)
	if err != nil {
		return err
	}
	store, err := local.Open(f.path(blobsDir), local.WithReserve(0))
	if err != nil {
		return err
	}
	defer store.Close()
	for info, err := range store.List(ctx, "") {
		if err != nil {
			return err
		}
		phase.Add(1)
		if !names.has(info.Name) {
			if err := store.Delete(ctx, info.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// namesOf returns the names of the objects of generations.
func namesOf(generations []*Generation) (nameSet, error) {
	var names nameSet
	for _, g := range generations {
		for o, err := range g.listedObjects() {
			if err != nil {
				return nil, err
			}
			names = append(names, hashOf(o.Name))
		}
		names.compact()
	}
	return names, nil
}
