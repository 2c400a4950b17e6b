package authtoken

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const (
	// maxEntry is the largest file that is read. The size of a token is not fixed,
	// but every client sends it in an HTTP header.
	maxEntry = 1 << 20
	// stale is the age after which a file has no valid token: tokens live for at
	// most 12 hours.
	stale = 24 * time.Hour

	entrySuffix = ".token"
	lockSuffix  = ".lock"
	tempSuffix  = ".tmp"
)

// A key identifies a caller and a scope. It is comparable.
type key struct {
	name string   // of the file
	seal [32]byte // what the file is encrypted with
}

// newKey derives both parts from the secret access key, so the file cannot
// be found or decrypted without it.
func newKey(c aws.Credentials, s scope) (key, error) {
	info := "gatehouse authtoken 1"
	for _, field := range append([]string{c.AccessKeyID, c.SessionToken}, s...) {
		info += string(binary.BigEndian.AppendUint32(nil, uint32(len(field)))) + field
	}
	derived, err := hkdf.Key(sha256.New, []byte(c.SecretAccessKey), nil, info, 64)
	if err != nil {
		return key{}, fmt.Errorf("derive the name of the cached token: %w", err)
	}
	return key{name: hex.EncodeToString(derived[:32]), seal: [32]byte(derived[32:])}, nil
}

func (k key) cipher() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k.seal[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// A cache has entries in files that the processes of one user share. A nil cache
// stores nothing, and is never locked by another process.
type cache struct {
	dir string
	now func() time.Time
}

func (c *cache) path(k key, suffix string) string { return filepath.Join(c.dir, k.name+suffix) }

// read returns the entry for k. It is the zero entry if there is none, or if the
// file is damaged, belongs to other credentials, or is accessible to others.
func (c *cache) read(k key) entry {
	if c == nil {
		return entry{}
	}
	sealed, err := readPrivate(c.path(k, entrySuffix))
	if err != nil {
		return entry{}
	}
	aead, err := k.cipher()
	if err != nil {
		return entry{}
	}
	text, err := aead.Open(nil, nil, sealed, nil)
	if err != nil {
		return entry{}
	}
	var e entry
	if json.Unmarshal(text, &e) != nil {
		return entry{}
	}
	return e
}

// write replaces the entry for k, completely or not at all.
func (c *cache) write(k key, e entry) {
	if c == nil || os.MkdirAll(c.dir, 0o700) != nil {
		return
	}
	text, err := json.Marshal(e)
	if err != nil {
		return
	}
	aead, err := k.cipher()
	if err != nil {
		return
	}
	if replace(c.path(k, entrySuffix), aead.Seal(nil, nil, text, nil)) == nil {
		c.sweep()
	}
}

func (c *cache) remove(k key) error {
	if c == nil {
		return nil
	}
	if err := os.Remove(c.path(k, entrySuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the cached token: %w", err)
	}
	return nil
}

// sweep removes files that expired credentials and crashes have left. What cannot be
// removed now is tried again the next time.
func (c *cache) sweep() {
	files, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || !info.Mode().IsRegular() || c.now().Sub(info.ModTime()) < stale {
			continue
		}
		switch filepath.Ext(f.Name()) {
		case entrySuffix, tempSuffix:
			_ = os.Remove(filepath.Join(c.dir, f.Name()))
		case lockSuffix:
			// A process that waits for the lock notices that its file is gone.
			if unlock, ok := c.tryLock(key{name: strings.TrimSuffix(f.Name(), lockSuffix)}); ok {
				_ = os.Remove(filepath.Join(c.dir, f.Name()))
				unlock()
			}
		}
	}
}

// lock waits for the lock of k and returns the function that releases it. After
// lockTimeout, or if locks do not work, it goes on without: the cost is a call.
func (c *cache) lock(ctx context.Context, k key) (unlock func()) {
	if c == nil {
		return func() {}
	}
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	got := make(chan func(), 1)
	go func() { got <- c.waitLock(k) }()
	select {
	case unlock := <-got:
		return unlock
	case <-ctx.Done():
		go func() { (<-got)() }() // released as soon as it is acquired
		return func() {}
	}
}

func (c *cache) waitLock(k key) (unlock func()) {
	for {
		f, err := c.openLock(k)
		if err != nil {
			return func() {}
		}
		if err := lockFile(f); err != nil {
			f.Close()
			return func() {}
		}
		if current(f) {
			return func() { f.Close() }
		}
		f.Close()
	}
}

// tryLock is lock without waiting; ok is false while another has the lock.
func (c *cache) tryLock(k key) (unlock func(), ok bool) {
	if c == nil {
		return func() {}, true
	}
	f, err := c.openLock(k)
	if err != nil {
		return func() {}, true
	}
	if locked, err := tryLockFile(f); err == nil && !locked {
		f.Close()
		return nil, false
	}
	return func() { f.Close() }, true
}

// openLock opens the lock file of k. Closing the file, or the end of the process,
// releases the lock.
func (c *cache) openLock(k key) (*os.File, error) {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(c.path(k, lockSuffix), os.O_CREATE|os.O_RDWR, 0o600)
}

// current reports whether the lock's file is still the one that its name leads to.
func current(f *os.File) bool {
	named, err := os.Stat(f.Name())
	if err != nil {
		return false
	}
	opened, err := f.Stat()
	return err == nil && os.SameFile(named, opened)
}

// readPrivate reads a file if only its owner can read and write it.
func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || !private(info) {
		return nil, fs.ErrPermission
	}
	return io.ReadAll(io.LimitReader(f, maxEntry))
}

// replace writes a temporary file, syncs it and renames it: a crash leaves the old
// file or the new one.
func replace(path string, content []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "*"+tempSuffix) // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
