package doctor

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/redact"
)

// A foundToken is a token that stands in a file.
type foundToken struct {
	password string
	// expires is when it ends; the zero Time if the token does not say.
	expires time.Time
}

// findTokens finds the tokens that a text holds, in the forms that package redact
// knows. Three of them can stand in a tool's files:
//
//   - Gatehouse's own, which only their issuer can read;
//   - CodeArtifact's at AWS, an encrypted token in the compact form of RFC 7516
//     whose header is readable;
//   - what docker stores for a registry, base64 of user name and password. ECR's
//     password at AWS is base64 of a JSON object that has its expiry.
func findTokens(text []byte) []foundToken {
	var found []foundToken
	for _, word := range redact.FindTokens(text) {
		t := string(word)
		switch {
		case strings.HasPrefix(t, "ghst_"): // a session's, for AWS's API
		case strings.HasPrefix(t, "gh"):
			found = append(found, foundToken{password: t})
		case strings.HasPrefix(t, "eyJ"):
			header, _, _ := strings.Cut(t, ".")
			found = append(found, foundToken{password: t, expires: expiry(header, base64.RawURLEncoding, "exp")})
		default:
			pair, err := base64.StdEncoding.DecodeString(t)
			if err != nil {
				continue
			}
			if _, password, ok := strings.Cut(string(pair), ":"); ok {
				found = append(found, foundToken{password: password, expires: expiry(password, base64.StdEncoding, "expiration")})
			}
		}
	}
	return found
}

// expiry reads a member of an encoded JSON object that is a time in seconds since
// 1970; the zero Time if there is none.
func expiry(encoded string, encoding *base64.Encoding, member string) time.Time {
	text, err := encoding.DecodeString(encoded)
	if err != nil {
		return time.Time{}
	}
	var object map[string]any
	if json.Unmarshal(text, &object) != nil {
		return time.Time{}
	}
	seconds, ok := object[member].(float64)
	if !ok || seconds <= 0 || seconds > 1<<40 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}

// withoutTokens removes the tokens from what was quoted from a file.
func withoutTokens(text string) string { return string(redact.Tokens([]byte(text))) }

// withoutPassword is the address as it may be shown.
func withoutPassword(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return withoutTokens(address)
	}
	u.User = url.User(u.User.Username())
	return withoutTokens(u.String())
}
