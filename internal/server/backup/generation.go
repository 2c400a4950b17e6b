package backup

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/gofrs/flock"

	"github.com/gatehouse-registry/gatehouse/internal/atomicfile"
)

// format is the version of the layout. A folder with a higher one is refused.
const format = 1

const (
	markerFile   = "gatehouse-backup.json"
	lockFile     = "lock"
	blobsDir     = "blobs"
	generations  = "generations"
	partial      = ".partial"
	databaseFile = "gatehouse.db"
	objectsFile  = "objects.txt"
	manifestFile = "manifest.json"
	nameForm     = "20060102T150405Z"
	maxManifest  = 16 << 20
)

// Errors of this package.
var (
	// ErrNoBackup means that a folder is not a backup, or has no complete generation.
	ErrNoBackup = errors.New("there is no backup")
	// ErrInUse means that another process makes a backup to the folder.
	ErrInUse = errors.New("another process is using the backup folder")
	// ErrDamaged means that a file of a backup does not have its recorded digest.
	ErrDamaged = errors.New("the backup is damaged")
)

// A Manifest describes one generation.
type Manifest struct {
	Format  int       `json:"format"`
	Created time.Time `json:"created"` // when the snapshot of the database was taken
	Version string    `json:"version"` // of the program that made the backup
	Account string    `json:"account"` // the first account of the installation
	// Schema are the migrations that the database has.
	Schema  []string `json:"schema"`
	Files   []File   `json:"files"`
	Objects Objects  `json:"objects"`
	// Damaged are objects that were missing or wrong in the installation already, so
	// the backup does not have them: at most [MaxDamaged].
	Damaged []DamagedObject `json:"damaged,omitempty"`
}

// MaxDamaged is how many damaged objects a manifest names.
const MaxDamaged = 1000

// A File is a file of a generation.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Objects counts the objects of a generation.
type Objects struct {
	Count int64 `json:"count"`
	Bytes int64 `json:"bytes"`
	// Added were not in the backup before. Linked of them share their blocks with the
	// installation.
	Added      int64 `json:"added"`
	AddedBytes int64 `json:"addedBytes"`
	Linked     int64 `json:"linked"`
	// Damaged is the number of objects that the backup does not have.
	Damaged int64 `json:"damaged"`
}

// A DamagedObject is one that could not be copied.
type DamagedObject struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Reason string `json:"reason"`
}

// file returns the entry of a file.
func (m *Manifest) file(name string) (File, bool) {
	i := slices.IndexFunc(m.Files, func(f File) bool { return f.Name == name })
	if i < 0 {
		return File{}, false
	}
	return m.Files[i], true
}

// HasKeyring reports whether the generation has the keyring.
func (m *Manifest) HasKeyring() bool {
	_, ok := m.file(keyringFile)
	return ok
}

// A Generation is one complete backup in a folder.
type Generation struct {
	Name string
	Manifest
	dir string
}

// A folder is an open, locked backup folder.
type folder struct {
	dir  string
	lock *flock.Flock
}

// openFolder opens a backup folder for writing, and creates it if dir does not exist or
// is empty.
func openFolder(dir string) (*folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("backup folder: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("backup folder: %w", err)
	}
	if err := checkMarker(dir); errors.Is(err, fs.ErrNotExist) {
		if slices.ContainsFunc(entries, isForeign) {
			return nil, fmt.Errorf("%s has other files and is not a backup folder: choose an empty or a new folder", dir)
		}
	} else if err != nil {
		return nil, err
	}
	f := &folder{dir, flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(0o600))}
	locked, err := f.lock.TryLock()
	if err == nil && !locked {
		err = fmt.Errorf("%w: %s; wait until it has ended", ErrInUse, dir)
	}
	if err == nil {
		err = errors.Join(writeJSON(filepath.Join(dir, markerFile), struct {
			Format int `json:"format"`
		}{format}), os.MkdirAll(filepath.Join(dir, generations), 0o700))
	}
	if err != nil {
		return nil, errors.Join(err, f.lock.Close())
	}
	return f, nil
}

// isForeign reports whether a folder that has this entry, and no marker, may belong to
// someone else. A backup that was killed right at its beginning leaves the lock and the
// temporary file of the marker.
func isForeign(e fs.DirEntry) bool {
	name := e.Name()
	return name != lockFile && name != "lost+found" && !isTemporary(name, markerFile)
}

// isTemporary reports whether a file is what package atomicfile leaves if the process is
// killed while it writes the marker.
func isTemporary(name, marker string) bool {
	return strings.HasPrefix(name, "."+marker+".") && strings.HasSuffix(name, ".tmp")
}

// openForReading opens a backup folder that must exist. Several processes may read it.
func openForReading(dir string) (*folder, error) {
	if err := checkMarker(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w in %s: it has no %s", ErrNoBackup, dir, markerFile)
	} else if err != nil {
		return nil, err
	}
	f := &folder{dir, flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(0o600))}
	locked, err := f.lock.TryRLock()
	if err != nil && (errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "read-only")) {
		return f, nil // nothing can change it then
	}
	if err == nil && !locked {
		err = fmt.Errorf("%w: %s; wait until it has ended", ErrInUse, dir)
	}
	if err != nil {
		return nil, errors.Join(err, f.lock.Close())
	}
	return f, nil
}

func checkMarker(dir string) error {
	var marker struct {
		Format int `json:"format"`
	}
	if err := readJSON(filepath.Join(dir, markerFile), &marker); err != nil {
		return err
	}
	if marker.Format > format {
		return fmt.Errorf("%s was made by a newer version of Gatehouse: use that version", dir)
	}
	return nil
}

func (f *folder) path(names ...string) string {
	return filepath.Join(append([]string{f.dir}, names...)...)
}

func (f *folder) close() error { return f.lock.Close() }

// list returns the complete generations, the oldest first.
func (f *folder) list() ([]*Generation, error) {
	entries, err := os.ReadDir(f.path(generations))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []*Generation
	for _, e := range entries {
		if _, err := time.Parse(nameForm, firstPart(e.Name())); err != nil || !e.IsDir() || strings.HasSuffix(e.Name(), partial) {
			continue
		}
		g := &Generation{Name: e.Name(), dir: f.path(generations, e.Name())}
		if err := readJSON(filepath.Join(g.dir, manifestFile), &g.Manifest); err != nil {
			return nil, fmt.Errorf("%w: generation %s: %w", ErrDamaged, g.Name, err)
		}
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b *Generation) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.Name, b.Name))
	})
	return list, nil
}

// firstPart is a generation's name without the number that tells generations of one
// second apart.
func firstPart(name string) string {
	first, _, _ := strings.Cut(name, "-")
	return first
}

// begin creates the folder of a new generation and removes those of interrupted ones.
func (f *folder) begin(now time.Time) (*Generation, error) {
	left, err := filepath.Glob(f.path(generations, "*"+partial))
	if err != nil {
		return nil, err
	}
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
	}
	name := now.UTC().Format(nameForm)
	for n := 2; ; n++ {
		if _, err := os.Stat(f.path(generations, name)); errors.Is(err, fs.ErrNotExist) {
			break
		}
		name = fmt.Sprintf("%s-%d", now.UTC().Format(nameForm), n)
	}
	g := &Generation{Name: name, dir: f.path(generations, name+partial)}
	return g, os.Mkdir(g.dir, 0o700)
}

// complete writes the manifest and gives the generation its final name, durably.
func (f *folder) complete(g *Generation) error {
	if err := writeJSON(filepath.Join(g.dir, manifestFile), &g.Manifest); err != nil {
		return err
	}
	final := f.path(generations, g.Name)
	if err := syncTree(g.dir); err != nil { // and it keeps the name of an incomplete one
		return err
	}
	if err := errors.Join(os.Rename(g.dir, final), atomicfile.SyncDir(f.path(generations)), atomicfile.SyncDir(f.dir)); err != nil {
		return err
	}
	g.dir = final
	return nil
}

// add copies a file into the generation and records its digest.
func (g *Generation) add(name, path string) error {
	target := filepath.Join(g.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return err
	}
	entry, err := copyFile(path, target)
	if err != nil {
		return err
	}
	entry.Name = name
	g.Files = append(g.Files, entry)
	return nil
}

// record adds a file that is in the generation's folder already.
func (g *Generation) record(name string) error {
	f, err := os.Open(filepath.Join(g.dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return err
	}
	g.Files = append(g.Files, File{name, n, hex.EncodeToString(h.Sum(nil))})
	return nil
}

// copyFile copies a file durably, with mode 0600.
func copyFile(from, to string) (File, error) {
	source, err := os.Open(from)
	if err != nil {
		return File{}, err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return File{}, err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(target, h), source)
	if err = errors.Join(err, target.Sync(), target.Close()); err != nil {
		return File{}, err
	}
	return File{Size: n, SHA256: hex.EncodeToString(h.Sum(nil))}, nil
}

// syncTree makes the names in a folder and in those below it durable.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		return atomicfile.SyncDir(path)
	})
}

func writeJSON(path string, v any) error {
	text, err := json.Marshal(v, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	return atomicfile.Replace(path, append(text, '\n'), 0o600)
}

func readJSON(path string, v any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return err
	}
	if len(text) > maxManifest {
		return fmt.Errorf("%s is too large", path)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// List returns the complete generations of a backup folder, the oldest first.
func List(dir string) ([]*Generation, error) {
	f, err := openForReading(dir)
	if err != nil {
		return nil, err
	}
	defer f.close()
	return f.list()
}
