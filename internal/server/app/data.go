package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/gatehouse-registry/gatehouse/internal/atomicfile"
	"github.com/gatehouse-registry/gatehouse/internal/server/backup"
)

// ErrDataInUse says that another process serves from the data folder.
var ErrDataInUse = errors.New("another process is using the data folder")

// dataDir is the folder that holds everything the server keeps:
//
//	keyring.json     the keys; whoever has them can act as anyone (0600)
//	gatehouse.db     identities, images, packages: the commit points
//	blobs/           the bytes
//	aws/             config and credentials for the AWS tools (0600)
//	tls/             the local authority, if TLS uses one
//	audit.jsonl      the audit log
//	lock             held while a server runs
//	ballast          room for the next start if the disk is full
type dataDir struct {
	path string
	root *os.Root
	lock *flock.Flock
	// folder is a lock of the folder itself, which holds also if the file lock is
	// deleted while a server runs.
	folder *flock.Flock
}

const lockFile = "lock"

// openData creates the folder if it is missing, and locks it.
func openData(path string) (*dataDir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("data folder %s: %w", path, err)
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	d := &dataDir{
		path: abs, root: root,
		lock:   flock.New(filepath.Join(abs, lockFile), flock.SetPermissions(0o600)),
		folder: flock.New(abs, flock.SetFlag(os.O_RDONLY)),
	}
	if err := d.takeLocks(); err != nil {
		return nil, errors.Join(err, d.lock.Close(), d.folder.Close(), root.Close())
	}
	if err := d.checkFinished(); err != nil {
		return nil, errors.Join(err, d.lock.Close(), d.folder.Close(), root.Close())
	}
	d.releaseBallast()
	return d, nil
}

// checkFinished returns ErrUnfinished if a restore to the folder was interrupted.
func (d *dataDir) checkFinished() error {
	if _, err := d.root.Lstat(backup.UnfinishedFile); err == nil {
		return fmt.Errorf("%w: a restore to %s was interrupted. Run the same gatehouse restore again, which goes on where it was", ErrUnfinished, d.path)
	}
	return nil
}

// takeLocks takes the locks, which the operating system releases when the process
// ends, however it ends.
func (d *dataDir) takeLocks() error {
	locked, err := d.lock.TryLock()
	if err != nil {
		return fmt.Errorf("lock data folder %s: %w", d.path, err)
	}
	if locked {
		// Windows and some network file systems cannot lock a folder.
		free, err := d.folder.TryLock()
		locked = free || err != nil
	}
	if !locked {
		return fmt.Errorf("%w: %s; stop that process, or choose another folder with --data", ErrDataInUse, d.path)
	}
	return nil
}

// file is the absolute path of a file in the folder, for packages that take paths.
func (d *dataDir) file(name string) string { return filepath.Join(d.path, name) }

// replace writes a file with mode 0600 completely or not at all.
func (d *dataDir) replace(name string, content []byte) error {
	if err := atomicfile.Replace(d.file(name), content, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", d.file(name), err)
	}
	return nil
}

func (d *dataDir) close() error {
	d.restoreBallast() // stopping has freed the write-ahead log
	return errors.Join(d.folder.Close(), d.lock.Close(), d.root.Close())
}
