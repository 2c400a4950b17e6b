package registryimport

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gatehouse-registry/gatehouse/internal/client/packagerepo"
)

// A spool keeps the files of one version while it is imported, because their digest must
// be known before they are sent.
type spool struct {
	folder string
	have   map[string]bool // by SHA-256
	size   int64
}

func newSpool(folder string) (*spool, error) {
	dir, err := os.MkdirTemp(folder, "gatehouse-import-*")
	if err != nil {
		return nil, err
	}
	return &spool{folder: dir, have: map[string]bool{}}, nil
}

func (s *spool) remove() { os.RemoveAll(s.folder) }

// add fetches a file unless it is there. It must have the size and the digest that the
// source says.
func (s *spool) add(f *packagerepo.FileRecord, fetch func(*packagerepo.FileRecord) (io.ReadCloser, error)) error {
	if s.have[f.SHA256] {
		return nil
	}
	content, err := fetch(f)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	defer content.Close()
	out, err := os.OpenFile(s.path(f.SHA256), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(out, hash), io.LimitReader(content, f.Size+1))
	if closed := out.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	if sum := hex.EncodeToString(hash.Sum(nil)); n != f.Size || sum != f.SHA256 {
		return fmt.Errorf("the source sends %s with %d bytes and the SHA-256 %s, and says %d and %s", f.Name, n, sum, f.Size, f.SHA256)
	}
	s.have[f.SHA256] = true
	s.size += n
	return nil
}

func (s *spool) open(sum string) (io.ReadCloser, error) { return os.Open(s.path(sum)) }

// path is the path of a file. The names in the spool are digits only.
func (s *spool) path(sum string) string {
	return filepath.Join(s.folder, hex.EncodeToString([]byte(sum)))
}
