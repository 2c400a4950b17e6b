package pypi

import (
	"net/http"

	"deps.dev/util/pypi"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// A Handler serves Python's clients. It implements [formats.Protocol].
type Handler struct{ formats.Base[route] }

// New returns a handler.
func New(c formats.ProtocolConfig) *Handler {
	h := &Handler{formats.NewBase[route](packages.PyPI, c)}
	h.Table = h.routes()
	return h
}

// LoginTool is twine for an upload and pip for a read.
func (h *Handler) LoginTool(r *http.Request) string {
	if r.Method == http.MethodPost {
		return "twine"
	}
	return "pip"
}

// Authentication is by Basic, which pip, uv and twine send, or Bearer.
func (h *Handler) Authentication() formats.Authentication { return formats.BearerOrBasic() }

// WriteError writes the message as plain text, which twine and uv show.
func (h *Handler) WriteError(w http.ResponseWriter, r *formats.Request, status int, e *fault.Error) {
	formats.WriteText(w, r, status, e.Message+"\n")
}

func project(name string) packages.PackageID {
	return packages.PackageID{Format: packages.PyPI, Name: pypi.CanonPackageName(name)}
}
