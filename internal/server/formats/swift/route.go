package swift

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// What an address names.
const (
	releases      formats.Kind = "releases"       // {scope}/{name}
	release       formats.Kind = "release"        // {scope}/{name}/{version}
	manifest      formats.Kind = "manifest"       // {scope}/{name}/{version}/Package.swift
	sourceArchive formats.Kind = "source-archive" // {scope}/{name}/{version}.zip
	identifiers   formats.Kind = "identifiers"    // identifiers
	login         formats.Kind = "login"          // login
	availability  formats.Kind = "availability"   // availability
)

// routes is everything that Swift's package manager may ask for.
func (h *Handler) routes() *formats.Table[route] {
	of := func(k formats.Kind, method, action, example string, serve func(http.ResponseWriter, *formats.Request, route) error) formats.Route[route] {
		return formats.Route[route]{Kind: k, Method: method, Action: action, Example: example, Serve: h.versioned(serve)}
	}
	const read = "ReadFromRepository"
	return formats.NewTable(parseRoute, "Packages are at /SCOPE/NAME.",
		of(releases, http.MethodGet, read, "acme/sample", h.getReleases),
		of(release, http.MethodGet, read, "acme/sample/1.0.0", h.getRelease),
		of(release, http.MethodPut, "PublishPackageVersion", "acme/sample/1.1.0", h.publish),
		of(manifest, http.MethodGet, read, "acme/sample/1.0.0/Package.swift", h.getManifest),
		of(sourceArchive, http.MethodGet, read, "acme/sample/1.0.0.zip", h.getArchive),
		of(identifiers, http.MethodGet, read, "identifiers?url=https://git.example/sample", h.getIdentifiers),
		of(login, http.MethodPost, read, "login", h.login),
		of(availability, http.MethodGet, read, "availability", h.login),
	)
}

// A route is an address below the endpoint, parsed.
type route struct {
	id packages.PackageID
	// scope and name are as the client spelled them.
	scope, name, version string
}

// parseRoute reads the escaped path below the endpoint.
func parseRoute(escaped string) (formats.Kind, route) {
	switch escaped {
	case "identifiers":
		return identifiers, route{}
	case "login":
		return login, route{}
	case "availability":
		return availability, route{}
	}
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return "", route{}
	}
	segments := strings.Split(path, "/")
	if len(segments) < 2 || len(segments) > 4 {
		return "", route{}
	}
	kind, rt := releases, route{scope: segments[0], name: segments[1]}
	switch len(segments) {
	case 2:
		rt.name = strings.TrimSuffix(rt.name, ".json")
	case 3:
		kind, rt.version = release, strings.TrimSuffix(segments[2], ".json")
		if version, ok := strings.CutSuffix(segments[2], ".zip"); ok {
			kind, rt.version = sourceArchive, version
		}
	case 4:
		kind, rt.version = manifest, segments[2]
		if segments[3] != packageSwift {
			return "", route{}
		}
	}
	if !validScope(rt.scope) || !validName(rt.name) || kind != releases && !validVersion(rt.version) {
		return "", route{}
	}
	rt.id = pkg(rt.scope, rt.name)
	return kind, rt
}
