package pypi

import (
	"net/http"

	"deps.dev/util/pypi"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// Config configures a [Handler].
type Config struct {
	// Packages is the store. Required.
	Packages *packages.Service
	// MaxFile bounds the size of a file, in bytes. 0 means 5 GB, CodeArtifact's
	// quota "Asset file size maximum".
	MaxFile int64
	// CacheBytes bounds the rendered pages in memory, in bytes. 0 means 32 MiB.
	CacheBytes int64
}

// A Handler serves Python's clients. It implements [formats.Protocol].
type Handler struct {
	packages *packages.Service
	maxFile  int64
	pages    *formats.DocumentCache
	table    *formats.Table[route]
}

// New returns a handler.
func New(c Config) *Handler {
	if c.MaxFile == 0 {
		c.MaxFile = 5_000_000_000
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = 32 << 20
	}
	h := &Handler{packages: c.Packages, maxFile: c.MaxFile, pages: formats.NewDocumentCache(c.CacheBytes)}
	h.table = h.routes()
	return h
}

// LoginTool is twine for an upload and pip for a read.
func (h *Handler) LoginTool(r *http.Request) string {
	if r.Method == http.MethodPost {
		return "twine"
	}
	return "pip"
}

// Serve answers one request.
func (h *Handler) Serve(w http.ResponseWriter, r *formats.Request) error { return h.table.Serve(w, r) }

// Routes are the requests of Python's clients.
func (h *Handler) Routes() []formats.RouteInfo { return h.table.Routes() }

// Authentication is by Basic, which pip, uv and twine send, or Bearer.
func (h *Handler) Authentication() formats.Authentication { return formats.BearerOrBasic() }

// WriteError writes the message as plain text, which twine and uv show.
func (h *Handler) WriteError(w http.ResponseWriter, r *formats.Request, status int, e *fault.Error) {
	formats.WriteText(w, r, status, e.Message+"\n")
}

func project(name string) packages.PackageID {
	return packages.PackageID{Format: packages.PyPI, Name: pypi.CanonPackageName(name)}
}

// Documents returns the counters of the cache of rendered documents, for metrics.
func (h *Handler) Documents() lru.Stats { return h.pages.Stats() }
