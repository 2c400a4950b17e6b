package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/chacha20"
)

// The algorithms with which the server signs tokens as an OpenID Connect issuer (STS API
// Reference, GetWebIdentityToken, SigningAlgorithm).
const (
	RS256 = "RS256"
	ES384 = "ES384"
)

// An IssuerKey signs tokens of the server as an OpenID Connect issuer.
type IssuerKey struct {
	// ID is the kid: the key of the keyring from which it is derived, and the algorithm.
	ID        string
	Algorithm string
	// Signer is an *rsa.PrivateKey or an *ecdsa.PrivateKey.
	Signer crypto.Signer
}

// IssuerKey returns the key that signs with the algorithm: it is derived from the active
// key of the keyring.
func (k *Keyring) IssuerKey(algorithm string) (IssuerKey, error) {
	if err := k.ready(); err != nil {
		return IssuerKey{}, err
	}
	return k.ring.Load().active.issuerKey(algorithm)
}

// IssuerKeys returns the keys whose tokens are good: those of the active key, and those of
// the verify-only ones. A staged key is among them, so that others know it before it signs.
// Only their public halves may leave the server.
func (k *Keyring) IssuerKeys() ([]IssuerKey, error) {
	if err := k.ready(); err != nil {
		return nil, err
	}
	var all []IssuerKey
	for _, key := range k.ring.Load().keys {
		if key.state == Retired {
			continue
		}
		for _, algorithm := range []string{RS256, ES384} {
			issuer, err := key.issuerKey(algorithm)
			if err != nil {
				return nil, err
			}
			all = append(all, issuer)
		}
	}
	slices.SortFunc(all, func(a, b IssuerKey) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// issuerSigners derive the keys of the issuer from a key of the keyring, each at its first
// use: to find an RSA key takes a good part of a second.
type issuerSigners struct {
	rs256, es384 func() (crypto.Signer, error)
}

func newIssuerSigners(secret []byte) issuerSigners {
	return issuerSigners{
		rs256: sync.OnceValues(func() (crypto.Signer, error) { return deriveRSA(secret) }),
		es384: sync.OnceValues(func() (crypto.Signer, error) { return deriveECDSA(secret) }),
	}
}

func (k *key) issuerKey(algorithm string) (IssuerKey, error) {
	derive := k.issuer.rs256
	switch algorithm {
	case RS256:
	case ES384:
		derive = k.issuer.es384
	default:
		return IssuerKey{}, fmt.Errorf("keyring: no issuer key for the algorithm %q", algorithm)
	}
	signer, err := derive()
	if err != nil {
		return IssuerKey{}, fmt.Errorf("keyring: issuer key: %w", err)
	}
	return IssuerKey{formatKeyID(k.number) + "-" + strings.ToLower(algorithm), algorithm, signer}, nil
}

// deriveECDSA derives a key on P-384. The number from which its private key is taken has
// 128 bits more than the order of the curve, so that the remainder is even (FIPS 186-5,
// A.2.1).
func deriveECDSA(secret []byte) (crypto.Signer, error) {
	curve := elliptic.P384()
	random, err := hkdf.Key(sha256.New, secret, nil, "gatehouse issuer ES384", (curve.Params().BitSize+7)/8+16)
	if err != nil {
		return nil, err
	}
	one := big.NewInt(1)
	d := new(big.Int).SetBytes(random)
	d.Mod(d, new(big.Int).Sub(curve.Params().N, one)).Add(d, one)
	return ecdsa.ParseRawPrivateKey(curve, d.FillBytes(make([]byte, (curve.Params().BitSize+7)/8)))
}

const (
	rsaBits     = 2048
	rsaExponent = 65537
)

// deriveRSA derives an RSA key: its primes are the first ones in a stream that depends on
// the secret alone. The package crypto/rsa cannot make the same key twice. Servers need no
// place to store the key then, and all of them have the same.
func deriveRSA(secret []byte) (crypto.Signer, error) {
	seed, err := hkdf.Key(sha256.New, secret, nil, "gatehouse issuer RS256", chacha20.KeySize)
	if err != nil {
		return nil, err
	}
	stream, err := newKeystream(seed)
	if err != nil {
		return nil, err
	}
	p, q := stream.prime(rsaBits/2), stream.prime(rsaBits/2)
	one := big.NewInt(1)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: rsaExponent},
		D:         new(big.Int).ModInverse(big.NewInt(rsaExponent), phi),
		Primes:    []*big.Int{p, q},
	}
	key.Precompute()
	return key, key.Validate()
}

// A keystream is an endless stream of ChaCha20.
type keystream struct{ cipher *chacha20.Cipher }

var _ io.Reader = keystream{}

func newKeystream(seed []byte) (keystream, error) {
	c, err := chacha20.NewUnauthenticatedCipher(seed, make([]byte, chacha20.NonceSize))
	return keystream{c}, err
}

// Read implements io.Reader.
func (s keystream) Read(p []byte) (int, error) {
	clear(p)
	s.cipher.XORKeyStream(p, p)
	return len(p), nil
}

// prime returns the next prime of the stream whose two highest bits are set, so that the
// product of two has twice the bits, and that fits the exponent.
func (s keystream) prime(bits int) *big.Int {
	random := make([]byte, bits/8)
	candidate, one, exponent := new(big.Int), big.NewInt(1), big.NewInt(rsaExponent)
	for {
		_, _ = s.Read(random) // cannot fail
		random[0] |= 0xc0
		random[len(random)-1] |= 1
		candidate.SetBytes(random)
		if !candidate.ProbablyPrime(20) {
			continue
		}
		if new(big.Int).GCD(nil, nil, new(big.Int).Sub(candidate, one), exponent).Cmp(one) == 0 {
			return candidate
		}
	}
}
