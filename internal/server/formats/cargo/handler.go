package cargo

import (
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/bodybudget"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// Config configures a [Handler].
type Config struct {
	// Packages is the store. Required.
	Packages *packages.Service
	// MaxCrate bounds the size of a .crate, in bytes. 0 means 4 GiB, the most that the
	// length in a publish request can express. CodeArtifact's quota is 5 GB.
	MaxCrate uint32
	// CacheBytes bounds the rendered files of the index in memory, in bytes. 0 means 32
	// MiB.
	CacheBytes int64
	// Bodies bounds the memory of the metadata of crates that are being published. If it
	// is nil, there is no bound.
	Bodies *bodybudget.Budget
}

// A Handler serves cargo. It implements [formats.Protocol].
type Handler struct {
	packages *packages.Service
	maxCrate uint32
	index    *formats.DocumentCache
	bodies   *bodybudget.Budget
	table    *formats.Table[route]
}

// New returns a handler.
func New(c Config) *Handler {
	if c.MaxCrate == 0 {
		c.MaxCrate = 1<<32 - 1
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = 32 << 20
	}
	h := &Handler{packages: c.Packages, maxCrate: c.MaxCrate, index: formats.NewDocumentCache(c.CacheBytes), bodies: c.Bodies}
	h.table = h.routes()
	return h
}

// Serve answers one request.
func (h *Handler) Serve(w http.ResponseWriter, r *formats.Request) error { return h.table.Serve(w, r) }

// Routes are the requests of cargo.
func (h *Handler) Routes() []formats.RouteInfo { return h.table.Routes() }

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

// Documents returns the counters of the cache of rendered files, for metrics.
func (h *Handler) Documents() lru.Stats { return h.index.Stats() }
