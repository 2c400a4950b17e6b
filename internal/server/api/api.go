// Package api has what the handlers of the AWS APIs share. [Middleware] connects an
// AWS service to package wire: it authenticates each request by its signature before
// the request is decoded, records it in the audit entry, and explains denials.
//
// Each package below serves one service (ecrapi, codeartifactapi, iamapi, stsapi). It
// has one Go method per operation, with the signature of the SDK's client, which
// calls the domain. To add an operation, add its method there and register it.
// Handlers do not authorize: the domain does. They import neither each other nor a
// store.
package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/respwriter"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/bodybudget"
)

// unsigned are the operations that take no signature. Their callers have no
// credentials yet, but a token in the request, which the domain verifies (STS API
// Reference, AssumeRoleWithWebIdentity and AssumeRoleWithSAML). Every other operation
// needs a signature.
var unsigned = map[[2]string]bool{
	{"sts", "AssumeRoleWithWebIdentity"}: true,
	{"sts", "AssumeRoleWithSAML"}:        true,
}

// Middleware surrounds the operations of every service.
type Middleware struct {
	Authn authn.SignatureAuthenticator
	// Messages seals the encoded explanation of a denial. If it is nil, denials have
	// none.
	Messages MessageSealer
	// Bodies bounds the memory of bodies. If it is nil, there is no bound.
	Bodies *bodybudget.Budget
	Log    *slog.Logger
}

// Options returns the options of a service. mapError turns errors into those that the
// service has.
func (m *Middleware) Options(service string, mapError func(error) error) wire.Options {
	return wire.Options{
		Authenticate: func(r *http.Request, operation string, body []byte) (context.Context, error) {
			ctx := r.Context()
			e := audit.From(ctx)
			e.Operation(service, operation)
			if unsigned[[2]string{service, operation}] {
				c, err := m.Authn.Unsigned(r)
				if err != nil {
					return ctx, clientLeft(ctx, err)
				}
				return authn.WithCaller(ctx, c), nil
			}
			c, err := m.Authn.Signed(r, service, body)
			if err != nil {
				return ctx, clientLeft(ctx, err)
			}
			e.Caller(c)
			return authn.WithCaller(ctx, c), nil
		},
		Precheck: func(r *http.Request, operation string) error {
			audit.From(r.Context()).Operation(service, operation)
			return m.Authn.PrecheckSigned(r, service)
		},
		Buffer: func(r *http.Request) (io.Reader, func()) {
			b := m.Bodies.Reader(r, r.Body, bodyWeight)
			return bufferErrors{b}, b.Release
		},
		Intercept: func(ctx context.Context, _ string, in any, next func(context.Context) (any, error)) (any, error) {
			audit.From(ctx).Params(params(in))
			out, err := next(ctx)
			return out, clientLeft(ctx, m.explained(err))
		},
		MapError: mapError,
		Failed:   m.failed,
		RequestID: func(r *http.Request) string {
			if e := audit.From(r.Context()); e != nil {
				return e.ID
			}
			return ""
		},
	}
}

// bodyWeight is the memory that a byte of a body takes: in the buffer, which doubles
// as it grows, and in the decoded input.
const bodyWeight = 2

// bufferErrors tells the errors of the budget from those of the body.
type bufferErrors struct{ io.Reader }

func (b bufferErrors) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if f := (*fault.Error)(nil); errors.As(err, &f) {
		err = &wire.BufferError{Err: err}
	}
	return n, err
}

// clientLeft replaces an error that is due to the client's leaving. No service has a
// code for it: only logs, metrics and audit records show it.
func clientLeft(ctx context.Context, err error) error {
	if respwriter.ClientLeft(ctx, err) {
		return &wire.Error{Code: "RequestCancelled", Message: "The client closed the connection.", Status: respwriter.StatusClientLeft}
	}
	return err
}

// failed records what the client is told. It logs the cause of a server error, which
// the client is not told.
func (m *Middleware) failed(ctx context.Context, err error, told wire.Error) {
	e := audit.From(ctx)
	e.Failed(told.Code, told.Message)
	if told.Status < http.StatusInternalServerError || told.Status == http.StatusNotImplemented {
		return
	}
	id := ""
	if e != nil {
		id = e.ID
	}
	m.Log.ErrorContext(ctx, "operation failed", "request", id, "error", err)
}
