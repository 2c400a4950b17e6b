package token

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// SealSecret encrypts a secret of somebody else, such as a password for another registry,
// so that it can be stored. place says what it is and where it is stored: what is sealed for
// one place does not open at another. It is a frame as a token's, with a subkey of its own and
// the place in the associated data. keyID is the key that sealed it: store it too, and seal
// the secret again when it is not [Keyring.ActiveKeyID] any more. Until then a retired key
// opens it, since nobody could make the secret again.
func (k *Keyring) SealSecret(place string, secret []byte) (sealed []byte, keyID string, err error) {
	if err := k.ready(); err != nil {
		return nil, "", err
	}
	const head = headerSize + nonceSize
	active := k.ring.Load().active
	frame := make([]byte, head, overhead+len(secret))
	frame[0] = frameVersion
	binary.BigEndian.PutUint32(frame[1:], active.number)
	_, _ = rand.Read(frame[headerSize:]) // cannot fail
	frame = active.stored.Seal(frame, frame[headerSize:head], secret, messageData(frame, place))
	return frame, formatKeyID(active.number), nil
}

// errNotSealed is for bytes that were not sealed for their place by a key of the ring.
var errNotSealed = errors.New("keyring: a stored secret is damaged, or was sealed for another place")

// OpenSecret is the inverse of [Keyring.SealSecret]. It fails if the keyring does not have
// the key.
func (k *Keyring) OpenSecret(place string, sealed []byte) ([]byte, error) {
	const head = headerSize + nonceSize
	if len(sealed) < overhead || sealed[0] != frameVersion {
		return nil, errNotSealed
	}
	number := binary.BigEndian.Uint32(sealed[1:])
	key := k.ring.Load().keys[number]
	if key == nil {
		return nil, fmt.Errorf("keyring: no key %s, which sealed a stored secret: restore the keyring that belongs to this database", formatKeyID(number))
	}
	secret, err := key.stored.Open(nil, sealed[headerSize:head], sealed[head:], messageData(sealed, place))
	if err != nil {
		return nil, errNotSealed
	}
	return secret, nil
}

// newStored makes the cipher of stored secrets of a subkey.
func newStored(subkey []byte, err error) (cipher.AEAD, error) {
	if err != nil {
		return nil, err
	}
	return chacha20poly1305.NewX(subkey)
}
