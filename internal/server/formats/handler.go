package formats

import (
	"fmt"
	"log/slog"
	"net/http"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/respwriter"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

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
	entry.Params(req.params(packages.PackageID{}, ""))
	entry.Resource("AWS::CodeArtifact::Repository", req.Repository.ARN())

	caller, err := h.authenticate(req, protocol.Authentication())
	if caller != nil {
		entry.Caller(caller)
	}
	if err != nil {
		h.refuse(w, req, protocol, err)
		return
	}
	ctx := packages.WithStaleNotice(authn.WithCaller(r.Context(), caller), func(n packages.StaleNotice) { noteStale(w.Header(), n) })
	ctx = packages.WithHiddenNotice(ctx, func(n packages.HiddenNotice) { noteHidden(w.Header(), n) })
	req.Request = r.WithContext(ctx)
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
	case fault.MethodNotAllowed:
		return http.StatusMethodNotAllowed
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
	case fault.BadGateway:
		return http.StatusBadGateway
	case fault.GatewayTimeout:
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}
