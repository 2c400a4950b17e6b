// Package oci is the handler of the container registry endpoint: everything below
// /v2/, as OCI distribution-spec 1.1 defines it and as docker, podman, containerd,
// skopeo, crane, oras and helm use it. The rules are in package images, which the
// ECR API (api/ecrapi) uses too.
//
// [Handler.ServeHTTP] handles a request in four steps:
//
//  1. The path is parsed into a kind and its parts (path.go).
//  2. The caller is authenticated. Every path, also the ping, needs the password of
//     a docker login, which is an ECR authorization token. Pulls without one are in
//     anonymous.go.
//  3. Kind and method select an operation from a table (operations.go).
//  4. The operation calls the domain, which authorizes first. It writes the answer,
//     or returns an error, which errors.go turns into an answer.
//
// If ECR and the specification differ, the specification is followed, except for
// what ECR's clients look at: the Basic challenge, a 403 for an expired token, and
// the messages.
//
// Layers are not buffered in this package. A download is sent from the file by
// sendfile, so a middleware around this handler must not hide the [io.ReaderFrom]
// of the ResponseWriter. An upload is streamed into the store.
//
// This package must not import another handler, or a database.
package oci

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/bodybudget"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/ratelimit"
)

// Config is what a [Handler] needs.
type Config struct {
	// Images is the store. Required.
	Images *images.Service
	// Authn authenticates. Required.
	Authn Authenticator
	// Addresses says which registry the Host of a request names. It must be in the
	// region of the token. A host that names no registry, such as an IP address,
	// means the registry of the caller's account. Required.
	Addresses *endpoint.Addresses
	// DefaultRegistry is the registry of requests without a token whose Host names none.
	DefaultRegistry endpoint.Registry
	// AnonymousRate limits requests without a token by address. nil means no limit.
	AnonymousRate *ratelimit.Limiter
	// LayerURLs verifies signed URLs of layers. If it is nil, a signed URL is refused
	// like any request without credentials.
	LayerURLs *LayerURLs
	// Bodies bounds the memory of manifests that are being pushed. Without it, there is
	// no limit.
	Bodies *bodybudget.Budget
	// Now is the clock. Required.
	Now func() time.Time
	// Log receives internal errors. Required.
	Log *slog.Logger
}

// An Authenticator proves who makes a request, or gives the caller of a request without
// credentials. It is [authn.Authenticator].
type Authenticator interface {
	authn.BearerAuthenticator
	Unsigned(r *http.Request) (*authn.Caller, error)
}

// A Handler serves /v2/. Make it with [New]; mount it at "/v2/" and "/v2".
type Handler struct {
	images          *images.Service
	authn           Authenticator
	addresses       *endpoint.Addresses
	defaultRegistry endpoint.Registry
	anonymousRate   *ratelimit.Limiter
	layers          *LayerURLs
	bodies          *bodybudget.Budget
	now             func() time.Time
	log             *slog.Logger
}

// New returns the handler of /v2/.
func New(c Config) *Handler {
	return &Handler{
		images: c.Images, authn: c.Authn, addresses: c.Addresses, defaultRegistry: c.DefaultRegistry, anonymousRate: c.AnonymousRate,
		layers: c.LayerURLs, bodies: c.Bodies, now: c.Now, log: c.Log,
	}
}

// A target is what a request is about: its path, and the repository in the registry
// that the host names. If the path names no repository, only the account and the
// region are set.
type target struct {
	path
	repository images.RepositoryID
}

// ServeHTTP serves a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if err := h.serve(w, r); err != nil {
		h.writeError(w, r, err)
	}
}

// serve does everything except writing an error. An unauthenticated caller learns
// nothing about a path, not even that it is malformed.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request) error {
	p, pathErr := parsePath(r.URL.Path)
	if p.kind == kindToken && !h.allowsAnonymous(r) {
		p, pathErr = path{}, errPathUnknown()
	}
	var op operation
	known := false
	if pathErr == nil {
		op, known = operations[p.kind][r.Method]
	}
	entry := audit.From(r.Context())
	if known {
		entry.Operation("ecr", op.event)
	}
	if pathErr == nil && p.kind == kindBlob && h.layers != nil && isSigned(r.URL) {
		return h.serveSigned(w, r, p)
	}

	caller, err := h.authenticate(r, p, op)
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
	recordParameters(entry, t)
	err = op.serve(h, w, r.WithContext(authn.WithCaller(operationContext(r, t), caller)), t)
	if caller.Type == authn.Anonymous {
		return challengeAnonymous(err)
	}
	return err
}

// operationContext returns the context of an operation. net/http ends the request's
// context when the client closes its sending side, also if it still waits for the
// answer, as nc -N does. Only an upload can take long; any other operation is finished.
func operationContext(r *http.Request, t target) context.Context {
	if t.kind == kindUpload || t.kind == kindUploads {
		return r.Context()
	}
	return context.WithoutCancel(r.Context())
}

// registry returns the registry that a request is about. A token is valid for the
// registries of one region, in all accounts.
func (h *Handler) registry(r *http.Request, caller *authn.Caller) (endpoint.Registry, error) {
	if caller.Type == authn.Anonymous {
		return h.anonymousRegistry(r), nil
	}
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

// forMethod turns an invalid tag into "not found", except for PUT: a manifest with
// this tag cannot exist, and only pushing one is an error of the client.
func forMethod(method string, err error) error {
	if method != http.MethodPut && fault.Is(err, "InvalidTag") {
		return fault.Wrap(err, fault.NotFound, "ImageNotFound", "Requested image not found")
	}
	return err
}
