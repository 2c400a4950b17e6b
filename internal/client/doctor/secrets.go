package doctor

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// A held token is one that stands in a file.
type held struct {
	password string
	// expires is when it ends, where the token itself says so.
	expires time.Time
}

// The forms of tokens in files:
//
//   - Gatehouse's own, which say nothing to anybody but their issuer;
//   - CodeArtifact's at AWS, an encrypted token in the compact form of RFC 7516
//     whose header is readable;
//   - what docker keeps for a registry, base64 of user name and password, where
//     ECR's password at AWS is base64 of a JSON object with its expiry.
var (
	gatehouseToken = regexp.MustCompile(`gh[ce]t_[A-Za-z0-9_-]{20,}`)
	compactToken   = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{16,}(?:\.[A-Za-z0-9_-]*){4}`)
	dockerAuth     = regexp.MustCompile(`QVdTO[A-Za-z0-9+/]{16,}={0,2}`)
)

// findHeld finds the tokens that a text holds.
func findHeld(text []byte) []held {
	var found []held
	for _, t := range gatehouseToken.FindAllString(string(text), -1) {
		found = append(found, held{password: t})
	}
	for _, t := range compactToken.FindAllString(string(text), -1) {
		header, _, _ := strings.Cut(t, ".")
		found = append(found, held{password: t, expires: expiry(header, base64.RawURLEncoding, "exp")})
	}
	for _, t := range dockerAuth.FindAllString(string(text), -1) {
		pair, err := base64.StdEncoding.DecodeString(t)
		if err != nil {
			continue
		}
		if _, password, ok := strings.Cut(string(pair), ":"); ok {
			found = append(found, held{password: password, expires: expiry(password, base64.StdEncoding, "expiration")})
		}
	}
	return found
}

// expiry reads a member of an encoded JSON object that is a time in seconds since
// 1970; the zero Time where there is none.
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

// redact takes tokens out of what was quoted from a file.
func redact(text string) string {
	for _, form := range []*regexp.Regexp{gatehouseToken, compactToken, dockerAuth} {
		text = form.ReplaceAllString(text, "…")
	}
	return text
}

// withoutPassword is the address as it may be shown.
func withoutPassword(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return redact(address)
	}
	u.User = url.User(u.User.Username())
	return redact(u.String())
}
