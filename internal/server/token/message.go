package token

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// MaxMessage is the length in bytes of what [Keyring.SealMessage] takes. Sealed it
// stays below the 10,240 characters that DecodeAuthorizationMessage accepts.
const MaxMessage = 4096

// SealMessage returns a text that only [Keyring.OpenMessage] with the same account
// reads: base64url of a frame as a token's, with a subkey of its own and the account
// in the associated data. It fails for a message that is longer than [MaxMessage].
func (k *Keyring) SealMessage(account string, message []byte) (string, error) {
	if len(message) > MaxMessage {
		return "", fmt.Errorf("token: a message of %d bytes, and at most %d can be sealed", len(message), MaxMessage)
	}
	const head = headerSize + nonceSize
	frame := make([]byte, head, overhead+len(message))
	frame[0] = frameVersion
	active := k.ring.Load().active
	binary.BigEndian.PutUint32(frame[1:], active.number)
	_, _ = rand.Read(frame[headerSize:]) // cannot fail
	frame = active.messages.Seal(frame, frame[headerSize:head], message, messageData(frame, account))
	return encoding.EncodeToString(frame), nil
}

// OpenMessage is the inverse of [Keyring.SealMessage]. The error is a fault
// InvalidAuthorizationMessage for whatever was not sealed here for the account.
func (k *Keyring) OpenMessage(account, text string) ([]byte, error) {
	invalid := fault.New(fault.Invalid, "InvalidAuthorizationMessage", "The message is not valid: it was not made by this server for this account, or is not whole.")
	frame, err := encoding.DecodeString(text)
	if err != nil || len(frame) < overhead || len(frame) > overhead+MaxMessage || frame[0] != frameVersion {
		return nil, invalid
	}
	key := k.ring.Load().keys[binary.BigEndian.Uint32(frame[1:])]
	if key == nil || key.state == Retired {
		return nil, invalid
	}
	const head = headerSize + nonceSize
	message, err := key.messages.Open(nil, frame[headerSize:head], frame[head:], messageData(frame, account))
	if err != nil {
		return nil, invalid
	}
	return message, nil
}

// messageData is the associated data: version, key id and account.
func messageData(frame []byte, account string) []byte {
	return append(append(make([]byte, 0, headerSize+len(account)), frame[:headerSize]...), account...)
}

// newMessages makes the cipher of messages of a subkey.
func (k *key) newMessages(subkey []byte, err error) error {
	if err == nil {
		k.messages, err = chacha20poly1305.NewX(subkey)
	}
	return err
}
