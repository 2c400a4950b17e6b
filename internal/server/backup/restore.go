package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gatehouse-registry/gatehouse/internal/atomicfile"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/local"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/transfer"
	"github.com/gatehouse-registry/gatehouse/internal/server/consistency"
	"github.com/gatehouse-registry/gatehouse/internal/server/progress"
)

// UnfinishedFile is in a data folder until it is restored completely. A server does not
// start on a folder that has it.
const UnfinishedFile = "unfinished-restore.json"

// ErrNotEmpty means that the folder to restore to has other files.
var ErrNotEmpty = errors.New("the folder is not empty")

// A Restored says what was restored.
type Restored struct {
	Generation *Generation
	// Damaged are objects that the backup does not have intact, at most [MaxDamaged];
	// DamagedCount is their number. Everything else was restored.
	Damaged      []DamagedObject
	DamagedCount int64
}

// unfinished is the content of [UnfinishedFile].
type unfinished struct {
	Generation string `json:"generation"`
}

// Restore restores a generation of the backup folder dir to the data folder target,
// which does not exist, is empty, or is what an interrupted restore of the same
// generation left. name is "" for the newest generation. Everything is verified by its
// digest. The database comes last, and the folder cannot be served before it is there.
func Restore(ctx context.Context, dir, name, target string, p progress.Reporter) (*Restored, error) {
	if p == nil {
		p = progress.Silent
	}
	f, err := openForReading(dir)
	if err != nil {
		return nil, err
	}
	defer f.close()
	g, err := f.choose(name)
	if err != nil {
		return nil, err
	}
	if err := prepareTarget(target, g.Name); err != nil {
		return nil, err
	}
	r := &restoration{folder: f, Generation: g, target: target, result: &Restored{Generation: g}}
	if err := r.run(ctx, p); err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	return r.result, nil
}

// choose returns the generation of that name, or the newest.
func (f *folder) choose(name string) (*Generation, error) {
	list, err := f.list()
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w in %s: no generation is complete", ErrNoBackup, f.dir)
	}
	if name == "" {
		return list[len(list)-1], nil
	}
	var names []string
	for _, g := range list {
		if g.Name == name {
			return g, nil
		}
		names = append(names, g.Name)
	}
	return nil, fmt.Errorf("%w of that name in %s: it has %s", ErrNoBackup, f.dir, strings.Join(names, ", "))
}

// prepareTarget creates the folder and marks it as unfinished.
func prepareTarget(target, generation string) error {
	if err := os.MkdirAll(target, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(target)
	if err != nil {
		return err
	}
	marker := filepath.Join(target, UnfinishedFile)
	var begun unfinished
	switch err := readJSON(marker, &begun); {
	case err == nil && begun.Generation == generation:
		return nil
	case err == nil:
		return fmt.Errorf("%w: %s has an unfinished restore of the generation %s: finish it with --generation %s, or delete the folder", ErrNotEmpty, target, begun.Generation, begun.Generation)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	// lock is the server's, which the caller may hold; lost+found a file system's. A
	// restore that was killed right at its beginning leaves the temporary file.
	foreign := func(e fs.DirEntry) bool {
		name := e.Name()
		return name != "lock" && name != "lost+found" && !isTemporary(name, UnfinishedFile)
	}
	if i := slices.IndexFunc(entries, foreign); i >= 0 {
		return fmt.Errorf("%w: %s has %s. Restore to a new folder, or move the old one away first", ErrNotEmpty, target, entries[i].Name())
	}
	return writeJSON(marker, unfinished{generation})
}

// A restoration is one run of [Restore].
type restoration struct {
	*folder
	*Generation
	target string
	// cannotClone is true once the file system has refused to clone a file.
	cannotClone atomic.Bool

	mu     sync.Mutex
	result *Restored
}

func (r *restoration) run(ctx context.Context, p progress.Reporter) error {
	if err := r.checkFiles(p); err != nil {
		return err
	}
	if err := r.restoreObjects(ctx, p); err != nil {
		return err
	}
	for _, file := range r.Files {
		if file.Name == databaseFile || file.Name == objectsFile {
			continue
		}
		if err := r.restoreFile(file, file.Name); err != nil {
			return err
		}
	}
	database, ok := r.file(databaseFile)
	if !ok {
		return fmt.Errorf("%w: generation %s has no database", ErrDamaged, r.Name)
	}
	const restoring = databaseFile + ".restoring"
	if err := r.restoreFile(database, restoring); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(r.target, restoring), filepath.Join(r.target, databaseFile)); err != nil {
		return err
	}
	// The marker stays unless all of it is durable: without it a server would start on
	// what is there.
	if err := syncTree(r.target); err != nil {
		return err
	}
	return errors.Join(os.Remove(filepath.Join(r.target, UnfinishedFile)), atomicfile.SyncDir(r.target))
}

// checkFiles verifies the files of the generation before anything is copied.
func (r *restoration) checkFiles(p progress.Reporter) error {
	var total int64
	for _, file := range r.Files {
		total += file.Size
	}
	phase := p.Begin("database", total, progress.Bytes)
	defer phase.End()
	for _, file := range r.Files {
		if !filepath.IsLocal(filepath.FromSlash(file.Name)) {
			return fmt.Errorf("%w: the file name %q of generation %s", ErrDamaged, file.Name, r.Name)
		}
		check := &Generation{dir: r.Generation.dir}
		if err := check.record(file.Name); err != nil {
			return fmt.Errorf("%w: %s of generation %s: %w", ErrDamaged, file.Name, r.Name, err)
		}
		if check.Files[0] != file {
			return fmt.Errorf("%w: %s of generation %s does not have its recorded digest. Restore an older generation with --generation", ErrDamaged, file.Name, r.Name)
		}
		phase.Add(file.Size)
	}
	return nil
}

func (r *restoration) restoreFile(file File, name string) error {
	target := filepath.Join(r.target, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return err
	}
	copied, err := copyFile(filepath.Join(r.Generation.dir, filepath.FromSlash(file.Name)), target)
	if err != nil {
		return err
	}
	if copied.SHA256 != file.SHA256 {
		return fmt.Errorf("%w: %s of generation %s changed while it was read", ErrDamaged, file.Name, r.Name)
	}
	return nil
}

// restoreObjects copies the objects, verified by their digests. It goes on after
// damaged ones: what is left of an installation is better than nothing.
func (r *restoration) restoreObjects(ctx context.Context, p progress.Reporter) error {
	from, err := local.OpenView(r.path(blobsDir))
	if err != nil {
		return err
	}
	defer from.Close()
	dir := filepath.Join(r.target, "blobs")
	to, err := local.Open(dir, local.WithReserve(0))
	if err != nil {
		return err
	}
	defer to.Close()
	have, err := local.OpenView(dir)
	if err != nil {
		return err
	}
	defer have.Close()
	phase := p.Begin("blobs", r.Objects.Bytes, progress.Bytes)
	defer phase.End()
	err = transfer.Each(ctx, parallel, r.listedObjects(), func(ctx context.Context, o consistency.Object) error {
		defer phase.Add(o.Size)
		if hasSize(ctx, have, o) { // an interrupted restore copied and verified it
			return nil
		}
		err := r.restoreObject(ctx, from, to, o)
		if transfer.IsDamaged(err) {
			r.damaged(o, err)
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	return to.Sync()
}

// restoreObject clones an object if the file system can, which shares its blocks, and
// copies it otherwise. It is verified first: what is in the target counts as intact.
func (r *restoration) restoreObject(ctx context.Context, from *local.View, to *local.Store, o consistency.Object) error {
	if !r.cannotClone.Load() {
		if err := transfer.Verify(ctx, from, o.Name, o.Size, o.Digests...); err != nil {
			return err
		}
		if cloned, err := to.Clone(ctx, from, o.Name); cloned || err != nil {
			return err
		}
		r.cannotClone.Store(true)
	}
	return transfer.Copy(ctx, from, to, o.Name, o.Size, o.Digests...)
}

func (r *restoration) damaged(o consistency.Object, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.DamagedCount++
	if len(r.result.Damaged) < MaxDamaged {
		r.result.Damaged = append(r.result.Damaged, DamagedObject{o.Name, o.Digests[0], err.Error()})
	}
}

// OpenBlobs opens the objects of a backup folder for reading. They are those of all its
// generations.
func OpenBlobs(dir string) (*local.View, error) {
	if err := checkMarker(dir); err != nil {
		return nil, fmt.Errorf("%w in %s: %w", ErrNoBackup, dir, err)
	}
	return local.OpenView(filepath.Join(dir, blobsDir))
}
