package login

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
)

// permissions are the same for every file: who may read one is said by the
// access list that it has from its folder, which in a person's own is theirs
// alone.
func permissions(fs.FileInfo) fs.FileMode { return 0o600 }

func keepOwner(*os.File, string) error { return nil }

// makeLink makes a hard link, since a symbolic one needs a privilege, and a copy
// where the file system is another one.
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

// copied reports whether two files are equal.
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

// mayCreate reports whether a file can be made in a folder, for which the access
// list would have to be evaluated: it is tried.
func mayCreate(dir string) bool {
	f, err := os.CreateTemp(dir, ".gatehouse-*")
	if err != nil {
		return false
	}
	_ = f.Close()
	return os.Remove(f.Name()) == nil
}
