package main

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"path/filepath"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// tokenCryptoJobs measure minting and opening a token without a server, on one
// processor. The baseline is the one cryptographic operation that it needs, on the
// same number of bytes.
func (b *testbed) tokenCryptoJobs() []job {
	return []job{
		{"token mint", seconds, func(context.Context) (*comparison, error) {
			s, err := newTokenCrypto(b)
			if err != nil {
				return nil, err
			}
			mint := func() error { _, err := s.keyring.Mint(token.ECR, s.claims); return err }
			return &comparison{b.repeat(mint), []baseline{{"XChaCha20-Poly1305 seal", b.repeat(s.seal)}}}, nil
		}},
		{"token open", seconds, func(context.Context) (*comparison, error) {
			s, err := newTokenCrypto(b)
			if err != nil {
				return nil, err
			}
			open := func() error { _, err := s.keyring.Open(token.ECR, s.token); return err }
			return &comparison{b.repeat(open), []baseline{{"XChaCha20-Poly1305 open", b.repeat(s.open)}}}, nil
		}},
	}
}

// tokenCrypto has a token and a ciphertext of the same size.
type tokenCrypto struct {
	keyring *token.Keyring
	claims  token.Claims
	token   string

	aead                         cipher.AEAD
	nonce, plain, sealed, buffer []byte
}

func newTokenCrypto(b *testbed) (*tokenCrypto, error) {
	now := time.Now()
	keyring, err := token.CreateKeyring(filepath.Join(b.dir, "keyring-"+rand.Text()), time.Now)
	if err != nil {
		return nil, err
	}
	s := &tokenCrypto{keyring: keyring, claims: token.Claims{
		ID: token.NewID(token.BearerToken), Account: "000000000001", PrincipalID: token.NewID(token.RoleID),
		SessionName: "build-4711", AccessKeyID: token.NewID(token.TemporaryKey), Region: "us-east-1",
		SessionIssued: now, SessionExpires: now.Add(time.Hour), Issued: now, Expires: now.Add(12 * time.Hour),
	}}
	if s.token, err = keyring.Mint(token.ECR, s.claims); err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.NewX(make([]byte, chacha20poly1305.KeySize))
	if err != nil {
		return nil, err
	}
	// All bytes of a token: a few more than its plaintext has.
	s.plain = make([]byte, base64.RawURLEncoding.DecodedLen(len(s.token))-aead.NonceSize()-aead.Overhead())
	s.aead = aead
	s.nonce = make([]byte, aead.NonceSize())
	s.sealed = aead.Seal(nil, s.nonce, s.plain, nil)
	s.buffer = make([]byte, 0, len(s.sealed))
	return s, nil
}

// seal and open are the baselines. They allocate nothing and encode no text.
func (s *tokenCrypto) seal() error {
	s.aead.Seal(s.buffer, s.nonce, s.plain, nil)
	return nil
}

func (s *tokenCrypto) open() error {
	_, err := s.aead.Open(s.buffer, s.nonce, s.sealed, nil)
	return err
}

// repeat measures a function that is called again and again for a round's duration:
// seconds for each call.
func (b *testbed) repeat(do func() error) measure {
	const batch = 64 // so that reading the clock costs little
	return func(ctx context.Context) (sample, error) {
		done, start := 0, time.Now()
		for time.Since(start) < b.duration && ctx.Err() == nil {
			for range batch {
				if err := do(); err != nil {
					return sample{}, err
				}
			}
			done += batch
		}
		return sample{Value: time.Since(start).Seconds() / float64(done)}, ctx.Err()
	}
}
