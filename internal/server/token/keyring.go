package token

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"sync"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	keyIDSize = 4
	keySize   = 32
)

// A state is what a key is still good for.
type state string

const (
	// active mints, opens and derives. Exactly one key of a keyring is.
	active state = "active"
	// verifyOnly opens and derives. A new key is verify-only until every
	// replica has it, an old one until the last token that it sealed expired.
	verifyOnly state = "verify-only"
	// retired only derives the secrets of the long-term access keys that were
	// created under it.
	retired state = "retired"
)

// A Keyring holds the server's keys. It is immutable and safe for use by many
// goroutines.
type Keyring struct {
	now    func() time.Time
	keys   map[uint32]*key
	active *key
}

// key is one key of the ring with everything that is derived from it.
type key struct {
	number     uint32
	state      state
	aead       [purposes]cipher.AEAD
	associated [purposes][]byte
	accessKeys *secrets // of long-term access keys
	sessions   *secrets // of temporary credentials
	addresses  []byte   // of signed addresses of layers
	messages   cipher.AEAD
}

// newKey derives the subkeys of a secret: HKDF-SHA256 (RFC 5869), each with
// the name of its use as the info.
func newKey(number uint32, s state, secret []byte) (*key, error) {
	k := &key{number: number, state: s}
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
	return k, k.newMessages(subkey("authorization message"))
}

// ActiveKeyID is the id of the key that seals tokens now, 8 hexadecimal digits.
// Who creates a long-term access key stores it beside the access key's id.
func (k *Keyring) ActiveKeyID() string { return formatKeyID(k.active.number) }

// AccessKeySecret returns the secret of the long-term access key that was
// created under the key keyID: 40 characters of base64, as AWS's are. It fails
// if the keyring has no such key, and then no caller can use the access key.
func (k *Keyring) AccessKeySecret(keyID, accessKeyID string) (string, error) {
	number, err := parseKeyID(keyID)
	if err != nil {
		return "", err
	}
	key := k.keys[number]
	if key == nil {
		return "", fmt.Errorf("keyring: no key %s, under which access key %s was created: restore the keyring.json that belongs to this database", keyID, accessKeyID)
	}
	return key.accessKeys.derive(accessKeyID), nil
}

// LayerAddressKey is the 32-byte HMAC key of the signed addresses under which
// layers are downloaded. It is the active key's: an address lasts minutes, and
// is asked for again when the key has changed.
func (k *Keyring) LayerAddressKey() []byte { return k.active.addresses }

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
