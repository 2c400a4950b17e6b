package login

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
)

// permissions are the same for every file. Who may read it is decided by the
// access list that it inherits from its folder, and a user's own folder is
// private.
func permissions(fs.FileInfo) fs.FileMode { return 0o600 }

func keepOwner(*os.File, string) error { return nil }

// makeLink makes a hard link, since a symbolic link needs a privilege. On
// another file system it makes a copy.
func makeLink(program, path string) error {
	if os.Link(program, path) == nil {
		return nil
	}
	from, err := os.Open(program)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Sync(), to.Close()); err != nil {
		_ = os.Remove(path)
	}
	return err
}

// copied reports whether two files have the same contents.
func copied(a, b string) bool {
	x, y := sum(a), sum(b)
	return x != nil && bytes.Equal(x, y)
}

func sum(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil
	}
	return h.Sum(nil)
}

// mayCreate reports whether files can be created in a folder. It tries, since
// the alternative is to evaluate the access list.
func mayCreate(dir string) bool {
	f, err := os.CreateTemp(dir, ".gatehouse-*")
	if err != nil {
		return false
	}
	_ = f.Close()
	return os.Remove(f.Name()) == nil
}
