package ruby

import (
	"net/http"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// Config configures a [Handler].
type Config struct {
	// Packages is the store. Required.
	Packages *packages.Service
	// MaxGem bounds the size of a gem, in bytes. 0 means 5 GB, CodeArtifact's quota
	// "Asset file size maximum".
	MaxGem int64
	// CacheBytes bounds the rendered documents in memory, in bytes. 0 means 32 MiB.
	CacheBytes int64
}

// A Handler serves gem and Bundler. It implements [formats.Protocol].
type Handler struct {
	packages  *packages.Service
	maxGem    int64
	documents *formats.DocumentCache
	table     *formats.Table[route]
}

// New returns a handler.
func New(c Config) *Handler {
	if c.MaxGem == 0 {
		c.MaxGem = 5_000_000_000
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = 32 << 20
	}
	h := &Handler{packages: c.Packages, maxGem: c.MaxGem, documents: formats.NewDocumentCache(c.CacheBytes)}
	h.table = h.routes()
	return h
}

// LoginTool is gem. Bundler's requests look the same.
func (h *Handler) LoginTool(*http.Request) string { return "gem" }

// Authentication is by Basic for reads, and by the API key, which is "Bearer TOKEN", for
// a push.
func (h *Handler) Authentication() formats.Authentication { return formats.BearerOrBasic() }

// Routes are the requests of Ruby's clients.
func (h *Handler) Routes() []formats.RouteInfo { return h.table.Routes() }

// Serve answers one request.
func (h *Handler) Serve(w http.ResponseWriter, r *formats.Request) error { return h.table.Serve(w, r) }

// Documents returns the counters of the cache of rendered documents, for metrics.
func (h *Handler) Documents() lru.Stats { return h.documents.Stats() }

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
