package webidentity

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// skew is how far the issuer's clock and ours may be apart.
const skew = time.Minute

// maxSubject is the length of a subject (OpenID Connect Core 1.0, 2: sub).
const maxSubject = 255

// The claims by which an issuer asks for more than a session (IAM User Guide,
// "Pass session tags in AWS STS" and "Monitor and control actions taken with
// assumed roles"). Tags are one object, or flat: one claim for each tag.
const (
	tagsClaim           = "https://aws.amazon.com/tags"
	flatTagPrefix       = tagsClaim + "/principal_tags/"
	flatTransitiveClaim = tagsClaim + "/transitive_tag_keys"
	sourceIdentityClaim = "https://aws.amazon.com/source_identity"
)

// claims are a token's, as they are written.
type claims map[string]jsontext.Value

// parseClaims reads a payload. A claim that is there twice is an error: others
// may have looked at the other one.
func parseClaims(payload []byte) (claims, error) {
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil || c == nil {
		return nil, invalidToken("The token's payload is not a JSON object.")
	}
	return c, nil
}

// text returns a claim that is a text.
func (c claims) text(name string) (string, bool) {
	var s string
	v, ok := c[name]
	return s, ok && v.Kind() == '"' && json.Unmarshal(v, &s) == nil
}

// texts returns a claim that is a text or a list of texts.
func (c claims) texts(name string) ([]string, bool) { return textsOf(c[name]) }

func textsOf(v jsontext.Value) ([]string, bool) {
	switch v.Kind() {
	case '"':
		var s string
		err := json.Unmarshal(v, &s)
		return []string{s}, err == nil
	case '[':
		var raw []jsontext.Value
		if json.Unmarshal(v, &raw) != nil {
			return nil, false
		}
		list := make([]string, len(raw))
		for i, e := range raw {
			if e.Kind() != '"' || json.Unmarshal(e, &list[i]) != nil {
				return nil, false // null is not a string
			}
		}
		return list, true
	}
	return nil, false
}

// date returns a NumericDate (RFC 7519, 2), and whether the claim is there. The
// fault is InvalidIdentityToken.
func (c claims) date(name string) (time.Time, bool, error) {
	v, ok := c[name]
	if !ok {
		return time.Time{}, false, nil
	}
	var seconds float64
	if v.Kind() != '0' || json.Unmarshal(v, &seconds) != nil || seconds < 0 || seconds > 1<<40 {
		return time.Time{}, false, invalidToken("The claim %s is not a number of seconds since 1970.", name)
	}
	return time.Unix(int64(seconds), 0), true, nil
}

// identity checks the claims of a token that the provider's issuer signed.
func (c claims) identity(p Provider, now time.Time) (*Identity, error) {
	id := &Identity{Issuer: p.Issuer}
	var err error
	if id.Expires, err = c.checkTime(now); err != nil {
		return nil, err
	}
	if id.Subject, err = c.subject(); err != nil {
		return nil, err
	}
	aud, ok := c.texts("aud")
	if !ok || len(aud) == 0 {
		return nil, invalidToken("Missing a required claim: aud")
	}
	if id.Audience, err = c.audience(p, aud); err != nil {
		return nil, err
	}
	id.Claims = c.conditionKeys(id, aud)
	if err := c.sessionTags(id); err != nil {
		return nil, err
	}
	if _, ok := c[sourceIdentityClaim]; ok {
		if id.SourceIdentity, ok = c.text(sourceIdentityClaim); !ok || id.SourceIdentity == "" {
			return nil, rejected("The claim %s is not a text.", sourceIdentityClaim)
		}
	}
	return id, nil
}

// checkTime returns when the token expires.
func (c claims) checkTime(now time.Time) (exp time.Time, err error) {
	exp, ok, err := c.date("exp")
	switch {
	case err != nil:
		return exp, err
	case !ok:
		return exp, invalidToken("Missing a required claim: exp")
	case !now.Before(exp.Add(skew)):
		return exp, fault.New(fault.Expired, "ExpiredWebIdentityToken", "Token expired: current date/time %d must be before the expiration date/time %d", now.Unix(), exp.Unix())
	}
	issued, ok, err := c.date("iat")
	switch {
	case err != nil:
		return exp, err
	case !ok:
		return exp, invalidToken("Missing a required claim: iat")
	case issued.After(now.Add(skew)):
		return exp, rejected("The token was issued in the future (iat is %d, and it is %d): do the clocks agree?", issued.Unix(), now.Unix())
	}
	notBefore, _, err := c.date("nbf")
	switch {
	case err != nil:
		return exp, err
	case notBefore.After(now.Add(skew)):
		return exp, rejected("The token is not good yet (nbf is %d, and it is %d).", notBefore.Unix(), now.Unix())
	}
	return exp, nil
}

func (c claims) subject() (string, error) {
	sub, ok := c.text("sub")
	switch {
	case !ok || sub == "":
		return "", invalidToken("Missing a required claim: sub")
	case len([]rune(sub)) > maxSubject || strings.ContainsFunc(sub, unicode.IsControl):
		return "", invalidToken("The claim sub has more than %d characters, or some that cannot be shown.", maxSubject)
	}
	return sub, nil
}

// audience returns the client id that the token is for. If it has azp, that
// is the party to which it was issued, and the one that must be known; aud is
// then whoever that party talks to.
func (c claims) audience(p Provider, aud []string) (string, error) {
	if _, ok := c["azp"]; ok {
		azp, ok := c.text("azp")
		if !ok || !slices.Contains(p.ClientIDs, azp) {
			return "", invalidToken("Incorrect token audience: azp %s is not a client id of the provider.", shorten(azp))
		}
		return azp, nil
	}
	for _, a := range aud {
		if slices.Contains(p.ClientIDs, a) {
			return a, nil
		}
	}
	return "", invalidToken("Incorrect token audience: %s is not a client id of the provider.", shorten(strings.Join(aud, ", ")))
}

// conditionKeys are the claims that conditions can ask for. Of claims whose names
// differ only in case, which a condition cannot tell apart, all values count.
func (c claims) conditionKeys(id *Identity, aud []string) map[string][]string {
	keys := make(map[string][]string, len(c)+1)
	for name := range c {
		if values, ok := c.texts(name); ok && !strings.HasPrefix(name, "https://aws.amazon.com/") && !beginsWithPort(name) {
			key := strings.ToLower(name)
			keys[key] = append(keys[key], values...)
		}
	}
	delete(keys, "oaud")
	keys["sub"], keys["aud"] = []string{id.Subject}, aud
	if _, ok := c["azp"]; ok {
		keys["aud"], keys["oaud"] = []string{id.Audience}, aud
	}
	return keys
}

// beginsWithPort reports whether a claim's key could be another issuer's: with
// ISSUER before it, 8443:sub is the claim sub of ISSUER:8443.
func beginsWithPort(name string) bool {
	port, _, ok := strings.Cut(name, ":")
	return ok && port != "" && strings.Trim(port, "0123456789") == ""
}

func (c claims) sessionTags(id *Identity) error {
	tags := map[string]jsontext.Value{}
	if v, ok := c[tagsClaim]; ok {
		var nested struct {
			Principal  map[string]jsontext.Value `json:"principal_tags"`
			Transitive jsontext.Value            `json:"transitive_tag_keys"`
		}
		if v.Kind() != '{' || json.Unmarshal(v, &nested) != nil {
			return rejected("The claim %s is not an object with principal_tags.", tagsClaim)
		}
		for key, value := range nested.Principal {
			tags[key] = value
		}
		if nested.Transitive != nil {
			if id.TransitiveTagKeys, ok = textsOf(nested.Transitive); !ok {
				return rejected("transitive_tag_keys in the claim %s is not a list of texts.", tagsClaim)
			}
		}
	}
	for name, value := range c {
		if key, ok := strings.CutPrefix(name, flatTagPrefix); ok {
			if _, twice := tags[key]; twice {
				return rejected("The session tag %s is claimed twice.", shorten(key))
			}
			tags[key] = value
		}
	}
	if v, ok := c[flatTransitiveClaim]; ok {
		keys, ok := textsOf(v)
		if !ok {
			return rejected("The claim %s is not a list of texts.", flatTransitiveClaim)
		}
		id.TransitiveTagKeys = append(id.TransitiveTagKeys, keys...)
	}
	for key, value := range tags {
		values, ok := textsOf(value)
		if !ok || len(values) != 1 {
			return rejected("The session tag %s does not have exactly one text as its value.", shorten(key))
		}
		if id.Tags == nil {
			id.Tags = make(map[string]string, len(tags))
		}
		id.Tags[key] = values[0]
	}
	return nil
}
