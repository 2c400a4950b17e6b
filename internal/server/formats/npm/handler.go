package npm

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/npm/packument"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// A Handler serves npm's clients. It implements [formats.Protocol].
type Handler struct{ formats.Base[route] }

// New returns a handler.
func New(c formats.ProtocolConfig) *Handler {
	h := &Handler{formats.NewBase[route](packages.NPM, c)}
	h.Table = h.routes()
	return h
}

// LoginTool is npm.
func (h *Handler) LoginTool(*http.Request) string { return "npm" }

// Authentication is by Bearer, or by Basic for _auth and old clients.
func (h *Handler) Authentication() formats.Authentication { return formats.BearerOrBasic() }

// WriteError writes {"error": …}, the form that every client shows. The reason of a
// 401 is in the header npm-notice as well, which npm shows before anything else.
func (h *Handler) WriteError(w http.ResponseWriter, r *formats.Request, status int, e *fault.Error) {
	if status == http.StatusUnauthorized {
		w.Header().Set("npm-notice", formats.HeaderLine(e.Message))
	}
	out := append([]byte(nil), `{"error":`...)
	out = packument.AppendString(out, e.Message)
	out = append(out, `,"code":`...)
	out = packument.AppendString(out, e.Code)
	writeJSON(w, r, status, append(out, '}'))
}

// writeOK answers a change in the form that the clients expect.
func writeOK(w http.ResponseWriter, r *formats.Request, status int) error {
	writeJSON(w, r, status, []byte(`{"ok":true}`))
	return nil
}

func writeJSON(w http.ResponseWriter, r *formats.Request, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client is gone
	}
}

// ping answers 200 if the token gives access to the repository.
func (h *Handler) ping(w http.ResponseWriter, r *formats.Request, _ route) error {
	if err := h.Packages.Authorized(r.Context(), r.Repository, "codeartifact:ReadFromRepository"); err != nil {
		return err
	}
	writeJSON(w, r, http.StatusOK, []byte(`{}`))
	return nil
}

// whoami answers the name of the IAM identity that obtained the token.
func (h *Handler) whoami(w http.ResponseWriter, r *formats.Request, _ route) error {
	if err := h.Packages.Authorized(r.Context(), r.Repository, "codeartifact:ReadFromRepository"); err != nil {
		return err
	}
	out, err := json.Marshal(map[string]string{"username": username(authn.FromContext(r.Context()))})
	if err != nil {
		return err
	}
	writeJSON(w, r, http.StatusOK, out)
	return nil
}

// username is the name of an IAM user. For another principal it is the part of the
// ARN after the account, such as "assumed-role/Role/session".
func username(c *authn.Caller) string {
	if c == nil || c.Principal == nil {
		return ""
	}
	if c.Name != "" {
		return c.Name
	}
	return c.ARN[strings.LastIndexByte(c.ARN, ':')+1:]
}
