package keys

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// A Wrapper encrypts the data key with which a stored keyring is sealed. Errors name
// no secret.
type Wrapper interface {
	// Name is stored beside what was wrapped: "key" or "command".
	Name() string
	Wrap(ctx context.Context, dataKey []byte) ([]byte, error)
	// Unwrap is the inverse of Wrap. It fails for what was not wrapped by the same, with
	// ErrWrapping if it can tell.
	Unwrap(ctx context.Context, wrapped []byte) ([]byte, error)
}

// A Codec turns the content of a keyring into its stored form and back. The stored
// form is wrapped if there is a Wrapper, and the text of [token.Keys.Encode] otherwise.
type Codec struct {
	Wrapper Wrapper
	// Former are wrappers that only unwrap: what the wrapper was before it was changed.
	Former []Wrapper
}

// envelope is the stored form of a keyring that is wrapped. The content is sealed with
// a random data key by XChaCha20-Poly1305, as base64 of nonce and ciphertext. Version,
// wrapper and wrapped data key are the associated data.
type envelope struct {
	Version int     `json:"version"`
	Wrapped *sealed `json:"wrapped"`
}

type sealed struct {
	By      string `json:"by"`
	DataKey []byte `json:"data_key"`
	Content []byte `json:"content"`
}

const envelopeVersion = 2

// ErrWrapping means that a keyring is not wrapped as the configuration says. Trying
// again does not help.
var ErrWrapping = errors.New("the keyring is not wrapped as the configuration says")

var (
	// ErrWrapped means that a keyring is wrapped, and nothing says how to unwrap it.
	ErrWrapped error = &wrappingError{"the keyring is wrapped: set GATEHOUSE_KEYRING_KEY, keyring_wrapping.key_file or keyring_wrapping.unwrap to what it was wrapped with"}
	// ErrNotWrapped means that a keyring should be wrapped and is not.
	ErrNotWrapped error = &wrappingError{"the keyring is not wrapped, although the configuration says how to wrap it: run gatehouse keys wrap, or remove the setting"}
)

// A wrappingError is an ErrWrapping with a message of its own.
type wrappingError struct{ message string }

func (e *wrappingError) Error() string { return e.message }

func (e *wrappingError) Is(target error) bool { return target == ErrWrapping }

// Encode returns the stored form.
func (c *Codec) Encode(ctx context.Context, keys *token.Keys) ([]byte, error) {
	text, err := keys.Encode()
	if err != nil || c.Wrapper == nil {
		return text, err
	}
	dataKey := make([]byte, chacha20poly1305.KeySize)
	_, _ = rand.Read(dataKey) // cannot fail
	s := &sealed{By: c.Wrapper.Name()}
	if s.DataKey, err = c.Wrapper.Wrap(ctx, dataKey); err != nil {
		return nil, fmt.Errorf("wrap the keyring: %w", err)
	}
	if s.Content, err = seal(dataKey, text, s.associated()); err != nil {
		return nil, fmt.Errorf("wrap the keyring: %w", err)
	}
	out, err := json.Marshal(envelope{envelopeVersion, s}, jsontext.WithIndent("  "))
	if err != nil {
		return nil, err
	}
	return append(out, '\n'), nil
}

func (s *sealed) associated() []byte {
	return fmt.Appendf(nil, "gatehouse keyring %d %s %s", envelopeVersion, s.By, base64.StdEncoding.EncodeToString(s.DataKey))
}

// Decode reads the stored form. A form that is not wrapped is refused if there is a
// Wrapper: whoever can write it could put keys of their own in its place.
func (c *Codec) Decode(ctx context.Context, stored []byte) (*token.Keys, error) {
	if len(stored) > token.MaxKeyFile {
		return nil, fmt.Errorf("it is larger than any keyring: %d bytes", len(stored))
	}
	s, err := parseEnvelope(stored)
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		keys, err := token.ParseKeys(stored)
		if err == nil && c.Wrapper != nil {
			return nil, ErrNotWrapped
		}
		return keys, err
	case c.Wrapper == nil:
		return nil, ErrWrapped
	}
	text, err := c.open(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("unwrap the keyring: %w", err)
	}
	return token.ParseKeys(text)
}

// Wrapped reports whether a stored form is wrapped.
func Wrapped(stored []byte) bool {
	s, err := parseEnvelope(stored)
	return err == nil && s != nil
}

// parseEnvelope returns nil for a form that is not wrapped.
func parseEnvelope(stored []byte) (*sealed, error) {
	var members map[string]jsontext.Value
	if json.Unmarshal(stored, &members) != nil || members["wrapped"] == nil {
		return nil, nil // package token says what is wrong
	}
	var version int
	if json.Unmarshal(members["version"], &version) == nil && version > envelopeVersion {
		return nil, fmt.Errorf("it has version %d, and this program knows versions up to %d: use the version of Gatehouse that wrote it, or a newer one", version, envelopeVersion)
	}
	var e envelope
	if json.Unmarshal(stored, &e, json.RejectUnknownMembers(true)) != nil || e.Version != envelopeVersion || e.Wrapped == nil {
		return nil, errors.New("it is not a wrapped keyring: its JSON is damaged; restore it from a copy")
	}
	return e.Wrapped, nil
}

// open tries the wrapper, and then the former ones. The error is ErrWrapping unless one
// of them could not be tried.
func (c *Codec) open(ctx context.Context, s *sealed) ([]byte, error) {
	var errs []error
	tried := true
	for _, w := range append([]Wrapper{c.Wrapper}, c.Former...) {
		if w.Name() != s.By {
			errs = append(errs, fmt.Errorf("it was wrapped by a %s, and the configuration has a %s", s.By, w.Name()))
			continue
		}
		dataKey, err := w.Unwrap(ctx, s.DataKey)
		if err != nil {
			tried = tried && errors.Is(err, ErrWrapping)
			errs = append(errs, err)
			continue
		}
		text, err := unseal(dataKey, s.Content, s.associated())
		if err == nil {
			return text, nil
		}
		errs = append(errs, errors.New("what was unwrapped does not open it: it was wrapped with another key, or is damaged"))
	}
	message := errors.Join(errs...).Error()
	if tried {
		return nil, &wrappingError{message}
	}
	return nil, errors.New(message)
}

// seal returns nonce and ciphertext.
func seal(key, text, associated []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(text)+aead.Overhead())
	_, _ = rand.Read(nonce) // cannot fail
	return aead.Seal(nonce, nonce, text, associated), nil
}

func unseal(key, box, associated []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, err
	}
	if len(box) < aead.NonceSize() {
		return nil, errors.New("too short")
	}
	return aead.Open(nil, box[:aead.NonceSize()], box[aead.NonceSize():], associated)
}

// NewKeyWrapper returns a wrapper with a key of 32 bytes, written in base64. source
// says in messages where the key comes from.
func NewKeyWrapper(text, source string) (Wrapper, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != chacha20poly1305.KeySize {
		return nil, &wrappingError{fmt.Sprintf("%s is not a key: want %d bytes in base64, such as openssl rand -base64 %d prints", source, chacha20poly1305.KeySize, chacha20poly1305.KeySize)}
	}
	return &keyWrapper{key, source}, nil
}

type keyWrapper struct {
	key    []byte
	source string
}

const keyWrapperData = "gatehouse keyring data key"

func (*keyWrapper) Name() string { return "key" }

func (w *keyWrapper) Wrap(_ context.Context, dataKey []byte) ([]byte, error) {
	return seal(w.key, dataKey, []byte(keyWrapperData))
}

func (w *keyWrapper) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	dataKey, err := unseal(w.key, wrapped, []byte(keyWrapperData))
	if err != nil {
		return nil, &wrappingError{w.source + " is not the key with which it was wrapped, or it is damaged"}
	}
	return dataKey, nil
}
