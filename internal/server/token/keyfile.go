package token

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-registry/gatehouse/internal/atomicfile"
)

// MaxKeyFile bounds the stored form of a keyring, in bytes: thousands of keys.
const MaxKeyFile = 1 << 20

// keyFile is the stored form of [Keys]. Version 1 has no revision and no times but
// created, and is read, not written.
type keyFile struct {
	Version  int       `json:"version"`
	Revision int64     `json:"revision,omitzero"`
	Keys     []fileKey `json:"keys"`
}

type fileKey struct {
	ID          string    `json:"id"`
	State       State     `json:"state"`
	Created     time.Time `json:"created"`
	Activated   time.Time `json:"activated,omitzero"`
	Deactivated time.Time `json:"deactivated,omitzero"`
	Secret      []byte    `json:"secret"`
}

const fileVersion = 2

// Encode returns the stored form, which [ParseKeys] reads. The secrets are in it as
// they are.
func (k *Keys) Encode() ([]byte, error) {
	file := keyFile{Version: fileVersion, Revision: k.revision}
	for _, key := range k.keys {
		file.Keys = append(file.Keys, fileKey{key.ID, key.State, key.Created, key.Activated, key.Deactivated, key.secret})
	}
	text, err := json.Marshal(file, jsontext.WithIndent("  "))
	if err != nil {
		return nil, errors.New("keyring: it cannot be written as JSON") // the error may quote it
	}
	return append(text, '\n'), nil
}

// ParseKeys reads the stored form of a keyring. Its errors quote nothing of it but key
// ids and states.
func ParseKeys(text []byte) (*Keys, error) {
	if len(text) > MaxKeyFile {
		return nil, fmt.Errorf("it is larger than any keyring: %d bytes", len(text))
	}
	var version struct {
		Version int `json:"version"`
	}
	if json.Unmarshal(text, &version) == nil && version.Version > fileVersion {
		return nil, fmt.Errorf("it has version %d, and this program knows versions up to %d: use the version of Gatehouse that wrote it, or a newer one", version.Version, fileVersion)
	}
	var file keyFile
	// Not the decoder's error: it may quote what it could not read.
	if json.Unmarshal(text, &file, json.RejectUnknownMembers(true)) != nil {
		return nil, errors.New("it is not a keyring: its JSON is damaged; restore it from a copy")
	}
	return file.content()
}

// content checks what was read.
func (f *keyFile) content() (*Keys, error) {
	switch {
	case f.Version < 1:
		return nil, errors.New("it has no version, so it is not a keyring")
	case f.Version == 1 && f.Revision != 0:
		return nil, errors.New("it has version 1, which has no revision")
	case f.Version > 1 && f.Revision < 1:
		return nil, errors.New("its revision is missing or not positive")
	}
	k := &Keys{revision: f.Revision}
	for _, fk := range f.Keys {
		key, err := fk.key(f.Version)
		if err != nil {
			return nil, err
		}
		if _, taken := k.Key(key.ID); taken {
			return nil, fmt.Errorf("two keys have the id %s", key.ID)
		}
		k.keys = append(k.keys, key)
	}
	actives := 0
	for _, key := range k.keys {
		if key.State == Active {
			actives++
		}
	}
	switch {
	case actives == 0:
		return nil, errors.New("no key is active")
	case actives > 1:
		return nil, errors.New("more than one key is active")
	}
	return k, nil
}

func (f *fileKey) key(version int) (Key, error) {
	number, err := parseKeyID(f.ID)
	switch {
	case err != nil:
		return Key{}, err
	case len(f.Secret) != keySize:
		return Key{}, fmt.Errorf("the secret of key %s has %d bytes, want %d", f.ID, len(f.Secret), keySize)
	case f.State != Active && f.State != VerifyOnly && f.State != Retired:
		return Key{}, fmt.Errorf("key %s has a state that is not %s, %s or %s", f.ID, Active, VerifyOnly, Retired)
	}
	k := Key{formatKeyID(number), f.State, f.Created, f.Activated, f.Deactivated, number, f.Secret}
	if version == 1 { // a key may have been active; only the file's editor knows
		k.Activated, k.Deactivated = f.Created, time.Time{}
	}
	if k.State == Active && (k.Activated.IsZero() || !k.Deactivated.IsZero()) {
		return Key{}, fmt.Errorf("key %s is active, so it must have the time of its activation and none of its end", f.ID)
	}
	return k, nil
}

// CreateKeyring makes a keyring with one new key and writes it to path, which
// must not exist: the error is then [fs.ErrExist], and the file stays as it is.
// When it returns, the file survives a crash; a crash before leaves none. now
// is the clock by which tokens expire.
func CreateKeyring(path string, now func() time.Time) (*Keyring, error) {
	keys := NewKeys(now())
	text, err := keys.Encode()
	if err != nil {
		return nil, err
	}
	if err := atomicfile.Create(path, text, 0o600); err != nil {
		return nil, fmt.Errorf("create keyring: %w", err)
	}
	return NewKeyring(keys, now, nil)
}

// LoadKeyring reads the keyring at path. The error is [fs.ErrNotExist] if
// there is none. It refuses a file that anyone but its owner can read or write.
func LoadKeyring(path string, now func() time.Time) (*Keyring, error) {
	text, err := ReadPrivate(path, 0o077)
	if err != nil {
		return nil, fmt.Errorf("load keyring: %w", err)
	}
	keys, err := ParseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("load keyring %s: %w", path, err)
	}
	return NewKeyring(keys, now, nil)
}

// ReadPrivate reads a file whose mode has none of the forbidden bits, at most
// [MaxKeyFile] bytes.
func ReadPrivate(path string, forbidden fs.FileMode) ([]byte, error) {
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
	if mode := info.Mode().Perm(); mode&forbidden != 0 {
		return nil, fmt.Errorf("%s has mode %04o, and others than its owner may reach the keys in it. Run: chmod 600 %s", path, mode, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, MaxKeyFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > MaxKeyFile {
		return nil, fmt.Errorf("%s is larger than any keyring", path)
	}
	return text, nil
}
