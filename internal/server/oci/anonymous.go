package oci

import (
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// Pulls without credentials, in registries whose account setting ANONYMOUS_PULLS is on.
//
// docker, podman and containerd have no way to pull without a login from a registry that
// asks for Basic credentials. If the ping did not ask at all, docker would not send the
// credentials of those who are logged in. So such a registry asks for a bearer token, as
// Docker's own does (Docker Registry v2 authentication): a client gets one from
// [tokenPath], with its login or without. Who logs in gets back the token that is its
// password. Who does not gets a constant, which is not a credential: it says that the
// client has none. A request without any Authorization header is the same.
//
// Package images decides which actions exist for such a caller, and the policies whether
// they are allowed. All refusals look like a repository that does not exist.

const (
	tokenPath = pathPrefix + "token"
	// anonymousToken is what a client without a login gets from tokenPath.
	anonymousToken = "anonymous"
	// anonymousLifetime is when clients ask for another one.
	anonymousLifetime = time.Hour
)

// isAnonymous reports whether a request says that its client has no credentials.
func isAnonymous(r *http.Request) bool {
	values := r.Header["Authorization"]
	if len(values) == 0 {
		return true
	}
	scheme, credentials, _ := strings.Cut(values[0], " ")
	return len(values) == 1 && strings.EqualFold(scheme, "Bearer") && credentials == anonymousToken
}

// anonymousRegistry is the registry that a request without a token is about.
func (h *Handler) anonymousRegistry(r *http.Request) endpoint.Registry {
	if registry, ok := h.addresses.ParseRegistryHost(r.Host); ok {
		return registry
	}
	return h.defaultRegistry
}

// allowsAnonymous reports whether the registry that a request names allows anonymous pulls.
func (h *Handler) allowsAnonymous(r *http.Request) bool {
	registry := h.anonymousRegistry(r)
	return h.images.AllowsAnonymousPulls(images.RegistryID{Account: registry.Account, Region: registry.Region})
}

// authenticate returns the caller. A caller without credentials is accepted for an operation
// that is open, in registries that allow it. The ping is what clients send to be asked for
// credentials, so it needs at least the anonymous token.
func (h *Handler) authenticate(r *http.Request, p path, op operation) (*authn.Caller, error) {
	asks := p.kind == kindPing && len(r.Header["Authorization"]) == 0
	if !op.open || asks || !isAnonymous(r) || !h.allowsAnonymous(r) {
		return h.authn.Bearer(r, token.ECR)
	}
	caller, err := h.authn.Unsigned(r)
	if err != nil {
		return nil, err
	}
	if _, ok := h.anonymousRate.AllowAddr(caller.SourceIP); !ok {
		return nil, fault.New(fault.Throttled, "Throttling", "Rate exceeded. A login has a higher rate.")
	}
	// It has no account: a condition on aws:PrincipalAccount must not let it in.
	caller.Region = h.anonymousRegistry(r).Region
	return caller, nil
}

// challengeAnonymous asks a caller without credentials for some, whether the repository
// exists or not.
func challengeAnonymous(err error) error {
	if fault.Is(err, "AccessDenied") || fault.Is(err, "RepositoryNotFound") {
		return fault.Wrap(err, fault.Unauthenticated, "MissingAuthenticationToken", "The request has no authorization token. Log in first.")
	}
	return err
}

// A tokenAnswer is the answer of tokenPath. Clients read one of the two names.
type tokenAnswer struct {
	Token       string `json:"token"`
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
	IssuedAt    string `json:"issued_at"`
}

// getToken answers the token of Basic credentials, which is their password, or the anonymous
// token. Nothing is issued.
func (h *Handler) getToken(w http.ResponseWriter, r *http.Request, _ target) error {
	now := h.now().UTC().Truncate(time.Second)
	text, lifetime := anonymousToken, anonymousLifetime
	if caller := authn.FromContext(r.Context()); caller.Type != authn.Anonymous {
		_, password, ok := r.BasicAuth()
		if !ok {
			return fault.New(fault.Unauthenticated, "InvalidToken", "A token is given for Basic credentials. Log in again.")
		}
		text = password
		if caller.Token != nil {
			lifetime = caller.Token.Expires.Sub(now)
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, "application/json", tokenAnswer{text, text, int64(lifetime / time.Second), now.Format(time.RFC3339)})
	return nil
}
