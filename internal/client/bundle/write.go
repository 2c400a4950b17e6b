package bundle

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// A content is a blob that a bundle gets.
type content struct {
	sha256 string
	size   int64
	open   func(context.Context) (io.ReadCloser, error)
}

// A writer collects what a bundle gets, and writes it.
type writer struct {
	header    Header
	versions  *os.File // a temporary file with the records
	sum       []byte   // its SHA-256
	size      int64
	inventory inventory
	index     []byte // index.json
	blobs     map[string]content
	key       ssh.Signer
	now       func() time.Time
	moved     func(int64)
}

// write writes the bundle. The file appears under its name only if it is complete.
func (w *writer) write(ctx context.Context, path string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part")
	if err != nil {
		return err
	}
	defer func() {
		f.Close()
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if err := w.writeMembers(ctx, tar.NewWriter(f)); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func (w *writer) writeMembers(ctx context.Context, archive *tar.Writer) error {
	lines := make([]string, 0, len(w.inventory))
	for line := range w.inventory {
		lines = append(lines, line+"\n")
	}
	slices.Sort(lines)
	header, err := json.MarshalIndent(w.header, "", "  ")
	if err != nil {
		return err
	}
	small := []struct {
		name string
		text []byte
	}{{headerMember, append(header, '\n')}, {inventoryMember, []byte(strings.Join(lines, ""))}}
	if w.index != nil {
		small = append(small, struct {
			name string
			text []byte
		}{layoutMember, []byte(layoutText)}, struct {
			name string
			text []byte
		}{indexMember, w.index})
	}
	blobs := make([]string, 0, len(w.blobs))
	for sum := range w.blobs {
		blobs = append(blobs, sum)
	}
	slices.Sort(blobs)

	var sums strings.Builder
	for _, m := range small {
		fmt.Fprintf(&sums, "%s  %s\n", digest(m.text), m.name)
	}
	fmt.Fprintf(&sums, "%s  %s\n", hex.EncodeToString(w.sum), versionsMember)
	for _, sum := range blobs {
		fmt.Fprintf(&sums, "%s  %s%s\n", sum, blobFolder, sum)
	}
	signature, err := sign([]byte(sums.String()), w.key)
	if err != nil {
		return err
	}
	for _, m := range append([]struct {
		name string
		text []byte
	}{{signatureMember, signature}, {sumsMember, []byte(sums.String())}}, small...) {
		if err := w.add(archive, m.name, int64(len(m.text)), strings.NewReader(string(m.text)), digest(m.text)); err != nil {
			return err
		}
	}
	if err := w.add(archive, versionsMember, w.size, io.NewSectionReader(w.versions, 0, w.size), hex.EncodeToString(w.sum)); err != nil {
		return err
	}
	for _, sum := range blobs {
		if err := w.addBlob(ctx, archive, w.blobs[sum]); err != nil {
			return err
		}
	}
	return archive.Close()
}

func (w *writer) addBlob(ctx context.Context, archive *tar.Writer, c content) error {
	r, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	return w.add(archive, blobFolder+c.sha256, c.size, r, c.sha256)
}

// add writes a member, which must have the size and the digest.
func (w *writer) add(archive *tar.Writer, name string, size int64, r io.Reader, sum string) error {
	if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, ModTime: w.header.Created, Format: tar.FormatPAX}); err != nil {
		return err
	}
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(archive, hash), io.LimitReader(r, size))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if more, _ := io.CopyN(io.Discard, r, 1); n != size || more > 0 || hex.EncodeToString(hash.Sum(nil)) != sum {
		return fmt.Errorf("%s does not have the digest that the server says; gatehouse verify on its machine finds what is damaged", name)
	}
	w.moved(n)
	return nil
}
