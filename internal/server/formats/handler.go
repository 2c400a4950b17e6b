package formats

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/respwriter"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// A Protocol speaks the protocol of one package format.
type Protocol interface {
	// Serve answers a request. It returns an error only if it has written nothing
	// of an answer yet.
	Serve(w http.ResponseWriter, r *Request) error
	// WriteError writes an error in the form that the format's clients show. The
	// challenge of a 401 is in the header already.
	WriteError(w http.ResponseWriter, r *Request, status int, e *fault.Error)
	// LoginTool is the --tool of `aws codeartifact login` with which the client
	// that sends such a request gets a new token.
	LoginTool(r *http.Request) string
}

// A Request is one request for a package endpoint. The context of the embedded
// request carries the caller.
type Request struct {
	*http.Request
	RepositoryEndpoint
	// Base is the address of the endpoint as the client knows it, with scheme
	// and host, ending in "/". Addresses in documents begin with it, because
	// clients send their token to no other host.
	Base string
	// Listed means that Base is an address under which the server knows the endpoint.
	// Otherwise the client made up the host, and may make up any number of others:
	// nothing that contains Base may be cached then.
	Listed bool
	// Rest is the path below the endpoint, without a leading "/", still escaped.
	Rest string
}

// Operation records in the audit entry what the request does and to which package.
// name is the CodeArtifact action that does the same.
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

// Config configures a [Handler]. Everything except Origin is required.
type Config struct {
	Authenticator authn.BearerAuthenticator
	// Hosts knows the server's addresses.
	Hosts Hosts
	// Protocols are the formats that are served.
	Protocols map[packages.Format]Protocol
	// Origin is scheme://host[:port] of the server as the client of the request
	// knows it. Nil is [RequestOrigin].
	Origin func(*http.Request) string
	// Log receives the causes of internal errors, which clients do not see.
	Log *slog.Logger
}

// RequestOrigin is the origin to which the request was sent. It is right unless a
// proxy on the way terminates TLS.
func RequestOrigin(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// A Handler serves every package endpoint: below [Prefix] on any host, and at the
// root of AWS-shaped hosts.
type Handler struct{ c Config }

// New returns a handler.
func New(c Config) *Handler {
	if c.Origin == nil {
		c.Origin = RequestOrigin
	}
	return &Handler{c}
}

// ServeHTTP answers a path that is not an endpoint with 404 in plain text. Any other
// request is authenticated first.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req, ok := h.parse(r)
	if !ok {
		http.Error(w, "This is not the address of a package endpoint. It looks like "+Prefix+"REGION/OWNER/DOMAIN/FORMAT/REPOSITORY/; GetRepositoryEndpoint tells it.", http.StatusNotFound)
		return
	}
	protocol, ok := h.c.Protocols[req.Format]
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
		h.refuse(w, req, protocol, err)
		return
	}
	req.Request = r.WithContext(authn.WithCaller(r.Context(), caller))
	if err := protocol.Serve(w, req); err != nil {
		h.refuse(w, req, protocol, err)
	}
}

// defaultOperation is the operation in the audit entry until the protocol sets a
// better one.
func defaultOperation(method string) string {
	if method == http.MethodGet || method == http.MethodHead {
		return "ReadFromRepository"
	}
	return "PublishPackageVersion"
}

func (h *Handler) parse(r *http.Request) (*Request, bool) {
	path := r.URL.EscapedPath()
	var (
		e            RepositoryEndpoint
		prefix, rest string
		ok           bool
	)
	if d, isHost := h.c.Hosts.ParseDomainHost(r.Host); isHost {
		e, prefix, rest, ok = ParseHostPath(d, path)
	}
	if !ok {
		e, prefix, rest, ok = ParsePath(path)
	}
	req := &Request{Request: r, RepositoryEndpoint: e, Base: h.c.Origin(r) + prefix, Rest: rest}
	req.Listed = h.listed(req)
	return req, ok
}

func (h *Handler) listed(r *Request) bool {
	d := r.Repository.Domain
	return r.Base == h.c.Hosts.URL()+r.Path() ||
		r.Base == h.c.Hosts.PackageURL(endpoint.Domain{Name: d.Name, Owner: d.Owner, Region: d.Region}, string(r.Format), r.Repository.Name)
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
		"The authorization token is for the domain %s of account %s in %s, but this is the domain %s of account %s in %s. Get a token for this domain.",
		c.Domain, c.DomainOwner, c.Region, d.Name, d.Owner, d.Region)
}

func (h *Handler) refuse(w http.ResponseWriter, r *Request, protocol Protocol, err error) {
	if respwriter.ClientLeft(r.Context(), err) {
		audit.From(r.Context()).Failed("RequestCancelled", "The client closed the connection.")
		w.WriteHeader(respwriter.StatusClientLeft)
		return
	}
	e := fault.From(err)
	status := Status(e.Kind)
	switch e.Kind {
	case fault.Internal:
		h.c.Log.ErrorContext(r.Context(), "package endpoint failed", "endpoint", r.Path(), "error", err)
	case fault.Unauthenticated, fault.Expired:
		e = h.challenge(w, r, protocol, e)
	case fault.Throttled, fault.Unavailable:
		w.Header().Set("Retry-After", "1")
	}
	audit.From(r.Context()).Failed(e.Code, e.Message)
	w.Header().Set("Cache-Control", "no-store")
	protocol.WriteError(w, r, status, e)
}

// challenge sets WWW-Authenticate as CodeArtifact does. If the client sent a token,
// the header contains the reason (RFC 6750, section 3), because npm shows only this
// header of a 401. The returned error says how to get a new token.
func (h *Handler) challenge(w http.ResponseWriter, r *Request, protocol Protocol, e *fault.Error) *fault.Error {
	d := r.Repository.Domain
	explained := *e
	explained.Message = fmt.Sprintf("%s For this repository: aws codeartifact login --tool %s --domain %s --domain-owner %s --repository %s --region %s",
		e.Message, protocol.LoginTool(r.Request), d.Name, d.Owner, r.Repository.Name, d.Region)
	bearer := fmt.Sprintf("Bearer realm=%q", r.Realm())
	if r.Header.Get("Authorization") != "" {
		bearer += fmt.Sprintf(`, error="invalid_token", error_description="%s"`, headerText(explained.Message))
	}
	w.Header().Set("WWW-Authenticate", fmt.Sprintf("%s, Basic realm=%q", bearer, r.Realm()))
	return &explained
}

// headerText replaces what cannot be in a quoted string of a header.
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

// Status is the HTTP status of an error's kind, the same for every protocol.
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
	case fault.StorageFull:
		return http.StatusInsufficientStorage
	}
	return http.StatusInternalServerError
}
