package sts

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

var letters = base32.StdEncoding.WithPadding(base32.NoPadding)

// newSessionKeyID returns a new id of temporary credentials. It holds the number
// of the account, from which GetAccessKeyInfo answers, and 40 random bits; two
// that happen to be the same are told apart by their session tokens.
func newSessionKeyID(account string) string {
	var random [sessionKeyIDRandom]byte
	_, _ = rand.Read(random[:]) // cannot fail
	return sessionKeyID(account, random)
}

// sessionKeyIDRandom is how many bytes of an id do not belong to the account.
const sessionKeyIDRandom = 5

func sessionKeyID(account string, random [sessionKeyIDRandom]byte) string {
	n, err := strconv.ParseUint(account, 10, 64)
	if err != nil {
		panic("sts: not an account: " + account)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], n<<24) // an account is a number of 40 bits
	copy(b[5:], random[:])
	return string(token.TemporaryKey) + letters.EncodeToString(b[:10])
}

// accountOfSessionKey is the inverse of [newSessionKeyID].
func accountOfSessionKey(id string) (string, bool) {
	b, err := letters.DecodeString(strings.TrimPrefix(id, string(token.TemporaryKey)))
	if err != nil || len(b) != 10 {
		return "", false
	}
	account := fmt.Sprintf("%012d", binary.BigEndian.Uint64(b)>>24)
	return account, arn.IsAccountID(account)
}
