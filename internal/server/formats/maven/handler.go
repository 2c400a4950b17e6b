package maven

import (
	"encoding/json"
	"net/http"

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
	// MaxFile bounds the size of a file, in bytes. 0 means 5 GB, CodeArtifact's
	// quota "Asset file size maximum".
	MaxFile int64
	// CacheBytes bounds the rendered indexes in memory, in bytes. 0 means 16 MiB.
	CacheBytes int64
	// Bodies bounds the memory of POMs and indexes that are being read. If it is nil,
	// there is no bound.
	Bodies *bodybudget.Budget
}

// xmlWeight is the memory that a byte of an XML document takes while it is read.
const xmlWeight = 8

// A Handler serves Maven's clients. It implements [formats.Protocol].
type Handler struct {
	packages *packages.Service
	maxFile  int64
	indexes  *formats.DocumentCache
	bodies   *bodybudget.Budget
	table    *formats.Table[location]
}

// New returns a handler.
func New(c Config) *Handler {
	if c.MaxFile == 0 {
		c.MaxFile = 5_000_000_000
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = 16 << 20
	}
	h := &Handler{packages: c.Packages, maxFile: c.MaxFile, indexes: formats.NewDocumentCache(c.CacheBytes), bodies: c.Bodies}
	const read, publish, index = "ReadFromRepository", "PublishPackageVersion", "PutPackageMetadata"
	h.table = formats.NewTable(func(escaped string) (formats.Kind, location) { l := parseLocation(escaped); return l.kind, l },
		"Files are at GROUP/ARTIFACT/VERSION/FILE with the dots of the group as slashes.",
		formats.Route[location]{Kind: file, Method: http.MethodGet, Action: read, Example: "com/acme/sample/1.0/sample-1.0.pom", Serve: h.getFile},
		formats.Route[location]{Kind: fileChecksum, Method: http.MethodGet, Action: read, Example: "com/acme/sample/1.0/sample-1.0.pom.sha1", Serve: h.getFileChecksum},
		formats.Route[location]{Kind: metadata, Method: http.MethodGet, Action: read, Example: "com/acme/sample/maven-metadata.xml", Serve: h.getIndex},
		formats.Route[location]{Kind: metadataChecksum, Method: http.MethodGet, Action: read, Example: "com/acme/sample/maven-metadata.xml.sha1", Serve: h.getIndex},
		formats.Route[location]{Kind: file, Method: http.MethodPut, Action: publish, Example: "com/acme/sample/1.0/sample-1.0.pom", Serve: h.putFile},
		formats.Route[location]{Kind: fileChecksum, Method: http.MethodPut, Action: publish, Example: "com/acme/sample/1.0/sample-1.0.pom.sha1", Serve: h.putFileChecksum},
		formats.Route[location]{Kind: metadata, Method: http.MethodPut, Action: index, Example: "com/acme/sample/maven-metadata.xml", Serve: h.putIndex},
		formats.Route[location]{Kind: metadataChecksum, Method: http.MethodPut, Action: index, Example: "com/acme/sample/maven-metadata.xml.sha1", Serve: h.putIndexChecksum},
	)
	return h
}

// Serve answers one request.
func (h *Handler) Serve(w http.ResponseWriter, r *formats.Request) error { return h.table.Serve(w, r) }

// Routes are the requests of Maven's clients.
func (h *Handler) Routes() []formats.RouteInfo { return h.table.Routes() }

// Authentication is by Basic, which all clients send, or Bearer.
func (h *Handler) Authentication() formats.Authentication { return formats.BearerOrBasic() }

// LoginTool is maven.
func (h *Handler) LoginTool(*http.Request) string { return "maven" }

// Documents returns the counters of the cache of indexes, for metrics.
func (h *Handler) Documents() lru.Stats { return h.indexes.Stats() }

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
