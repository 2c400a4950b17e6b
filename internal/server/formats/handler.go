package formats

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// A Door speaks the protocol of one package format.
type Door interface {
	// Serve answers a request. It returns an error only before it has written
	// anything of an answer.
	Serve(w http.ResponseWriter, r *Request) error
	// Refuse writes an error in the format's own form. The challenge of a 401
	// is in the header already.
	Refuse(w http.ResponseWriter, r *Request, status int, e *fault.Error)
	// LoginTool is the --tool of `aws codeartifact login` that gets the client
	// of such a request a new token.
	LoginTool(r *http.Request) string
}

// A Request is one request to a door. The embedded request's context carries the
// caller.
type Request struct {
	*http.Request
	Endpoint
	// Base is the address of the endpoint as the client knows it, with scheme
	// and host, ending in "/". Addresses in documents begin with it: clients
	// send their token to no other host.
	Base string
	// Rest is the path below the endpoint, without a leading "/", still escaped.
	Rest string
}

// Operation tells the audit what the request does, by the name of the AWS action
// of CodeArtifact that does the same, and to which package.
func (r *Request) Operation(name string, id packages.PackageID, version string) {
	e := audit.From(r.Context())
	e.Operation("codeartifact", name)
	params := r.params()
	params["package"] = id.Name
	if id.Namespace != "" {
		params["namespace"] = id.Namespace
	}
	if version != "" {
		params["packageVersion"] = version
	}
	e.Params(params)
	e.Resource("", r.Repository.PackageARN(id))
}

func (r *Request) params() map[string]string {
	d := r.Repository.Domain
	return map[string]string{
		"domainName": d.Name, "domainOwner": d.Owner, "repositoryName": r.Repository.Name, "packageFormat": string(r.Format),
	}
}

// An Authenticator opens the bearer token of a request.
type Authenticator interface {
	Bearer(r *http.Request, purpose token.Purpose) (*authn.Caller, error)
}

// Config is what a [Handler] is made of. All but Origin are needed.
type Config struct {
	Authenticator Authenticator
	// Hosts knows the AWS-shaped hosts.
	Hosts Hosts
	// Doors are the formats that are served.
	Doors map[packages.Format]Door
	// Origin is scheme://host[:port] of the server as the client of the request
	// knows it. Nil is [RequestOrigin].
	Origin func(*http.Request) string
	// Log gets the causes of internal errors, which clients are not told.
	Log *slog.Logger
}

// RequestOrigin is the origin to which the request itself was sent: the right
// one wherever no proxy ends TLS on the way.
func RequestOrigin(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// A Handler serves every package endpoint: below [Prefix] on any host, and at
// the root of AWS-shaped hosts.
type Handler struct{ c Config }

// New returns the handler.
func New(c Config) *Handler {
	if c.Origin == nil {
		c.Origin = RequestOrigin
	}
	return &Handler{c}
}

// ServeHTTP answers 404 in plain text for a path that names no endpoint.
// Otherwise it authenticates first, whatever is asked for.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req, ok := h.parse(r)
	if !ok {
		http.Error(w, "This is not the address of a package endpoint. It looks like "+Prefix+"REGION/OWNER/DOMAIN/FORMAT/REPOSITORY/; GetRepositoryEndpoint tells it.", http.StatusNotFound)
		return
	}
	door, ok := h.c.Doors[req.Format]
	if !ok {
		http.Error(w, fmt.Sprintf("Package endpoints of the format %q are not served here.", req.Format), http.StatusNotFound)
		return
	}
	entry := audit.From(r.Context())
	entry.Operation("codeartifact", defaultOperation(r.Method))
	entry.Params(req.params())
	entry.Resource("AWS::CodeArtifact::Repository", req.Repository.ARN())

	caller, err := h.c.Authenticator.Bearer(r, token.CodeArtifact)
	if err == nil {
		entry.Caller(caller)
		err = checkScope(caller.Token, req.Repository.Domain)
	}
	if err != nil {
		h.refuse(w, req, door, err)
		return
	}
	req.Request = r.WithContext(authn.WithCaller(r.Context(), caller))
	if err := door.Serve(w, req); err != nil {
		h.refuse(w, req, door, err)
	}
}

// defaultOperation is what the audit calls a request until its door says more.
func defaultOperation(method string) string {
	if method == http.MethodGet || method == http.MethodHead {
		return "ReadFromRepository"
	}
	return "PublishPackageVersion"
}

func (h *Handler) parse(r *http.Request) (*Request, bool) {
	path := r.URL.EscapedPath()
	var (
		e            Endpoint
		prefix, rest string
		ok           bool
	)
	if d, isHost := h.c.Hosts.ParseDomainHost(r.Host); isHost {
		e, prefix, rest, ok = ParseHostPath(d, path)
	}
	if !ok {
		e, prefix, rest, ok = ParsePath(path)
	}
	return &Request{Request: r, Endpoint: e, Base: h.c.Origin(r) + prefix, Rest: rest}, ok
}

// checkScope refuses a token that was issued for another domain: "The token works
// for one domain" (CodeArtifact User Guide, "Tokens created with the
// GetAuthorizationToken API").
func checkScope(c *token.Claims, d packages.DomainID) error {
	if c == nil {
		return fault.New(fault.Unauthenticated, "InvalidToken", "Authenticate with the token of codeartifact:GetAuthorizationToken.")
	}
	if c.Domain == d.Name && c.DomainOwner == d.Owner && c.Region == d.Region {
		return nil
	}
	return fault.New(fault.Denied, "AccessDenied",
		"The authorization token is for the domain %s of account %s in %s, and this is the domain %s of account %s in %s. Get a token for this domain.",
		c.Domain, c.DomainOwner, c.Region, d.Name, d.Owner, d.Region)
}

// maxDrain is how much of an unread body is read after a refusal, in bytes.
// Clients such as npm send a body whole before they look at the answer, and
// report a broken pipe in place of it when the server does not listen.
const maxDrain = 16 << 20

func (h *Handler) refuse(w http.ResponseWriter, r *Request, door Door, err error) {
	if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		return // the client is gone
	}
	e := fault.From(err)
	status := Status(e.Kind)
	switch e.Kind {
	case fault.Internal:
		h.c.Log.ErrorContext(r.Context(), "package endpoint failed", "endpoint", r.Path(), "error", err)
	case fault.Unauthenticated, fault.Expired:
		e = h.challenge(w, r, door, e)
	case fault.Throttled:
		w.Header().Set("Retry-After", "1")
	}
	audit.From(r.Context()).Failed(e.Code, e.Message)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.CopyN(io.Discard, r.Body, maxDrain)
	door.Refuse(w, r, status, e)
}

// challenge sets WWW-Authenticate as CodeArtifact does. A client that sent a
// token gets the reason there as well (RFC 6750, section 3): npm shows a user
// that header, and nothing else of a 401. The error returned says how to go on.
func (h *Handler) challenge(w http.ResponseWriter, r *Request, door Door, e *fault.Error) *fault.Error {
	d := r.Repository.Domain
	told := *e
	told.Message = fmt.Sprintf("%s For this repository: aws codeartifact login --tool %s --domain %s --domain-owner %s --repository %s --region %s",
		e.Message, door.LoginTool(r.Request), d.Name, d.Owner, r.Repository.Name, d.Region)
	bearer := fmt.Sprintf("Bearer realm=%q", r.Realm())
	if r.Header.Get("Authorization") != "" {
		bearer += fmt.Sprintf(`, error="invalid_token", error_description="%s"`, headerText(told.Message))
	}
	w.Header().Set("WWW-Authenticate", fmt.Sprintf("%s, Basic realm=%q", bearer, r.Realm()))
	return &told
}

// headerText makes a message fit for a quoted string of a header.
func headerText(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '"' || c == '\\':
			return '\''
		case c < ' ' || c > '~':
			return ' '
		}
		return c
	}, s)
}

// Status is the HTTP status of an error's kind, the same at every door.
func Status(k fault.Kind) int {
	switch k {
	case fault.Invalid, fault.Limit:
		return http.StatusBadRequest
	case fault.Unauthenticated, fault.Expired:
		return http.StatusUnauthorized
	case fault.Denied:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.Throttled:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.Unimplemented:
		return http.StatusNotImplemented
	}
	return http.StatusInternalServerError
}
