package token

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	keyIDSize = 4
	keySize   = 32
)

// A Keyring mints and opens tokens with the keys that were loaded last, and derives
// secrets from them. It is safe for use by many goroutines, which take no lock.
type Keyring struct {
	now   func() time.Time
	ready func() error
	ring  atomic.Pointer[ring]
}

// A ring is the content of a keyring, ready for use. It is immutable.
type ring struct {
	content   *Keys
	keys      map[uint32]*key
	active    *key
	addresses [][]byte // the keys of layer addresses, the active one first
}

// NewKeyring returns a keyring with the given keys. now is the clock by which tokens
// expire. ready, which may be nil, is asked before each use of a key that another
// server may have retired; its error refuses the use. It must be fast.
func NewKeyring(keys *Keys, now func() time.Time, ready func() error) (*Keyring, error) {
	if ready == nil {
		ready = func() error { return nil }
	}
	r, err := newRing(keys)
	if err != nil {
		return nil, err
	}
	k := &Keyring{now: now, ready: ready}
	k.ring.Store(r)
	return k, nil
}

// Load puts other keys in the place of those that were loaded before. Whatever
// began with the former ones ends with them. It refuses keys that are older, and keys
// among which one is missing that is loaded: access keys may depend on it. Calls of
// Load must not overlap.
func (k *Keyring) Load(keys *Keys) error {
	loaded := k.Keys()
	if keys.revision < loaded.revision {
		return fmt.Errorf("keyring: revision %d is older than revision %d, which is loaded: restart the server if it was restored on purpose", keys.revision, loaded.revision)
	}
	for _, key := range loaded.keys {
		if other, ok := keys.Key(key.ID); !ok || !bytes.Equal(other.secret, key.secret) {
			return fmt.Errorf("keyring: key %s is loaded and is missing or different now: access keys may depend on it; put it back, or restart the server if that is on purpose", key.ID)
		}
	}
	r, err := newRing(keys)
	if err != nil {
		return err
	}
	k.ring.Store(r)
	return nil
}

// Keys returns what is loaded.
func (k *Keyring) Keys() *Keys { return k.ring.Load().content }

func newRing(keys *Keys) (*ring, error) {
	r := &ring{content: keys, keys: make(map[uint32]*key, len(keys.keys))}
	for _, key := range keys.keys {
		derived, err := newKey(key.number, key.State, key.secret)
		if err != nil {
			return nil, err
		}
		r.keys[key.number] = derived
		switch key.State {
		case Active:
			r.active = derived
			r.addresses = slices.Insert(r.addresses, 0, derived.addresses)
		case VerifyOnly:
			r.addresses = append(r.addresses, derived.addresses)
		}
	}
	return r, nil
}

// key is one key of the ring with everything that is derived from it.
type key struct {
	number     uint32
	state      State
	aead       [purposes]cipher.AEAD
	associated [purposes][]byte
	accessKeys *secrets // of long-term access keys
	sessions   *secrets // of temporary credentials
	addresses  []byte   // of signed addresses of layers
	messages   cipher.AEAD
	stored     cipher.AEAD // of what is stored encrypted
	issuer     issuerSigners
}

// newKey derives the subkeys of a secret: HKDF-SHA256 (RFC 5869), each with
// the name of its use as the info.
func newKey(number uint32, s State, secret []byte) (*key, error) {
	k := &key{number: number, state: s, issuer: newIssuerSigners(secret)}
	subkey := func(use string) ([]byte, error) {
		return hkdf.Key(sha256.New, secret, nil, "gatehouse "+use, keySize)
	}
	for p, use := range [purposes]string{Session: "session token", CodeArtifact: "codeartifact token", ECR: "ecr token"} {
		if use == "" {
			continue
		}
		sub, err := subkey(use)
		if err != nil {
			return nil, err
		}
		if k.aead[p], err = chacha20poly1305.NewX(sub); err != nil {
			return nil, err
		}
		k.associated[p] = append(binary.BigEndian.AppendUint32([]byte{frameVersion}, number), byte(p))
	}
	var err error
	if k.accessKeys, err = newSecrets(subkey("access key secret")); err != nil {
		return nil, err
	}
	if k.sessions, err = newSecrets(subkey("session secret")); err != nil {
		return nil, err
	}
	if k.addresses, err = subkey("layer address"); err != nil {
		return nil, err
	}
	if k.stored, err = newStored(subkey("stored secret")); err != nil {
		return nil, err
	}
	return k, k.newMessages(subkey("authorization message"))
}

// ActiveKeyID is the id of the key that seals tokens now, 8 hexadecimal digits.
// Who creates a long-term access key stores it beside the access key's id.
func (k *Keyring) ActiveKeyID() string { return formatKeyID(k.ring.Load().active.number) }

// AccessKeySecret returns the secret of the long-term access key that was
// created under the key keyID: 40 characters of base64, as AWS's are. It fails
// if the keyring has no such key, and then no caller can use the access key.
func (k *Keyring) AccessKeySecret(keyID, accessKeyID string) (string, error) {
	number, err := parseKeyID(keyID)
	if err != nil {
		return "", err
	}
	key := k.ring.Load().keys[number]
	if key == nil {
		return "", fmt.Errorf("keyring: no key %s, under which access key %s was created: restore the keyring that belongs to this database", keyID, accessKeyID)
	}
	return key.accessKeys.derive(accessKeyID), nil
}

// LayerAddressKeys are the 32-byte HMAC keys of the signed addresses under which
// layers are downloaded: the first one signs, and each of them verifies. A client may
// bring an address to another server, or after a rotation.
func (k *Keyring) LayerAddressKeys() ([][]byte, error) {
	if err := k.ready(); err != nil {
		return nil, err
	}
	return k.ring.Load().addresses, nil
}

// sessionSecret returns the secret access key of temporary credentials.
func (k *key) sessionSecret(accessKeyID string) string { return k.sessions.derive(accessKeyID) }

// secrets derives the secrets of access keys under one key. It keeps hashes that
// have taken in the key, since every signed request needs a secret.
type secrets struct{ hashes sync.Pool }

func newSecrets(key []byte, err error) (*secrets, error) {
	return &secrets{sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}, err
}

// derive returns the first 240 bits of an HMAC-SHA256: 40 characters of base64.
func (s *secrets) derive(id string) string {
	h := s.hashes.Get().(hash.Hash)
	defer s.hashes.Put(h)
	h.Reset()
	h.Write([]byte(id))
	var sum [sha256.Size]byte
	return base64.StdEncoding.EncodeToString(h.Sum(sum[:0])[:30])
}

func formatKeyID(n uint32) string { return fmt.Sprintf("%08x", n) }

func parseKeyID(s string) (uint32, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != keyIDSize {
		return 0, fmt.Errorf("keyring: %q is not a key id: want %d hexadecimal digits", s, 2*keyIDSize)
	}
	return binary.BigEndian.Uint32(b), nil
}
