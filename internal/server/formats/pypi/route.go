package pypi

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
)

// What an address names.
const (
	root         formats.Kind = "root"         // the endpoint itself
	legacy       formats.Kind = "legacy"       // legacy/
	index        formats.Kind = "index"        // simple/
	detail       formats.Kind = "detail"       // simple/{project}/
	distribution formats.Kind = "distribution" // simple/{project}/{version}/{file}
	releaseData  formats.Kind = "release"      // pypi/{project}/{version}/json
)

// routes is everything that Python's clients may ask for.
func (h *Handler) routes() *formats.Table[route] {
	const read, publish = "ReadFromRepository", "PublishPackageVersion"
	return formats.NewTable(func(escaped string) (formats.Kind, route) { rt := parseRoute(escaped); return rt.kind, rt },
		"Its projects are at /simple/, and files are uploaded to / by POST.",
		formats.Route[route]{Kind: index, Method: http.MethodGet, Action: read, Example: "simple/", Serve: h.getIndex},
		formats.Route[route]{Kind: detail, Method: http.MethodGet, Action: read, Example: "simple/sample/", Serve: h.getDetail},
		formats.Route[route]{Kind: distribution, Method: http.MethodGet, Action: read, Example: "simple/sample/1.0/sample-1.0-py3-none-any.whl", Serve: h.getFile},
		formats.Route[route]{Kind: releaseData, Method: http.MethodGet, Action: read, Example: "pypi/sample/1.0/json", Serve: h.getRelease},
		formats.Route[route]{Kind: root, Method: http.MethodPost, Action: publish, Example: "", Serve: h.post},
		formats.Route[route]{Kind: legacy, Method: http.MethodPost, Action: publish, Example: "legacy/", Serve: h.post},
	)
}

// A route is an address below the endpoint, parsed.
type route struct {
	kind formats.Kind
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
	case len(segments) == 4 && segments[0] == "pypi" && segments[3] == "json" && !slash && len(segments[1]) <= maxName && namePattern.MatchString(segments[1]):
		return route{kind: releaseData, project: segments[1], version: segments[2]}
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
	case releaseData:
		p = "pypi/" + url.PathEscape(rt.project) + "/" + url.PathEscape(rt.version) + "/json"
	case distribution:
		p = "simple/" + url.PathEscape(rt.project) + "/" + url.PathEscape(rt.version) + "/" + url.PathEscape(rt.file)
	}
	if rt.slash {
		p += "/"
	}
	return p
}
