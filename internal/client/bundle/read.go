package bundle

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/gatehouse-registry/gatehouse/internal/client/packagerepo"
)

// A Bundle is a bundle whose signature and digests were verified.
type Bundle struct {
	Header Header
	// SignedBy is the key that has signed it.
	SignedBy ssh.PublicKey
	// Sum is the SHA-256 of its SHA256SUMS, which identifies it.
	Sum string

	file    *os.File
	members map[string]member
	sums    map[string]string
	// records are the SHA-256 of each line of versions.jsonl as it was verified. A medium
	// may give other bytes when they are read again; servers verify the blobs themselves.
	records [][sha256.Size]byte
}

// A member is where the content of a member is in the file.
type member struct{ offset, size int64 }

// Open opens a bundle and verifies all of it: first that one of the keys has signed it, and
// then every digest. moved is told how many bytes were read.
func Open(path string, keys []ssh.PublicKey, moved func(int64)) (*Bundle, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	b := &Bundle{file: f, members: map[string]member{}}
	if err := b.verify(keys, moved); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

// Close closes the file.
func (b *Bundle) Close() error { return b.file.Close() }

func (b *Bundle) verify(keys []ssh.PublicKey, moved func(int64)) error {
	archive := tar.NewReader(b.file)
	signature, err := readMember(archive, signatureMember, maxSignature)
	if err != nil {
		return err
	}
	sums, err := readMember(archive, sumsMember, maxSums)
	if err != nil {
		return err
	}
	if b.SignedBy, err = verify(sums, signature, keys); err != nil {
		return err
	}
	b.Sum = digest(sums)
	if b.sums, err = parseSums(sums); err != nil {
		return err
	}
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("the bundle is damaged: %w", err)
		}
		if err := b.verifyMember(archive, h, moved); err != nil {
			return err
		}
	}
	for name := range b.sums {
		if _, ok := b.members[name]; !ok {
			return fmt.Errorf("the bundle is not complete: %s is missing", name)
		}
	}
	text, err := b.read(headerMember, maxHeader)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &b.Header); err != nil || b.Header.Format != formatName {
		return fmt.Errorf("the bundle has the format %.50q, and this program reads %q", b.Header.Format, formatName)
	}
	return nil
}

// readMember reads the next member, which must have the name.
func readMember(archive *tar.Reader, name string, limit int64) ([]byte, error) {
	h, err := archive.Next()
	if err != nil || h.Name != name || h.Typeflag != tar.TypeReg {
		return nil, fmt.Errorf("this is not a bundle: %s is not where it belongs", name)
	}
	if h.Size > limit {
		return nil, fmt.Errorf("%s has %d bytes, and at most %d are read", name, h.Size, limit)
	}
	text, err := io.ReadAll(archive)
	if err != nil {
		return nil, fmt.Errorf("the bundle is damaged: %w", err)
	}
	return text, nil
}

func (b *Bundle) verifyMember(archive *tar.Reader, h *tar.Header, moved func(int64)) error {
	want, known := b.sums[h.Name]
	if _, twice := b.members[h.Name]; !known || twice || h.Typeflag != tar.TypeReg {
		return fmt.Errorf("the bundle has a member that its %s does not name, or names once only: %.200q", sumsMember, h.Name)
	}
	offset, err := b.file.Seek(0, io.SeekCurrent) // package tar reads no further than the header
	if err != nil {
		return err
	}
	hash := sha256.New()
	read := &counter{archive, 0}
	content := io.TeeReader(read, hash)
	if h.Name == versionsMember {
		lines := newLines(content)
		for lines.Scan() {
			b.records = append(b.records, sha256.Sum256(lines.Bytes()))
		}
		err = lines.Err()
	} else {
		_, err = io.Copy(io.Discard, content)
	}
	if err != nil {
		return fmt.Errorf("the bundle is damaged: %s: %w", h.Name, err)
	}
	if read.n != h.Size || hex.EncodeToString(hash.Sum(nil)) != want {
		return fmt.Errorf("the bundle was tampered with or is damaged: %s does not have the digest that is signed", h.Name)
	}
	b.members[h.Name] = member{offset, h.Size}
	moved(read.n)
	return nil
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// newLines reads the lines of versions.jsonl.
func newLines(r io.Reader) *bufio.Scanner {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxRecord)
	return lines
}

// errChanged is the error of a member that has other bytes than those that were verified.
func errChanged(member string) error {
	return fmt.Errorf("%s was changed after it was verified", member)
}

// open returns the content of a member, or nil if there is none.
func (b *Bundle) open(name string) *io.SectionReader {
	m, ok := b.members[name]
	if !ok {
		return nil
	}
	return io.NewSectionReader(b.file, m.offset, m.size)
}

func (b *Bundle) read(name string, limit int64) ([]byte, error) {
	r := b.open(name)
	if r == nil {
		return nil, fmt.Errorf("the bundle has no %s", name)
	}
	if r.Size() > limit {
		return nil, fmt.Errorf("%s has %d bytes, and at most %d are read", name, r.Size(), limit)
	}
	text, err := io.ReadAll(r)
	if err == nil && digest(text) != b.sums[name] {
		err = errChanged(name)
	}
	return text, err
}

// blob returns the content with a digest, or nil.
func (b *Bundle) blob(sha256 string) *io.SectionReader { return b.open(blobFolder + sha256) }

// content opens the content with a digest, unless an earlier bundle has brought it.
func (b *Bundle) content(sha256 string) (func() (io.ReadCloser, error), bool) {
	if b.blob(sha256) == nil {
		return nil, false
	}
	return func() (io.ReadCloser, error) { return io.NopCloser(b.blob(sha256)), nil }, true
}

// versions calls visit for each record.
func (b *Bundle) versions(visit func(*packagerepo.Transfer) error) error {
	r := b.open(versionsMember)
	if r == nil {
		return nil
	}
	lines := newLines(r)
	n := 0
	for ; lines.Scan(); n++ {
		t := &packagerepo.Transfer{Text: bytes.Clone(lines.Bytes()), Open: b.content}
		if n >= len(b.records) || sha256.Sum256(t.Text) != b.records[n] {
			return errChanged(versionsMember)
		}
		if err := json.Unmarshal(t.Text, &t.Record); err != nil {
			return fmt.Errorf("%s has a line that cannot be read: %w", versionsMember, err)
		}
		if err := visit(t); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if n != len(b.records) {
		return errChanged(versionsMember)
	}
	return nil
}

// An inventory has a line for everything that a bundle and those before it have.
type inventory map[string]bool

// readInventory reads the inventory of an earlier bundle, which is verified. since
// identifies the bundle.
func readInventory(path string, keys []ssh.PublicKey) (all inventory, since string, err error) {
	b, err := Open(path, keys, func(int64) {})
	if err != nil {
		return nil, "", err
	}
	defer b.Close()
	text, err := b.read(inventoryMember, maxInventory)
	if err != nil {
		return nil, "", err
	}
	all = inventory{}
	for line := range strings.Lines(string(text)) {
		all[strings.TrimSuffix(line, "\n")] = true
	}
	return all, b.Sum, nil
}
