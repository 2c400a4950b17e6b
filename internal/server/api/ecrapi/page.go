package ecrapi

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// A scope is what a nextToken belongs to: an operation and those of its
// parameters that choose the list. A token of another scope is refused, since it
// would silently leave out a part of the list.
type scope [8]byte

func newScope(parameters ...string) (s scope) {
	sum := sha256.Sum256([]byte(strings.Join(parameters, "\x00")))
	copy(s[:], sum[:])
	return s
}

// token returns the nextToken for the page after cursor. A cursor is the last
// entry that the client got, so that it holds no secret and needs no seal: who
// makes one up sees no more than by asking for the next pages.
func (s scope) token(cursor ...string) *string {
	return new(base64.RawURLEncoding.EncodeToString(append(s[:], strings.Join(cursor, "\x00")...)))
}

// cursor is the inverse of token, with n parts. Without a token they are empty.
func (s scope) cursor(token *string, n int) ([]string, error) {
	if token == nil {
		return make([]string, n), nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(*token)
	if err == nil && len(raw) >= len(s) && scope(raw[:len(s)]) == s {
		if parts := strings.Split(string(raw[len(s):]), "\x00"); len(parts) == n {
			return parts, nil
		}
	}
	return nil, invalidParameter("nextToken", "The token is not one that this operation returned for the same parameters")
}

// defaultPage is how many entries a page has where the request does not say.
const defaultPage = 100

func pageSize(maxResults *int32) int {
	if maxResults == nil {
		return defaultPage
	}
	return int(*maxResults)
}
