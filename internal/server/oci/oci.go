// Package oci is the container registry's endpoint: everything below /v2/, as
// OCI distribution-spec 1.1 has it and as docker, podman, containerd, skopeo,
// crane, oras and helm speak it. It is one of two doors to the images; the ECR
// API is the other, and what holds for both stands in package images.
//
// A request goes through [Handler.ServeHTTP] in four steps. Its path is parsed
// into a kind and the parts of one (path.go). It is authenticated: every path,
// the ping too, needs the password of a docker login, which is an ECR
// authorization token. The kind and the method choose an operation from a table
// (operations.go). The operation calls the domain, which decides whether the
// caller may, and answers, or returns an error, which one place writes
// (errors.go).
//
// Where ECR departs from the specification, the specification is followed. What
// ECR's clients look at is ECR's: the Basic challenge, a 403 for an expired
// token, and the messages.
//
// Bytes of a layer pass through no buffer of ours: a file goes to the socket by
// sendfile, so nothing between the server and this handler may hide the
// response's [io.ReaderFrom]. An upload streams into the store.
package oci

import (
	"log/slog"
	"net/http"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// An Authenticator turns the Authorization header of a request into its caller:
// *authn.Authenticator. It returns a fault of the kind Expired for a token that
// was good once, and of the kind Unauthenticated for everything else that is
// not a credential.
type Authenticator interface {
	Bearer(r *http.Request, purpose token.Purpose) (*authn.Caller, error)
}

// Config is what a [Handler] needs.
type Config struct {
	// Images is the store. Required.
	Images *images.Service
	// Authn authenticates. Required.
	Authn Authenticator
	// Addresses tells which registry a request's Host names, which has to be one
	// of the token's region. A host that names none, such as the bare address,
	// means the registry of the caller's own account. Required.
	Addresses *endpoint.Addresses
	// LayerURLs opens the addresses that it minted. Where it is nil there are
	// none, and a signed address is refused like any request without
	// credentials.
	LayerURLs *LayerURLs
	// Log receives what went wrong on our side. Required.
	Log *slog.Logger
}

// A Handler serves /v2/. Make it with [New]; mount it at "/v2/" and "/v2".
type Handler struct {
	images    *images.Service
	authn     Authenticator
	addresses *endpoint.Addresses
	layers    *LayerURLs
	log       *slog.Logger
}

// New returns the handler of /v2/.
func New(c Config) *Handler {
	return &Handler{images: c.Images, authn: c.Authn, addresses: c.Addresses, layers: c.LayerURLs, log: c.Log}
}

// A target is what a request is about: its path, and the repository of that
// name in the registry that was asked. For a path without a name only the
// account and the region are set.
type target struct {
	path
	repository images.RepositoryID
}

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if err := h.serve(w, r); err != nil {
		h.writeError(w, r, err)
	}
}

// serve does everything but write an error. Nothing is said about a path, not
// even that it is malformed, before the caller is known.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request) error {
	p, pathErr := parsePath(r.URL.Path)
	op, known := operations[p.kind][r.Method]
	entry := audit.From(r.Context())
	if pathErr == nil && known {
		entry.Operation("ecr", op.event)
	}
	if pathErr == nil && p.kind == kindBlob && h.layers != nil && isSigned(r.URL) {
		return h.serveSigned(w, r, p)
	}

	caller, err := h.authn.Bearer(r, token.ECR)
	if err != nil {
		return err
	}
	entry.Caller(caller)
	switch {
	case pathErr != nil:
		return forMethod(r.Method, pathErr)
	case !known:
		return methodNotAllowed(w, p.kind, r.Method)
	}
	registry, err := h.registry(r, caller)
	if err != nil {
		return err
	}
	t := target{p, images.RepositoryID{Account: registry.Account, Region: registry.Region, Name: p.name}}
	record(entry, t)
	return op.serve(h, w, r.WithContext(authn.WithCaller(r.Context(), caller)), t)
}

// registry returns the registry that a request is about. A token is good for the
// registries of one region, whosever they are; elsewhere it opens nothing.
func (h *Handler) registry(r *http.Request, caller *authn.Caller) (endpoint.Registry, error) {
	registry, ok := h.addresses.ParseRegistryHost(r.Host)
	switch {
	case !ok:
		return endpoint.Registry{Account: caller.Account, Region: caller.Region}, nil
	case registry.Region != caller.Region:
		return endpoint.Registry{}, fault.New(fault.Denied, "TokenOfAnotherRegion",
			"Your authorization token is for the region %s, and this registry is in %s. Log in with a token of that region.", caller.Region, registry.Region)
	}
	return registry, nil
}

// forMethod turns a malformed reference into what reading one means: there is
// no such manifest. Writing one is a mistake of the client.
func forMethod(method string, err error) error {
	if method != http.MethodPut && fault.Is(err, "InvalidTag") {
		return fault.Wrap(err, fault.NotFound, "ImageNotFound", "Requested image not found")
	}
	return err
}
