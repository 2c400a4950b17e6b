package cargo

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/cargo/stored"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
)

// What an address names.
const (
	config   formats.Kind = "config"   // config.json
	index    formats.Kind = "index"    // {prefix}/{crate}
	search   formats.Kind = "search"   // api/v1/crates
	newCrate formats.Kind = "new"      // api/v1/crates/new
	oneCrate formats.Kind = "crate"    // api/v1/crates/{crate}
	versions formats.Kind = "versions" // api/v1/crates/{crate}/versions
	owners   formats.Kind = "owners"   // api/v1/crates/{crate}/owners
	download formats.Kind = "download" // api/v1/crates/{crate}/{version}/download
	yank     formats.Kind = "yank"     // api/v1/crates/{crate}/{version}/yank
	unyank   formats.Kind = "unyank"   // api/v1/crates/{crate}/{version}/unyank
)

// webAPI begins the addresses of the web API. No file of the index has such a path.
const webAPI = "api/v1/crates"

// routes is everything that cargo may ask for.
func (h *Handler) routes() *formats.Table[route] {
	of := func(k formats.Kind, method, action, example string, serve func(http.ResponseWriter, *formats.Request, route) error) formats.Route[route] {
		return formats.Route[route]{Kind: k, Method: method, Action: action, Example: example, Serve: serve}
	}
	const read, change = "ReadFromRepository", "UpdatePackageVersionsStatus"
	return formats.NewTable(parseRoute, "cargo reads config.json first, and finds everything else by it.",
		of(config, http.MethodGet, read, "config.json", h.getConfig),
		of(index, http.MethodGet, read, "sa/mp/sample", h.getIndex),
		of(download, http.MethodGet, read, webAPI+"/sample/1.0.0/download", h.getCrate),
		of(newCrate, http.MethodPut, "PublishPackageVersion", webAPI+"/new", h.publish),
		of(yank, http.MethodDelete, change, webAPI+"/sample/1.0.0/yank", h.yank),
		of(unyank, http.MethodPut, change, webAPI+"/sample/1.0.0/unyank", h.unyank),
		of(search, http.MethodGet, read, webAPI+"?q=sample", h.search),
		of(oneCrate, http.MethodGet, read, webAPI+"/sample", h.getAbout),
		of(versions, http.MethodGet, read, webAPI+"/sample/versions", h.getVersions),
		of(owners, "", "", webAPI+"/sample/owners", noOwners),
	)
}

// A route is an address below the endpoint, parsed.
type route struct {
	// name is as the client spelled it; version is set if the address names one.
	name, version string
}

// parseRoute reads the escaped path below the endpoint.
func parseRoute(escaped string) (formats.Kind, route) {
	if escaped == "config.json" {
		return config, route{}
	}
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return "", route{}
	}
	if tail, ok := strings.CutPrefix(path, webAPI); ok && (tail == "" || tail[0] == '/') {
		return parseWebAPI(strings.Split(strings.TrimPrefix(tail, "/"), "/"))
	}
	name, ok := parseIndexPath(path)
	if !ok {
		return "", route{}
	}
	return index, route{name: name}
}

// parseWebAPI reads what follows api/v1/crates/.
func parseWebAPI(segments []string) (formats.Kind, route) {
	rt := route{name: segments[0]}
	switch {
	case len(segments) == 1 && rt.name == "":
		return search, route{}
	case !stored.ValidName(rt.name):
		return "", route{}
	case len(segments) == 1 && rt.name == "new":
		return newCrate, rt
	case len(segments) == 1:
		return oneCrate, rt
	case len(segments) == 2 && segments[1] == "versions":
		return versions, rt
	case len(segments) == 2 && segments[1] == "owners":
		return owners, rt
	case len(segments) != 3 || !stored.ValidVersion(segments[1]):
		return "", route{}
	}
	rt.version = segments[1]
	switch segments[2] {
	case "download":
		return download, rt
	case "yank":
		return yank, rt
	case "unyank":
		return unyank, rt
	}
	return "", route{}
}
