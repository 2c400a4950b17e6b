package login

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"

	"github.com/gatehouse-registry/gatehouse/authtoken"
)

// recordToken returns what a token is recognised by; nil for the zero Token.
func recordToken(t authtoken.Token) *recordedToken {
	if t.Password == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(t.Password))
	return &recordedToken{Username: t.Username, Type: t.Type, Expires: t.Expires, Length: len(t.Password), SHA256: sum[:]}
}

// token is the token with a password that was found.
func (h *recordedToken) token(password string) authtoken.Token {
	t := authtoken.Token{Username: h.Username, Type: h.Type, Expires: h.Expires, Password: password, Value: password}
	if h.Type == "Basic" {
		t.Value = base64.StdEncoding.EncodeToString([]byte(h.Username + ":" + password))
	}
	return t
}

// placeholder stands for a token that cannot be found, if the edits are only
// made to be removed. Their Remove does not depend on the token.
func (h *recordedToken) placeholder() authtoken.Token {
	if h == nil {
		return authtoken.Token{}
	}
	return h.token("unknown")
}

// find finds the token in a text. The record does not have the tokens of other
// logins, so the text is the only source for them. They are needed to write the
// file again without the changes of one login.
//
// The search starts at word boundaries: at the beginning of a run of characters
// that tokens consist of (RFC 6750, section 2.1), and after the characters that
// end a name.
func (h *recordedToken) find(text []byte) (authtoken.Token, bool) {
	for word := range strings.FieldsFuncSeq(string(text), func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._~+/=", r))
	}) {
		for start := 0; start+h.Length <= len(word); start++ {
			if start > 0 && !strings.ContainsRune("=/", rune(word[start-1])) {
				continue
			}
			password := word[start : start+h.Length]
			if sum := sha256.Sum256([]byte(password)); subtle.ConstantTimeCompare(sum[:], h.SHA256) == 1 {
				return h.token(password), true
			}
		}
	}
	return authtoken.Token{}, false
}

// encodings returns the forms in which a token may be written to a file.
func encodings(t authtoken.Token) []string {
	if t.Password == "" {
		return nil
	}
	pair := t.Username + ":" + t.Password
	return []string{
		t.Password, t.Value,
		base64.StdEncoding.EncodeToString([]byte(pair)), base64.RawStdEncoding.EncodeToString([]byte(pair)), base64.URLEncoding.EncodeToString([]byte(pair)),
		base64.StdEncoding.EncodeToString([]byte(t.Password)), base64.RawStdEncoding.EncodeToString([]byte(t.Password)),
	}
}
