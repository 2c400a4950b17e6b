// Package token mints and opens every bearer token, and derives every secret that
// Gatehouse gives out. It is the only package that sees the keys.
//
// A token is a string of at most [MaxLength] characters without a colon, so it
// fits into Basic credentials, URLs and the configuration of every client:
//
//	ghct_  the authorization token of CodeArtifact
//	ghet_  the password of an ECR authorization token
//	ghst_  the session token of temporary AWS credentials
//
// followed by the base64url form, without padding, of
//
//	version (1 byte) | key id (4) | nonce (24) | XChaCha20-Poly1305 of the claims
//
// A scanner for leaked secrets can look for gh[ces]t_[A-Za-z0-9_-]{100,}.
//
// Each purpose has its own subkey, and version, key id and purpose are the
// associated data, so a token of one kind is never accepted as another. The
// [Claims] hold only the identity. Opening a token reads no store: package authn
// checks whether the principal still exists, and package authz what it may do.
//
// A [Keyring] has the keys. Their stored form, [Keys], is a file of mode 0600 or a row
// of the shared database; package keys stores, wraps and rotates it. Secret access keys
// are derived from it and never stored, so whoever has it has everything. Protect it
// like the key of a certificate authority, and keep a copy: no long-term access key
// works without it.
//
// From each key of the ring several are derived, one for each use:
//
//	what                                 lives                 after the key is retired
//	tokens, session tokens               36 hours at the most  refused
//	secrets of temporary credentials     as their session      of no use without its token
//	addresses of layers                  an hour               refused
//	web identity tokens                  an hour               refused: their keys are not published
//	encoded authorization messages       for ever              cannot be decoded any more
//	secrets of long-term access keys     until deleted         go on working
//	secrets of others, stored encrypted  until deleted         can be read; see [Keyring.SealSecret]
//
// So a key is never removed from the ring while an access key depends on it.
package token

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// MaxLength is the number of characters that a token has at the most. It is
// what the tightest of the clients takes (Swift's package registry login).
const MaxLength = 512

const (
	frameVersion = 1
	headerSize   = 1 + keyIDSize
	nonceSize    = chacha20poly1305.NonceSizeX
	overhead     = headerSize + nonceSize + chacha20poly1305.Overhead
	prefixSize   = len("ghct_")
	// maxPayload is what base64 leaves of MaxLength.
	maxPayload = (MaxLength-prefixSize)*3/4 - overhead
)

// encoding is strict: of the texts that decode to the same bytes it takes one.
var encoding = base64.RawURLEncoding.Strict()

// Mint returns a token that says c, sealed with the active key. Times are cut to
// the second. It fails for claims that cannot be a token: no expiry, one after
// [LongestLife], or texts too long to stay within [MaxLength].
func (k *Keyring) Mint(p Purpose, c Claims) (string, error) {
	active, err := k.sealing(&c)
	if err != nil {
		return "", err
	}
	return active.mint(p, &c)
}

// sealing returns the key that seals a token with these claims.
func (k *Keyring) sealing(c *Claims) (*key, error) {
	if err := k.ready(); err != nil {
		return nil, err
	}
	if c.Expires.After(k.now().Add(LongestLife + MaxSkew)) {
		return nil, errTooLongLived
	}
	return k.ring.Load().active, nil
}

// Open returns what a token of the purpose says. Its errors are *[fault.Error]:
// InvalidToken for whatever was not minted by this keyring for this purpose, and
// ExpiredToken.
func (k *Keyring) Open(p Purpose, token string) (Claims, error) {
	c, _, err := k.open(p, token)
	return c, err
}

// MintSession returns the session token of temporary credentials and the secret
// access key that goes with it. c.ID is their access key id.
func (k *Keyring) MintSession(c Claims) (token, secret string, err error) {
	active, err := k.sealing(&c)
	if err != nil {
		return "", "", err
	}
	if token, err = active.mint(Session, &c); err != nil {
		return "", "", err
	}
	return token, active.sessionSecret(c.ID), nil
}

// OpenSession opens a session token as [Keyring.Open] does, and returns the
// secret access key of its credentials too. The caller compares Claims.ID with
// the access key id that the request names: the token is good with no other.
func (k *Keyring) OpenSession(token string) (c Claims, secret string, err error) {
	c, key, err := k.open(Session, token)
	if err != nil {
		return Claims{}, "", err
	}
	return c, key.sessionSecret(c.ID), nil
}

func (k *key) mint(p Purpose, c *Claims) (string, error) {
	if !p.valid() {
		return "", fmt.Errorf("token: unknown purpose %d", p)
	}
	const head = headerSize + nonceSize
	var frames [overhead + maxPayload]byte
	frame, err := c.append(frames[:head])
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	frame[0] = frameVersion
	binary.BigEndian.PutUint32(frame[1:], k.number)
	nonce := frame[headerSize:head]
	// Cannot fail: crypto/rand ends the process if the system has no
	// randomness.
	_, _ = rand.Read(nonce)
	// In place: the claims become the sealed claims.
	frame = k.aead[p].Seal(frame[:head], nonce, frame[head:], k.associated[p])

	var text [MaxLength]byte
	return string(encoding.AppendEncode(append(text[:0], p.prefix()...), frame)), nil
}

// MaxSkew is how far the clock of the server that issued a token may be ahead. A
// token from further in the future was issued while a clock was wrong, and would
// outlive its time.
const MaxSkew = time.Minute

func (k *Keyring) open(p Purpose, token string) (Claims, *key, error) {
	if !p.valid() {
		return Claims{}, nil, fmt.Errorf("token: unknown purpose %d", p)
	}
	frame, err := decode(p, token)
	if err != nil {
		return Claims{}, nil, err
	}
	if err := k.ready(); err != nil {
		return Claims{}, nil, err
	}
	key := k.ring.Load().keys[binary.BigEndian.Uint32(frame[1:])]
	if key == nil || key.state == Retired {
		return Claims{}, nil, invalid(p, "it was made with a key that this server does not have or no longer uses")
	}
	nonce, sealed := frame[headerSize:headerSize+nonceSize], frame[headerSize+nonceSize:]
	plain, err := key.aead[p].Open(sealed[:0], nonce, sealed, key.associated[p])
	if err != nil {
		return Claims{}, nil, invalid(p, "it is damaged or was not issued by this server")
	}
	c, ok := parseClaims(string(plain))
	if !ok {
		return Claims{}, nil, invalid(p, "it was issued by another version of this server")
	}
	now := k.now()
	if c.Issued.After(now.Add(MaxSkew)) {
		return Claims{}, nil, invalid(p, "it was issued in the future: compare the clock of this server with the one that issued it")
	}
	if !now.Before(c.Expires) {
		return Claims{}, nil, fault.New(fault.Expired, "ExpiredToken", "The %s expired at %s. %s", p, c.Expires.Format(time.RFC3339), p.renew())
	}
	return c, key, nil
}

// decode returns the frame of a token, long enough to hold all its parts.
func decode(p Purpose, token string) ([]byte, error) {
	text, ok := strings.CutPrefix(token, p.prefix())
	if !ok {
		for other := Session; other.valid(); other++ {
			if strings.HasPrefix(token, other.prefix()) {
				return nil, invalid(p, fmt.Sprintf("this is a %s, which is not accepted here", other))
			}
		}
		return nil, invalid(p, fmt.Sprintf("it does not begin with %s", p.prefix()))
	}
	if len(token) > MaxLength {
		return nil, invalid(p, fmt.Sprintf("it is longer than %d characters", MaxLength))
	}
	// The decoder would pass over line breaks.
	if strings.ContainsAny(text, "\r\n") {
		return nil, invalid(p, "there is a line break in it")
	}
	frame, err := encoding.DecodeString(text)
	if err != nil {
		return nil, invalid(p, "it is not base64url")
	}
	if len(frame) < overhead {
		return nil, invalid(p, "it is too short: it may have been cut off")
	}
	if frame[0] != frameVersion {
		return nil, invalid(p, "it was issued by another version of this server")
	}
	return frame, nil
}

func invalid(p Purpose, why string) *fault.Error {
	return fault.New(fault.Unauthenticated, "InvalidToken", "The %s is not valid: %s. %s", p, why, p.renew())
}

var (
	errNoExpiry     = errors.New("the claims have no expiry, or one before the time of issue")
	errTooLong      = fmt.Errorf("the claims do not fit into a token of %d characters", MaxLength)
	errTooLongLived = fmt.Errorf("the claims expire after more than %s", LongestLife)
	errTime         = errors.New("a time of the claims is before 1970 or too far away")
)
