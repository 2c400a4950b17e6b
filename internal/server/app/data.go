package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/gatehouse-registry/gatehouse/internal/atomicfile"
)

// ErrDataInUse says that another process serves from the data folder.
var ErrDataInUse = errors.New("another process is using the data folder")

// dataDir is the folder that holds everything the server keeps:
//
//	keyring.json     the keys; whoever has them is everybody (0600)
//	gatehouse.db     identities, images, packages: the commit points
//	blobs/           the bytes
//	aws/             config and credentials for the AWS tools (0600)
//	tls/             the local authority, where TLS has one
//	audit.jsonl      the audit log
//	lock             held while a server runs
type dataDir struct {
	path string
	root *os.Root
	lock *flock.Flock
}

// openData creates the folder where there is none, and locks it.
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
	// The lock ends with the process, however that ends.
	lock := flock.New(filepath.Join(abs, "lock"), flock.SetPermissions(0o600))
	if locked, err := lock.TryLock(); err != nil || !locked {
		root.Close()
		if err != nil {
			return nil, fmt.Errorf("lock data folder %s: %w", abs, err)
		}
		return nil, fmt.Errorf("%w: %s; stop it, or give this one a folder of its own with --data", ErrDataInUse, abs)
	}
	return &dataDir{abs, root, lock}, nil
}

// file is the absolute path of a file of the folder, for what takes only paths.
func (d *dataDir) file(name string) string { return filepath.Join(d.path, name) }

// replace writes a file of mode 0600 whole or not at all.
func (d *dataDir) replace(name string, content []byte) error {
	if err := atomicfile.Replace(d.file(name), content, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", d.file(name), err)
	}
	return nil
}

func (d *dataDir) close() error { return errors.Join(d.lock.Close(), d.root.Close()) }
