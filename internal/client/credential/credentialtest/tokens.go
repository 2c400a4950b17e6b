// Package credentialtest has a source of tokens for the tests of the credential
// protocols.
package credentialtest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
)

// Expires is when the token of [Tokens] expires.
var Expires = time.Date(2026, 12, 24, 18, 0, 0, 0, time.UTC)

// ErrDenied is the answer for addresses that contain "denied".
var ErrDenied = errors.New("not permitted")

// Tokens has one token, for every address that contains "gate". Other addresses get
// [credential.ErrNotOurs].
type Tokens struct{ Forgotten []string }

// Token returns the token.
func (*Tokens) Token(_ context.Context, address string) (authtoken.Token, error) {
	switch {
	case strings.Contains(address, "denied"):
		return authtoken.Token{}, ErrDenied
	case strings.Contains(address, "gate"):
		return authtoken.Token{Username: "aws", Password: "secret", Value: "secret", Type: "Bearer", Expires: Expires}, nil
	}
	return authtoken.Token{}, credential.ErrNotOurs
}

// Registry is Token.
func (t *Tokens) Registry(ctx context.Context, address string) (authtoken.Token, error) {
	return t.Token(ctx, address)
}

// Packages is Token.
func (t *Tokens) Packages(ctx context.Context, address string) (authtoken.Token, error) {
	return t.Token(ctx, address)
}

// Forget records the address. It fails for addresses that contain "denied".
func (t *Tokens) Forget(_ context.Context, address string) error {
	t.Forgotten = append(t.Forgotten, address)
	if strings.Contains(address, "denied") {
		return ErrDenied
	}
	return nil
}
