package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// signingScope is the access key and the scope that a signing key is derived for.
type signingScope struct{ accessKeyID, date, region, service string }

type signingKey = [sha256.Size]byte

// deriveKey returns the signing key of one day, region and service (IAM User
// Guide, "Create a signed AWS API request", step 4).
func deriveKey(s signingScope, secret string) signingKey {
	key := mac([]byte("AWS4"+secret), s.date)
	key = mac(key[:], s.region)
	key = mac(key[:], s.service)
	return mac(key[:], terminator)
}

// sign returns the signature of a canonical request (steps 2, 3 and 5).
func sign(key *signingKey, s *signature, request []byte) [sha256.Size]byte {
	sum := sha256.Sum256(request)
	b := make([]byte, 0, 256)
	b = append(b, algorithm+"\n"...)
	b = s.Time.AppendFormat(b, timeLayout)
	for _, part := range []string{"\n", s.date, "/", s.Region, "/", s.Service, "/" + terminator + "\n"} {
		b = append(b, part...)
	}
	return macBytes(key[:], hex.AppendEncode(b, sum[:]))
}

func mac(key []byte, text string) [sha256.Size]byte { return macBytes(key, []byte(text)) }

func macBytes(key, text []byte) (out [sha256.Size]byte) {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	h.Sum(out[:0])
	return out
}

// cacheSlots bounds the number of entries. Each access key needs one a service
// and day.
const cacheSlots = 4096

// keyCache keeps signing keys that have verified a signature. The hash of a scope
// selects its slot, and a new entry replaces the old one: there is no lock, and the
// cache does not grow. An entry is used only for the secret that it was derived
// from.
type keyCache struct {
	slots [cacheSlots]atomic.Pointer[cachedKey]
	seed  maphash.Seed
}

type cachedKey struct {
	scope  signingScope
	secret string
	key    signingKey
}

func newKeyCache() *keyCache { return &keyCache{seed: maphash.MakeSeed()} }

func (c *keyCache) slot(s signingScope) *atomic.Pointer[cachedKey] {
	return &c.slots[maphash.Comparable(c.seed, s)%cacheSlots]
}

func (c *keyCache) get(s signingScope, secret string) (signingKey, bool) {
	if k := c.slot(s).Load(); k != nil && k.scope == s && k.secret == secret {
		return k.key, true
	}
	return signingKey{}, false
}

func (c *keyCache) put(s signingScope, secret string, key signingKey) {
	// The texts are parts of a header, which the entry must not keep alive.
	s = signingScope{strings.Clone(s.accessKeyID), strings.Clone(s.date), strings.Clone(s.region), strings.Clone(s.service)}
	c.slot(s).Store(&cachedKey{s, secret, key})
}
