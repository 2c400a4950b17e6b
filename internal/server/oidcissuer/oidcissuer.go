// Package oidcissuer serves the two public documents of an account as an OpenID Connect
// issuer, below the server's own address:
//
//	/oidc/ACCOUNT/.well-known/openid-configuration   the discovery document
//	/oidc/ACCOUNT/.well-known/jwks.json              the public keys
//
// Whoever trusts the issuer asks for them, without credentials. Package iam/sts has what is
// in them, and issues the tokens.
package oidcissuer

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/sts"
)

// Prefix begins the paths of all issuers.
const Prefix = "/oidc/"

// maxAge is how long the documents may be kept, in seconds. Those who find an unknown key
// in a token ask again, so a rotation does not wait for it.
const maxAge = "300"

// A Handler serves the documents.
type Handler struct{ sts *sts.Service }

// New returns a handler.
func New(s *sts.Service) *Handler { return &Handler{s} }

// ServeHTTP answers with a document, or with 404.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "Use GET.", http.StatusMethodNotAllowed)
		return
	}
	account, document, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, Prefix), "/.well-known/")
	var body any
	var err error
	switch document {
	case "openid-configuration":
		body, err = h.sts.IssuerDocument(account)
	case "jwks.json":
		body, err = h.sts.IssuerKeys(account)
	default:
		err = fault.New(fault.NotFound, "NotFound", "There is no document at this address.")
	}
	if err != nil {
		f, status := fault.From(err), http.StatusServiceUnavailable
		if f.Kind == fault.NotFound {
			status = http.StatusNotFound
		}
		http.Error(w, f.Message, status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age="+maxAge)
	_ = json.NewEncoder(w).Encode(body) // a client that has left needs no answer
}
