package login

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/gatehouse-registry/gatehouse/authtoken"
)

// A Journal logs tools in and out, and records what has to be undone.
//
// Each piece of work is planned first, from the record and the files as they
// are, and then carried out under a lock, so that two concurrent logins do not
// lose each other's changes. If another program changes a file between the two
// steps, the work is planned again.
//
// The record is written before the files. So after a crash each file is either
// old or new, and the record describes both.
type Journal struct {
	dir   string
	env   Environment
	tools []Tool
	disk  disk
}

// NewJournal returns the journal in a folder, which is created when there is
// something to record. The tools are those that the record may name.
func NewJournal(dir string, env Environment, tools []Tool) *Journal {
	return &Journal{dir: dir, env: env, tools: tools, disk: osDisk{}}
}

// StateDir is the folder of a person's journal.
func StateDir(p Environment) string { return filepath.Join(p.folders().State(), "gatehouse", "logins") }

// Work is a [Login] or a [Logout].
type Work interface{ addTo(*plan) error }

// Preview returns what a piece of work would change, and changes nothing. It
// returns the errors that [Journal.Do] returns before it writes anything.
func (j *Journal) Preview(w Work) (Changes, error) {
	pl, err := j.newPlan(w)
	if err != nil {
		return Changes{}, err
	}
	return pl.changes(), nil
}

// lockTimeout is how long Do waits for another login to end.
const lockTimeout = time.Minute

// errChanged says that a file has changed since its change was planned.
var errChanged = errors.New("keeps being changed by other programs; try again")

// Do carries out a piece of work and returns what it changed.
//
// The error names the file that cannot be read, parsed or written. Nothing has
// changed then, with one exception: if a file cannot be put in its place at the
// very end, the record has what was done, and logout undoes it.
func (j *Journal) Do(ctx context.Context, w Work) (Changes, error) {
	unlock, err := j.lock(ctx)
	if err != nil {
		return Changes{}, err
	}
	defer unlock()
	for range 5 {
		var pl *plan
		if pl, err = j.newPlan(w); err != nil {
			return Changes{}, err
		}
		if err = j.execute(pl); !errors.Is(err, errChanged) {
			return pl.changes(), err
		}
	}
	return Changes{}, err
}

func (j *Journal) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return nil, fmt.Errorf("the folder for the record of logins: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	l := flock.New(filepath.Join(j.dir, "lock"), flock.SetPermissions(0o600))
	if _, err := l.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return nil, fmt.Errorf("wait for another login or logout to end (%s): %w", l.Path(), err)
	}
	return func() { _ = l.Close() }, nil
}

func (j *Journal) newPlan(w Work) (*plan, error) {
	r, err := j.load()
	if err != nil {
		return nil, err
	}
	next := r
	next.Logins, next.Files = slices.Clone(r.Logins), maps.Clone(r.Files)
	next.Links, next.Folders = slices.Clone(r.Links), slices.Clone(r.Folders)
	pl := &plan{disk: j.disk, env: j.env, tools: j.tools, was: r, next: next, files: map[string]*fileEdit{}}
	if err := w.addTo(pl); err != nil {
		return nil, err
	}
	pl.dropUnneeded()
	return pl, nil
}

func (j *Journal) path() string { return filepath.Join(j.dir, "logins.json") }

func (j *Journal) load() (record, error) {
	text, _, err := j.disk.read(j.path())
	if err != nil {
		return record{}, fmt.Errorf("the record of logins: %w", err)
	}
	r, err := parseRecord(text)
	if err != nil {
		return record{}, fmt.Errorf("the record of logins, %s, %w", j.path(), err)
	}
	return r, nil
}

func (j *Journal) save(r record) error {
	if r.empty() {
		return j.disk.remove(j.path())
	}
	text, err := r.text()
	if err == nil {
		err = j.disk.stage(j.path(), text, 0o600)
	}
	if err == nil {
		err = j.disk.rename(j.path())
	}
	if err != nil {
		return fmt.Errorf("the record of logins: %w", err)
	}
	return nil
}

// execute writes the files, the links and the record as planned.
func (j *Journal) execute(pl *plan) error {
	writes := pl.changedFiles()
	if err := j.save(pl.recordDuring(writes)); err != nil {
		return err
	}
	for path, f := range pl.was.Files {
		if f.Next != nil { // a crash may have left its text
			if err := j.disk.unstage(path); err != nil {
				return err
			}
		}
	}
	if err := errors.Join(j.makeLinks(pl), j.stage(pl, writes)); err != nil {
		return errors.Join(err, j.rollBack(pl, writes))
	}
	for i, s := range writes {
		if err := j.replace(s); err != nil {
			for _, rest := range writes[i:] {
				err = errors.Join(err, j.disk.unstage(rest.path))
			}
			return err
		}
	}
	if err := j.removeLinks(pl.unlinked); err != nil {
		return err
	}
	for _, dir := range slices.Backward(pl.emptied) {
		_ = j.disk.remove(dir) // it stays if others have put something there
	}
	return j.save(pl.next)
}

// stage makes the folders and writes every new text beside its file.
func (j *Journal) stage(pl *plan, writes []*fileEdit) error {
	for _, s := range writes {
		for _, dir := range s.folders {
			if err := j.disk.mkdir(dir, folderMode(s.afterMode)); err != nil {
				return unwritable(s.path, err)
			}
		}
		if s.after == nil {
			continue
		}
		err := j.disk.writable(s.path)
		if err == nil {
			err = j.disk.stage(s.path, s.after, s.afterMode)
		}
		if err != nil {
			return unwritable(s.path, err)
		}
	}
	return nil
}

// unwritable returns an error that names the file, and not the staging file
// beside it.
func unwritable(path string, err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("%s cannot be written: %w: change its owner or permissions, or those of its folder", path, err)
}

// rollBack undoes what stage did.
func (j *Journal) rollBack(pl *plan, writes []*fileEdit) error {
	err := j.removeLinks(pl.linked)
	for _, dir := range slices.Backward(pl.linkFolders) {
		_ = j.disk.remove(dir)
	}
	for _, s := range slices.Backward(writes) {
		err = errors.Join(err, j.disk.unstage(s.path))
		for _, dir := range slices.Backward(s.folders) {
			_ = j.disk.remove(dir)
		}
	}
	return errors.Join(err, j.save(pl.was))
}

// replace puts the new text in the file's place, if the file is still the one
// that was read and has not become a link.
func (j *Journal) replace(s *fileEdit) error {
	resolve, err := j.disk.resolve(s.path)
	if err != nil {
		return err
	}
	text, _, err := j.disk.read(s.path)
	if err != nil {
		return err
	}
	if resolve != s.path || !bytes.Equal(text, s.text) || (text == nil) != (s.text == nil) {
		return fmt.Errorf("%s %w", s.path, errChanged)
	}
	put := j.disk.rename
	if s.after == nil {
		put = j.disk.remove
	}
	if err := put(s.path); err != nil {
		return unwritable(s.path, err)
	}
	return nil
}

// makeLinks makes the links before any file names the helpers that they are
// for.
func (j *Journal) makeLinks(pl *plan) error {
	for _, dir := range pl.linkFolders {
		if err := j.disk.mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	if err := j.removeLinks(pl.moved); err != nil {
		return err
	}
	for _, l := range pl.linked {
		if err := j.disk.link(l.Program, l.Path); err != nil {
			return fmt.Errorf("make the link by which %s is found: %w", l.Name, err)
		}
	}
	return nil
}

// removeLinks removes the links that still lead to this program.
func (j *Journal) removeLinks(links []link) error {
	for _, l := range links {
		if j.disk.linked(l.Program, l.Path) {
			if err := j.disk.remove(l.Path); err != nil {
				return err
			}
		}
	}
	return nil
}

// A Recorded login is one that is in force.
type Recorded struct {
	Tool string
	// Target has no token.
	Target Target
	// Expires is when the token in the tool's configuration expires; zero if
	// there is no token in it.
	Expires time.Time
	// Files are the files that were changed.
	Files []string
}

// Logins returns the logins in force, the latest one last.
func (j *Journal) Logins() ([]Recorded, error) {
	r, err := j.load()
	if err != nil {
		return nil, err
	}
	var all []Recorded
	for _, l := range r.Logins {
		t, err := l.Target.target(authtoken.Token{})
		if err != nil {
			return nil, fmt.Errorf("the record of logins, %s: %w", j.path(), err)
		}
		one := Recorded{Tool: l.Tool, Target: t}
		if l.Token != nil {
			one.Expires = l.Token.Expires
		}
		for _, f := range l.Files {
			one.Files = append(one.Files, f.Path)
		}
		all = append(all, one)
	}
	return all, nil
}

// below reports whether a file is in a folder, at any depth.
func below(dir, path string) bool { return strings.HasPrefix(path, dir+string(filepath.Separator)) }
