package token

import "crypto/rand"

// An IDPrefix begins an identifier and says what it identifies (IAM User Guide,
// "IAM identifiers", Unique identifiers).
type IDPrefix string

// The prefixes that Gatehouse issues.
const (
	LongTermKey   IDPrefix = "AKIA" // an access key of a user or of root
	TemporaryKey  IDPrefix = "ASIA" // an access key of temporary credentials
	BearerToken   IDPrefix = "ABIA" // an authorization token
	UserID        IDPrefix = "AIDA"
	RoleID        IDPrefix = "AROA"
	GroupID       IDPrefix = "AGPA"
	ManagedPolicy IDPrefix = "ANPA"
)

// NewID returns a new identifier: the prefix and random characters of A-Z and
// 2-7. Those of keys and tokens have 20 characters and 80 random bits, the
// unique ids of IAM's entities have 21 and 85.
func NewID(p IDPrefix) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	n := 17
	switch p {
	case LongTermKey, TemporaryKey, BearerToken:
		n = 16
	}
	random := make([]byte, n)
	_, _ = rand.Read(random) // cannot fail
	for i, b := range random {
		random[i] = alphabet[b&31]
	}
	return string(p) + string(random)
}
