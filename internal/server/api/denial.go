package api

import (
	"errors"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// A MessageSealer seals messages for an account. It is *token.Keyring.
type MessageSealer interface {
	SealMessage(account string, message []byte) (string, error)
}

// explained adds to a denial how it was decided, as an encoded message. Only callers
// in the account who may call sts:DecodeAuthorizationMessage can read it (STS API
// Reference, DecodeAuthorizationMessage). A denial that the domain left without a
// reason on purpose does not change.
func (m *Middleware) explained(err error) error {
	var refusal *authz.Denial
	var f *fault.Error
	if m.Messages == nil || !errors.As(err, &f) || f.Kind != fault.Denied || !errors.As(err, &refusal) {
		return err
	}
	document := refusal.Document(token.MaxMessage)
	if document == nil {
		return err
	}
	sealed, sealErr := m.Messages.SealMessage(refusal.Caller.Account, document)
	if sealErr != nil {
		return err
	}
	told := *f
	told.Message = strings.TrimSuffix(f.Message, ".") + ". Encoded authorization failure message: " + sealed
	return &told
}
