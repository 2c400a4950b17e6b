package token

import "time"

// A Purpose is what a token opens. A token of one purpose opens nothing else:
// each has a subkey of its own, and the purpose is authenticated with it.
type Purpose uint8

// The purposes. Their numbers are part of the format.
const (
	// Session is the session token of temporary AWS credentials.
	Session Purpose = 1
	// CodeArtifact opens the package endpoints of one domain.
	CodeArtifact Purpose = 2
	// ECR opens every registry that its principal may reach.
	ECR Purpose = 3

	purposes = 4 // the numbers end before this one; 0 is none
)

func (p Purpose) valid() bool { return p > 0 && p < purposes }

// prefix begins every token of the purpose. All have the same length.
func (p Purpose) prefix() string {
	switch p {
	case Session:
		return "ghst_"
	case CodeArtifact:
		return "ghct_"
	default:
		return "ghet_"
	}
}

// String names a token of the purpose in a sentence.
func (p Purpose) String() string {
	switch p {
	case Session:
		return "session token"
	case CodeArtifact:
		return "CodeArtifact authorization token"
	case ECR:
		return "ECR authorization token"
	default:
		return "unknown token"
	}
}

// renew says how to get a new one.
func (p Purpose) renew() string {
	switch p {
	case Session:
		return "Get new temporary credentials with sts:AssumeRole or sts:GetSessionToken."
	case CodeArtifact:
		return "Get a new one with 'aws codeartifact login' or 'aws codeartifact get-authorization-token'."
	default:
		return "Get a new one with 'aws ecr get-login-password'."
	}
}

// Claims is what a token says: who obtained it, how, and for how long. What its
// bearer may do is not in it; that is decided at each request.
//
// A text has at most 255 bytes, and the longest that the services allow of all
// of them together fit into a token.
type Claims struct {
	// ID identifies the token in logs and revocations: for a session its access
	// key id ASIA…, for a bearer token one that begins with ABIA.
	ID string
	// Account is the principal's account: 12 digits.
	Account string
	// PrincipalID is the unique id of the user (AIDA…) or role (AROA…), or the
	// account's id for root.
	PrincipalID string
	// SessionName is a role session's or a federated user's name.
	SessionName string
	// SessionID names the stored record of session policies, tags and source
	// identity; empty if the session has none of them.
	SessionID string
	// AccessKeyID is the key that signed the call which issued this token. When
	// it is taken away or deactivated, the token is closed too.
	AccessKeyID string
	// SessionIssued and SessionExpires are those of the temporary credentials
	// that signed the call which issued a bearer token; zero otherwise.
	SessionIssued, SessionExpires time.Time
	// Issued and Expires bound the token itself, to the second. It is good
	// before Expires, and no more at it.
	Issued, Expires time.Time
	// Region is the one that the token is good for.
	Region string
	// Domain and DomainOwner scope a CodeArtifact token.
	Domain, DomainOwner string
}

// texts and times are the fields in the order of the payload, which is part of
// the format: the times as [timeSize] bytes each, then the texts with their
// length before them.
func (c *Claims) texts() [9]*string {
	return [...]*string{
		&c.ID, &c.Account, &c.PrincipalID, &c.SessionName, &c.SessionID, &c.AccessKeyID,
		&c.Region, &c.Domain, &c.DomainOwner,
	}
}

func (c *Claims) times() [4]*time.Time {
	return [...]*time.Time{&c.Issued, &c.Expires, &c.SessionIssued, &c.SessionExpires}
}

// timeSize bytes hold the seconds since 1970 until the year 36812. Zero is no
// time.
const timeSize = 5

// append appends the payload, at most maxPayload bytes, to b.
func (c *Claims) append(b []byte) ([]byte, error) {
	limit := len(b) + maxPayload
	if c.Expires.IsZero() || c.Expires.Before(c.Issued) {
		return nil, errNoExpiry
	}
	for _, t := range c.times() {
		var s int64
		if !t.IsZero() {
			if s = t.Unix(); s <= 0 || s >= 1<<(8*timeSize) {
				return nil, errTime
			}
		}
		b = append(b, byte(s>>32), byte(s>>24), byte(s>>16), byte(s>>8), byte(s))
	}
	for _, text := range c.texts() {
		if len(*text) > 255 || len(b)+1+len(*text) > limit {
			return nil, errTooLong
		}
		b = append(append(b, byte(len(*text))), *text...)
	}
	return b, nil
}

// parseClaims is the inverse of append. It takes nothing that append does not
// make.
func parseClaims(s string) (Claims, bool) {
	var c Claims
	for _, t := range c.times() {
		if len(s) < timeSize {
			return Claims{}, false
		}
		if sec := int64(s[0])<<32 | int64(s[1])<<24 | int64(s[2])<<16 | int64(s[3])<<8 | int64(s[4]); sec != 0 {
			*t = time.Unix(sec, 0).UTC()
		}
		s = s[timeSize:]
	}
	for _, text := range c.texts() {
		if s == "" || len(s)-1 < int(s[0]) {
			return Claims{}, false
		}
		end := 1 + int(s[0])
		*text, s = s[1:end], s[end:]
	}
	return c, s == "" && !c.Expires.IsZero()
}
