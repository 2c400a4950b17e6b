package iam

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/resourcetags"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

var letters = base32.StdEncoding.WithPadding(base32.NoPadding)

// newSessionKeyID returns a new id of temporary credentials. It holds the number
// of the account, from which GetAccessKeyInfo answers, and 40 random bits; two
// that happen to be the same are told apart by their session tokens.
func newSessionKeyID(account string) string {
	n, err := strconv.ParseUint(account, 10, 64)
	if err != nil {
		panic("iam: not an account: " + account)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], n<<24) // an account is a number of 40 bits
	_, _ = rand.Read(b[5:])                 // cannot fail
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

// The patterns of names and paths (IAM API Reference, the parameters of
// CreateUser, CreateRole, CreateGroup, CreatePolicy, PutUserPolicy).
var (
	namePattern  = regexp.MustCompile(`^[\w+=,.@-]+$`)
	pathPattern  = regexp.MustCompile(`^/(?:[\x21-\x7e]+/)?$`)
	aliasPattern = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9]|-(?:[a-z0-9]))*$`)
)

// maxName is the longest name of each kind.
var maxName = map[Kind]int{KindUser: 64, KindGroup: 128, KindRole: 64, KindPolicy: 128}

func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, "ValidationError", format, args...)
}

func checkName(kind Kind, name string) error {
	if len(name) == 0 || len(name) > maxName[kind] || !namePattern.MatchString(name) {
		return invalid("The specified value for %sName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-, and be at most %d characters long.", kind.noun(), maxName[kind])
	}
	return nil
}

// checkPath returns the path, "/" where it is empty.
func checkPath(path string) (string, error) {
	if path == "" {
		return "/", nil
	}
	if len(path) > 512 || !pathPattern.MatchString(path) {
		return "", invalid("The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters, at most 512 of them.")
	}
	return path, nil
}

// mergeTags returns old with the tags added; the same key takes the new value.
// Keys that differ only in case are the same key.
func mergeTags(old, added []Tag) ([]Tag, error) {
	merged, err := resourcetags.MergeOrdered(old, added)
	if err == nil {
		return merged, nil
	}
	switch err.Reason {
	case resourcetags.TooMany:
		return nil, limit("The number of tags has reached the maximum limit of %d.", resourcetags.MaxTags)
	case resourcetags.ReservedKey:
		return nil, fault.New(fault.Invalid, "InvalidInput", "Tag keys that begin with aws: are reserved for AWS.")
	case resourcetags.DuplicateKey:
		return nil, fault.New(fault.Invalid, "InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
	default:
		return nil, invalid("The tag %q is invalid: a key has 1 to %d and a value at most %d letters, digits, spaces or characters of _.:/=+-@", err.Key, resourcetags.MaxKeyLength, resourcetags.MaxValueLength)
	}
}
