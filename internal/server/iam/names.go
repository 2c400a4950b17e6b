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
	tagPattern   = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)
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

// maxTags is the number of tags that an entity can have.
const maxTags = 50

// mergeTags returns old with the tags added; the same key takes the new value.
// Keys that differ in case alone are the same key.
func mergeTags(old, added []Tag) ([]Tag, error) {
	merged := append([]Tag(nil), old...)
	seen := map[string]bool{}
	for _, t := range added {
		if err := checkTag(t); err != nil {
			return nil, err
		}
		folded := strings.ToLower(t.Key)
		if seen[folded] {
			return nil, fault.New(fault.Invalid, "InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[folded] = true
		if i := indexTag(merged, t.Key); i >= 0 {
			merged[i] = t
		} else {
			merged = append(merged, t)
		}
	}
	if len(merged) > maxTags {
		return nil, fault.New(fault.Limit, "LimitExceeded", "The number of tags has reached the maximum limit of %d.", maxTags)
	}
	return merged, nil
}

func checkTag(t Tag) error {
	if n := len([]rune(t.Key)); n < 1 || n > 128 || len([]rune(t.Value)) > 256 || !tagPattern.MatchString(t.Key) || !tagPattern.MatchString(t.Value) {
		return invalid("The tag %q is invalid: a key has 1 to 128 and a value at most 256 letters, digits, spaces or characters of _.:/=+-@", t.Key)
	}
	if strings.HasPrefix(strings.ToLower(t.Key), "aws:") {
		return fault.New(fault.Invalid, "InvalidInput", "Tag keys that begin with aws: are reserved for AWS.")
	}
	return nil
}

func indexTag(tags []Tag, key string) int {
	for i, t := range tags {
		if strings.EqualFold(t.Key, key) {
			return i
		}
	}
	return -1
}

func withoutTags(tags []Tag, keys []string) []Tag {
	var kept []Tag
	for _, t := range tags {
		if !containsFold(keys, t.Key) {
			kept = append(kept, t)
		}
	}
	return kept
}

func containsFold(list []string, s string) bool {
	for _, x := range list {
		if strings.EqualFold(x, s) {
			return true
		}
	}
	return false
}
