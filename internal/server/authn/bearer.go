package authn

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// Bearer returns the caller who sends a bearer token of the purpose. The token
// stands in the Authorization header in one of three ways, all of which clients
// use: "Bearer TOKEN", "Basic" with the token as the password, or as it is. The user
// of Basic credentials is any spelling of "AWS" for the container registry (ECR User
// Guide). For packages it may be anything: build tools have users of their own there,
// and only the token says who the caller is.
//
// Errors are faults: MissingAuthenticationToken; ExpiredToken; InvalidToken for
// a header that cannot be read, a token of another purpose, and one that was
// revoked with its identity or its access key; InvalidLogin for another user at a
// container registry, such as the id of an access key; ServiceUnavailable, as
// [Directory] has it.
func (a *Authenticator) Bearer(r *http.Request, purpose token.Purpose) (*Caller, error) {
	if err := a.directory.Ready(); err != nil {
		return nil, err
	}
	text, err := bearerToken(r.Header["Authorization"], purpose)
	if err != nil {
		return nil, err
	}
	// One allocation for all three.
	b := new(struct {
		caller    Caller
		principal Principal
		claims    token.Claims
	})
	if b.claims, err = a.keyring.Open(purpose, text); err != nil {
		return nil, err
	}
	if err := a.identify(r.Context(), &b.principal, &b.claims); err != nil {
		return nil, err
	}
	b.principal.IssuedAt, b.principal.ExpiresAt = b.claims.SessionIssued, b.claims.SessionExpires
	b.caller.Principal, b.caller.Token, b.caller.Region = &b.principal, &b.claims, b.claims.Region
	b.caller.connection(r, a.now())
	return &b.caller, nil
}

// bearerToken finds the token in the values of the Authorization header.
func bearerToken(values []string, purpose token.Purpose) (string, error) {
	if len(values) == 0 || len(values) == 1 && values[0] == "" {
		return "", fault.New(fault.Unauthenticated, "MissingAuthenticationToken", "The request has no authorization token. Log in first.")
	}
	if len(values) > 1 {
		return "", unreadable("there is more than one Authorization header")
	}
	scheme, credentials, found := strings.Cut(values[0], " ")
	switch {
	case !found:
		return scheme, nil
	case strings.EqualFold(scheme, "Bearer"):
		return strings.TrimLeft(credentials, " "), nil
	case strings.EqualFold(scheme, "Basic"):
		return basicPassword(strings.TrimLeft(credentials, " "), purpose)
	}
	return "", unreadable("the scheme is neither Basic nor Bearer")
}

// basicUser is the user of Basic credentials for the container registry. Clients spell
// it in both cases.
const basicUser = "aws"

// maxUser bounds the user of Basic credentials, in bytes.
const maxUser = 64

// maxBasic bounds what is decoded: the user, the colon and the longest token.
const maxBasic = maxUser + 1 + token.MaxLength

// basicPassword decodes Basic credentials (RFC 7617).
func basicPassword(encoded string, purpose token.Purpose) (string, error) {
	if base64.StdEncoding.DecodedLen(len(encoded)) > maxBasic+2 { // +2: padding
		return "", unreadable("the Basic credentials are longer than any token")
	}
	var source [(maxBasic + 2 + 2) / 3 * 4]byte
	var decoded [maxBasic + 2]byte
	n, err := base64.StdEncoding.Decode(decoded[:], source[:copy(source[:], encoded)])
	if err != nil {
		return "", unreadable("the Basic credentials are not base64")
	}
	user, password, ok := bytes.Cut(decoded[:n], []byte(":"))
	switch {
	case !ok:
		return "", unreadable("the Basic credentials have no password")
	case purpose != token.CodeArtifact && !strings.EqualFold(string(user), basicUser):
		return "", wrongUser(string(user))
	}
	return string(password), nil
}

// wrongUser is the fault InvalidLogin. Its message says how to log in, and neither the user
// nor the password.
func wrongUser(user string) error {
	why := "The user name of a login to a container registry is AWS."
	if strings.HasPrefix(user, "AKIA") || strings.HasPrefix(user, "ASIA") {
		why = "A login to a container registry is not made with an access key. The user name is AWS, and the password is a token."
	}
	return fault.New(fault.Unauthenticated, "InvalidLogin", "%s Log in with: aws ecr get-login-password | docker login --username AWS --password-stdin REGISTRY", why)
}

func unreadable(why string) error {
	return fault.New(fault.Unauthenticated, "InvalidToken", "The Authorization header is not valid: %s. Log in again.", why)
}
