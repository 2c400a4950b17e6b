package ruby

import (
	"net/http"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// A Handler serves gem and Bundler. It implements [formats.Protocol].
type Handler struct{ formats.Base[route] }

// New returns a handler.
func New(c formats.ProtocolConfig) *Handler {
	h := &Handler{formats.NewBase[route](packages.Ruby, c)}
	h.Table = h.routes()
	return h
}

// LoginTool is gem. Bundler's requests look the same.
func (h *Handler) LoginTool(*http.Request) string { return "gem" }

// Authentication is by Basic for reads, and by the API key, which is "Bearer TOKEN", for
// a push.
func (h *Handler) Authentication() formats.Authentication { return formats.BearerOrBasic() }

// WriteError writes the message as plain text. gem prints it as it is after a push or a
// yank.
func (h *Handler) WriteError(w http.ResponseWriter, r *formats.Request, status int, e *fault.Error) {
	formats.WriteText(w, r, status, e.Message+"\n")
}

// noKeys answers `gem signin`, which asks for an API key of an account.
func noKeys(_ http.ResponseWriter, r *formats.Request, _ route) error {
	return fault.New(fault.Invalid, "NoAPIKeys", "This registry has no accounts and API keys of its own: a push sends the authorization token. Log in with: gatehouse login --tool gem --domain %s --repository %s",
		r.Repository.Domain.Name, r.Repository.Name)
}

func packageID(name string) packages.PackageID {
	return packages.PackageID{Format: packages.Ruby, Name: name}
}
