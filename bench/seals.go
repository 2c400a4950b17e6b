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

// sealJobs are what a token costs without a server around it, on one processor.
// The yardstick is the one cryptographic operation that it cannot do without, on
// as many bytes.
func (b *testbed) sealJobs() []job {
	return []job{
		{"token mint", seconds, func(context.Context) (*contest, error) {
			s, err := newSeals(b)
			if err != nil {
				return nil, err
			}
			mint := func() error { _, err := s.keyring.Mint(token.ECR, s.claims); return err }
			return &contest{b.repeat(mint), []yardstick{{"XChaCha20-Poly1305 seal", b.repeat(s.seal)}}}, nil
		}},
		{"token open", seconds, func(context.Context) (*contest, error) {
			s, err := newSeals(b)
			if err != nil {
				return nil, err
			}
			open := func() error { _, err := s.keyring.Open(token.ECR, s.token); return err }
			return &contest{b.repeat(open), []yardstick{{"XChaCha20-Poly1305 open", b.repeat(s.open)}}}, nil
		}},
	}
}

// seals has a token, and a frame of the same size.
type seals struct {
	keyring *token.Keyring
	claims  token.Claims
	token   string

	aead                         cipher.AEAD
	nonce, plain, sealed, buffer []byte
}

func newSeals(b *testbed) (*seals, error) {
	now := time.Now()
	keyring, err := token.CreateKeyring(filepath.Join(b.dir, "keyring-"+rand.Text()), time.Now)
	if err != nil {
		return nil, err
	}
	s := &seals{keyring: keyring, claims: token.Claims{
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
	// All of a token's bytes: a few more than are sealed in it.
	s.plain = make([]byte, base64.RawURLEncoding.DecodedLen(len(s.token))-aead.NonceSize()-aead.Overhead())
	s.aead = aead
	s.nonce = make([]byte, aead.NonceSize())
	s.sealed = aead.Seal(nil, s.nonce, s.plain, nil)
	s.buffer = make([]byte, 0, len(s.sealed))
	return s, nil
}

// seal and open are the yardsticks: they allocate nothing and write no text.
func (s *seals) seal() error {
	s.aead.Seal(s.buffer, s.nonce, s.plain, nil)
	return nil
}

func (s *seals) open() error {
	_, err := s.aead.Open(s.buffer, s.nonce, s.sealed, nil)
	return err
}

// repeat is the measure of what is done again and again for a round's time:
// seconds each.
func (b *testbed) repeat(do func() error) measure {
	const batch = 64 // so that the clock is not what is measured
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
