package trustedpublishing

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/sts"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/ratelimit"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

const (
	// maxBody bounds the document with a token, in bytes.
	maxBody = 32 << 10
	// Reasons of refusals are logged at this rate, in lines a second.
	logRate, logBurst = 1, 50
)

// Config is what a [Handler] is made of. Everything but Domains is required.
type Config struct {
	Packages  *packages.Service
	Sessions  *sts.Service
	Tokens    *token.Keyring
	Authn     *authn.Authenticator
	Addresses *endpoint.Addresses
	// Domains are searched for the publisher of a package at the root of the server's own
	// address, which names no domain.
	Domains []packages.DomainID
	Now     func() time.Time
	// Log receives the reasons of refusals, and the causes of internal errors.
	Log *slog.Logger
}

// A Handler answers the token exchanges.
type Handler struct {
	c       Config
	logRate *ratelimit.Limiter
}

// New returns a handler.
func New(c Config) *Handler {
	return &Handler{c, ratelimit.New(logRate, logBurst, time.Now)}
}

// ServeHTTP answers a request that the handler [Handler.Serves].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	t, ok := h.target(r)
	switch {
	case !ok:
		writeError(w, http.StatusNotFound, "NotFound", "This is not the address of a token exchange.")
	case r.Method != t.method:
		w.Header().Set("Allow", t.method)
		writeError(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "Use "+t.method+".")
	case len(t.domains) == 0:
		writeError(w, http.StatusNotFound, "NotFound", "This address names no domain. Publish to an AWS-shaped host, or name the domains in the setting trusted_publishing.domains of the server.")
	case t.asks:
		writeJSON(w, http.StatusOK, map[string]string{"audience": t.audiences()[0]})
	default:
		h.exchange(w, r, t)
	}
}

// exchange answers with a token for the one that the client sends.
func (h *Handler) exchange(w http.ResponseWriter, r *http.Request, t target) {
	entry := audit.From(r.Context())
	entry.Operation("codeartifact", "GetAuthorizationToken")
	params := map[string]string{"trustedPublishing": string(t.format)}
	if t.id.Name != "" {
		params["packageNamespace"], params["package"] = t.id.Namespace, t.id.Name
	}
	entry.Params(params)
	issued, err := h.issue(w, r, t)
	if err != nil {
		h.refuse(w, r, t, err)
		return
	}
	status := http.StatusOK
	if t.format == packages.NPM {
		status = http.StatusCreated
	}
	writeJSON(w, status, map[string]any{
		"success": true, "token": issued.text, "expires": issued.expires.Unix(), "token_type": "oidc",
	})
}

// refuse answers a refusal in the same way whatever its reason is. The clients of PyPI
// show the list of errors, and those of npm the message, if they show anything.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, t target, err error) {
	f := fault.From(err)
	entry := audit.From(r.Context())
	entry.Failed(f.Code, f.Message)
	switch f.Kind {
	case fault.Internal:
		h.c.Log.ErrorContext(r.Context(), "trusted publishing failed", "error", err)
		writeError(w, http.StatusInternalServerError, "InternalFailure", "The server failed to answer.")
		return
	case fault.Throttled, fault.Unavailable:
		w.Header().Set("Retry-After", "1")
		writeError(w, formats.Status(f.Kind), f.Code, f.Message)
		return
	}
	if _, ok := h.logRate.Allow(f.Code); ok {
		h.c.Log.WarnContext(r.Context(), "trusted publishing refused", "reason", f.Message, "code", f.Code,
			"format", string(t.format), "namespace", t.id.Namespace, "package", t.id.Name, "domains", domainNames(t.domains), "request", requestID(r.Context()))
	}
	writeError(w, http.StatusForbidden, "invalid-publisher",
		"No trusted publisher accepts this token for this package. The log and the audit record of the server say why, under request "+requestID(r.Context())+".")
}

func requestID(ctx context.Context) string {
	if e := audit.From(ctx); e != nil {
		return e.ID
	}
	return ""
}

func domainNames(ids []packages.DomainID) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = id.Name
	}
	return strings.Join(names, " ")
}

func writeError(w http.ResponseWriter, status int, code, message string) {
	writeJSON(w, status, map[string]any{
		"message": message, "error": message, "errors": []map[string]string{{"code": code, "description": message}},
	})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that has left needs no answer
}
