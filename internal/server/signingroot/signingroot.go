// Package signingroot serves the root certificates of the signing profiles of each account, at
// /signing/ACCOUNT/root.pem, without credentials: whoever verifies signatures needs them.
// Package signing has them.
package signingroot

import (
	"net/http"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/signing"
)

// Prefix begins the paths of all certificates.
const Prefix = "/signing/"

// A Handler serves the certificates.
type Handler struct{ signing *signing.Service }

// New returns a handler.
func New(s *signing.Service) *Handler { return &Handler{s} }

// ServeHTTP answers with a certificate, or with 404.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "Use GET.", http.StatusMethodNotAllowed)
		return
	}
	account, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, Prefix), "/root.pem")
	var body []byte
	err := error(fault.New(fault.NotFound, "NotFound", "There is no document at this address."))
	if ok {
		body, err = h.signing.Root(r.Context(), account)
	}
	if err != nil {
		f, status := fault.From(err), http.StatusServiceUnavailable
		if f.Kind == fault.NotFound {
			status = http.StatusNotFound
		}
		http.Error(w, f.Message, status)
		return
	}
	w.Header().Set("Content-Type", "application/x-pem-file")
	_, _ = w.Write(body) // a client that has left needs no answer
}
