// Package api is what the edges of the AWS APIs share: every request is
// authenticated by its signature before it is decoded, and becomes an audit
// entry. One package below is one service; each holds one Go method an
// operation, with the signature of the SDK's client.
package api

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
)

// unsigned are the operations that take no signature, since their callers have no
// credentials yet: the token in the request is what they have, and the domain
// proves it (STS API Reference, AssumeRoleWithWebIdentity and AssumeRoleWithSAML).
// Nothing else gets past [Shell.Options] without one.
var unsigned = map[[2]string]bool{
	{"sts", "AssumeRoleWithWebIdentity"}: true,
	{"sts", "AssumeRoleWithSAML"}:        true,
}

// A Shell stands around the operations of every service.
type Shell struct {
	Authn authn.SignatureAuthenticator
	// Messages seals what is told about a denial to those who may decode it; nil
	// tells nothing.
	Messages MessageSealer
	Log      *slog.Logger
}

// Options are those of a service, whose errors mapError puts into its words.
func (s *Shell) Options(service string, mapError func(error) error) wire.Options {
	return wire.Options{
		Authenticate: func(r *http.Request, operation string, body []byte) (context.Context, error) {
			ctx := r.Context()
			e := audit.From(ctx)
			e.Operation(service, operation)
			if unsigned[[2]string{service, operation}] {
				c, err := s.Authn.Unsigned(r)
				if err != nil {
					return ctx, err
				}
				return authn.WithCaller(ctx, c), nil
			}
			c, err := s.Authn.Signed(r, service, body)
			if err != nil {
				return ctx, err
			}
			e.Caller(c)
			return authn.WithCaller(ctx, c), nil
		},
		Admit: func(r *http.Request, operation string) error {
			audit.From(r.Context()).Operation(service, operation)
			return s.Authn.PrecheckSigned(r, service)
		},
		Intercept: func(ctx context.Context, _ string, in any, next func(context.Context) (any, error)) (any, error) {
			audit.From(ctx).Params(params(in))
			out, err := next(ctx)
			return out, s.explained(err)
		},
		MapError: mapError,
		Failed:   s.failed,
		RequestID: func(r *http.Request) string {
			if e := audit.From(r.Context()); e != nil {
				return e.ID
			}
			return ""
		},
	}
}

// failed records what the client is told, and logs what it is not: the cause of
// an error that is ours.
func (s *Shell) failed(ctx context.Context, err error, told wire.Error) {
	e := audit.From(ctx)
	e.Failed(told.Code, told.Message)
	if told.Status < http.StatusInternalServerError || told.Status == http.StatusNotImplemented {
		return
	}
	id := ""
	if e != nil {
		id = e.ID
	}
	s.Log.ErrorContext(ctx, "operation failed", "request", id, "error", err)
}
