package cargo

import (
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// A Handler serves cargo. It implements [formats.Protocol].
type Handler struct{ formats.Base[route] }

// New returns a handler. The length in a publish request cannot express more than 4 GiB,
// so no crate has CodeArtifact's quota of 5 GB.
func New(c formats.ProtocolConfig) *Handler {
	h := &Handler{formats.NewBase[route](packages.Cargo, c)}
	h.Table = h.routes()
	return h
}

// LoginTool is cargo.
func (h *Handler) LoginTool(*http.Request) string { return "cargo" }

// Authentication is by the token alone, as cargo sends it. Bearer and Basic are for
// other clients, such as curl; cargo ignores the challenges.
func (h *Handler) Authentication() formats.Authentication { return formats.BearerOrBasic() }

// WriteError writes {"errors":[{"detail":…}]} for the web API (The Cargo Book,
// "Registry Web API", "Responses"). cargo prints the body of any other answer as it is.
func (h *Handler) WriteError(w http.ResponseWriter, r *formats.Request, status int, e *fault.Error) {
	if !strings.HasPrefix(r.Rest, webAPI) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		write(w, status, []byte(e.Message+"\n"))
		return
	}
	type detail struct {
		Detail string `json:"detail"`
	}
	_ = writeJSON(w, status, map[string][]detail{"errors": {{e.Message}}}) // strings can be encoded
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	write(w, status, body)
	return nil
}

func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone
}
