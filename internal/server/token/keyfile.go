package token

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-registry/gatehouse/internal/atomicfile"
)

// maxKeyFile bounds what is read of a keyring: thousands of keys.
const maxKeyFile = 1 << 20

// keyFile is the form of the file.
type keyFile struct {
	Version int       `json:"version"`
	Keys    []fileKey `json:"keys"`
}

type fileKey struct {
	ID      string    `json:"id"`
	State   state     `json:"state"`
	Created time.Time `json:"created"`
	Secret  []byte    `json:"secret"`
}

const fileVersion = 1

// CreateKeyring makes a keyring with one new key and writes it to path, which
// must not exist: the error is then [fs.ErrExist], and the file stays as it is.
// When it returns, the file survives a crash; a crash before leaves none. now
// is the clock by which tokens expire.
func CreateKeyring(path string, now func() time.Time) (*Keyring, error) {
	secret, id := make([]byte, keySize), make([]byte, keyIDSize)
	_, _ = rand.Read(secret) // cannot fail
	_, _ = rand.Read(id)
	file := keyFile{fileVersion, []fileKey{{
		ID: formatKeyID(binary.BigEndian.Uint32(id)), State: active,
		Created: now().UTC().Truncate(time.Second), Secret: secret,
	}}}
	text, err := json.Marshal(file, jsontext.WithIndent("  "))
	if err != nil {
		return nil, fmt.Errorf("create keyring: %w", err)
	}
	ring, err := file.keyring(now)
	if err != nil {
		return nil, fmt.Errorf("create keyring: %w", err)
	}
	if err := atomicfile.Create(path, append(text, '\n'), 0o600); err != nil {
		return nil, fmt.Errorf("create keyring: %w", err)
	}
	return ring, nil
}

// LoadKeyring reads the keyring at path. The error is [fs.ErrNotExist] if
// there is none. It refuses a file that anyone but its owner can read or write.
func LoadKeyring(path string, now func() time.Time) (*Keyring, error) {
	text, err := readPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("load keyring: %w", err)
	}
	var file keyFile
	// Not the decoder's error: it may quote what it could not read.
	if json.Unmarshal(text, &file, json.RejectUnknownMembers(true)) != nil {
		return nil, fmt.Errorf("load keyring: %s is not a keyring: its JSON is damaged; restore it from a copy", path)
	}
	ring, err := file.keyring(now)
	if err != nil {
		return nil, fmt.Errorf("load keyring %s: %w", path, err)
	}
	return ring, nil
}

// keyring checks the file and derives what its keys are for.
func (f *keyFile) keyring(now func() time.Time) (*Keyring, error) {
	if f.Version != fileVersion {
		return nil, fmt.Errorf("it has version %d, and this server knows version %d", f.Version, fileVersion)
	}
	ring := &Keyring{now: now, keys: make(map[uint32]*key, len(f.Keys))}
	for _, fk := range f.Keys {
		number, err := parseKeyID(fk.ID)
		if err != nil {
			return nil, err
		}
		switch {
		case ring.keys[number] != nil:
			return nil, fmt.Errorf("two keys have the id %s", fk.ID)
		case len(fk.Secret) != keySize:
			return nil, fmt.Errorf("the secret of key %s has %d bytes, want %d", fk.ID, len(fk.Secret), keySize)
		case fk.State != active && fk.State != verifyOnly && fk.State != retired:
			return nil, fmt.Errorf("key %s has the state %q, want %s, %s or %s", fk.ID, fk.State, active, verifyOnly, retired)
		case fk.State == active && ring.active != nil:
			return nil, errors.New("more than one key is active")
		}
		k, err := newKey(number, fk.State, fk.Secret)
		if err != nil {
			return nil, err
		}
		ring.keys[number] = k
		if k.state == active {
			ring.active = k
		}
	}
	if ring.active == nil {
		return nil, errors.New("no key is active")
	}
	return ring, nil
}

// readPrivate reads a file that belongs to its owner alone.
func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// Of the open file, so that it cannot change between look and use.
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o, and others than its owner may reach the keys in it. Run: chmod 600 %s", path, mode, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("%s is larger than any keyring", path)
	}
	return text, nil
}
