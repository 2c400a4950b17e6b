package pypi

import (
	"net/http"
	"net/url"
	"strings"

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
}

// New returns a handler.
func New(c Config) *Handler {
	if c.MaxFile == 0 {
		c.MaxFile = 5_000_000_000
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = 32 << 20
	}
	return &Handler{packages: c.Packages, maxFile: c.MaxFile, pages: formats.NewDocumentCache(c.CacheBytes)}
}

// LoginTool is twine for an upload and pip for a read.
func (h *Handler) LoginTool(r *http.Request) string {
	if r.Method == http.MethodPost {
		return "twine"
	}
	return "pip"
}

// Serve answers one request.
func (h *Handler) Serve(w http.ResponseWriter, r *formats.Request) error {
	rt := parseRoute(strings.TrimPrefix(r.Rest, "/"))
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		switch rt.kind {
		case index:
			return h.getIndex(w, r, rt)
		case detail:
			return h.getDetail(w, r, rt)
		case distribution:
			return h.getFile(w, r, rt)
		}
	case http.MethodPost:
		if rt.kind == root || rt.kind == legacy {
			return h.post(w, r, rt)
		}
	}
	if rt.kind == unknown {
		return fault.New(fault.NotFound, "NotFound", "This index has nothing at /%s. Its projects are at /simple/, and files are uploaded to /.", r.Rest)
	}
	return fault.New(fault.NotFound, "NotFound", "This index does not answer %s /%s. Its projects are at /simple/, and files are uploaded to / by POST.", r.Method, r.Rest)
}

// WriteError writes the message as plain text, which twine and uv show.
func (h *Handler) WriteError(w http.ResponseWriter, r *formats.Request, status int, e *fault.Error) {
	writeText(w, r, status, e.Message+"\n")
}

func writeText(w http.ResponseWriter, r *formats.Request, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(text)) // the client is gone
	}
}

func project(name string) packages.PackageID {
	return packages.PackageID{Format: packages.PyPI, Name: pypi.CanonPackageName(name)}
}

// A kind is the resource that an address names.
type kind uint8

const (
	unknown      kind = iota
	root              // the endpoint itself
	legacy            // legacy/
	index             // simple/
	detail            // simple/{project}/
	distribution      // simple/{project}/{version}/{file}
)

// A route is an address below the endpoint, parsed.
type route struct {
	kind kind
	// project is as the client spelled it.
	project, version, file string
	// slash is whether the address ends in "/", as the address of a page does.
	slash bool
}

// parseRoute reads the escaped path below the endpoint. It is the inverse of
// [route.path].
func parseRoute(escaped string) route {
	trimmed, slash := strings.CutSuffix(escaped, "/")
	segments := strings.Split(trimmed, "/")
	for i, s := range segments {
		u, err := url.PathUnescape(s)
		if err != nil || strings.Contains(u, "/") || (u == "" && len(segments) > 1) {
			return route{}
		}
		segments[i] = u
	}
	switch {
	case len(segments) == 1 && segments[0] == "":
		return route{kind: root, slash: slash}
	case len(segments) == 1 && segments[0] == "legacy":
		return route{kind: legacy, slash: slash}
	case segments[0] != "simple":
		return route{}
	case len(segments) == 1:
		return route{kind: index, slash: slash}
	case len(segments[1]) > maxName || !namePattern.MatchString(segments[1]):
		return route{}
	case len(segments) == 2:
		return route{kind: detail, project: segments[1], slash: slash}
	case len(segments) == 4 && !slash:
		return route{kind: distribution, project: segments[1], version: segments[2], file: segments[3]}
	}
	return route{}
}

// path constructs the address.
func (rt route) path() string {
	var p string
	switch rt.kind {
	case legacy:
		p = "legacy"
	case index:
		p = "simple"
	case detail:
		p = "simple/" + url.PathEscape(rt.project)
	case distribution:
		p = "simple/" + url.PathEscape(rt.project) + "/" + url.PathEscape(rt.version) + "/" + url.PathEscape(rt.file)
	}
	if rt.slash {
		p += "/"
	}
	return p
}

// Documents returns the counters of the cache of rendered documents, for metrics.
func (h *Handler) Documents() lru.Stats { return h.pages.Stats() }
