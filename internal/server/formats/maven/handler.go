package maven

import (
	"encoding/json"
	"net/http"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// xmlWeight is the memory that a byte of an XML document takes while it is read.
const xmlWeight = 8

// A Handler serves Maven's clients. It implements [formats.Protocol].
type Handler struct{ formats.Base[location] }

// New returns a handler.
func New(c formats.ProtocolConfig) *Handler {
	h := &Handler{formats.NewBase[location](packages.Maven, c)}
	h.Table = h.routes()
	return h
}

// Authentication is by Basic, which all clients send, or Bearer.
func (h *Handler) Authentication() formats.Authentication { return formats.BearerOrBasic() }

// LoginTool is maven.
func (h *Handler) LoginTool(*http.Request) string { return "maven" }

// WriteError writes the error as a problem (RFC 9457), the only form that any of the
// clients shows: Maven from 3.9.10 on. Others show the status alone.
//
// A 404 is plain text. Maven 3.9.16 and 4.0.0-rc-5 take a problem for a failure and not
// for a file that does not exist: then no first version of an artifact can be deployed.
func (h *Handler) WriteError(w http.ResponseWriter, r *formats.Request, status int, e *fault.Error) {
	contentType, body := "application/problem+json", problem(status, e)
	if status == http.StatusNotFound {
		contentType, body = "text/plain; charset=utf-8", []byte(e.Message+"\n")
	}
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client is gone
	}
}

func problem(status int, e *fault.Error) []byte {
	body, err := json.Marshal(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Code   string `json:"code"`
	}{"about:blank", http.StatusText(status), status, e.Message, e.Code})
	if err != nil {
		return nil // cannot happen: only texts and a number
	}
	return body
}
