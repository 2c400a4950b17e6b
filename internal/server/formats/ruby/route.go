package ruby

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/ruby/rubygem"
)

// What an address names.
const (
	root         formats.Kind = "root"
	versionsFile formats.Kind = "versions"
	infoFile     formats.Kind = "info"
	namesFile    formats.Kind = "names"
	specsFile    formats.Kind = "specs"
	gemspecFile  formats.Kind = "gemspec"
	dependencies formats.Kind = "dependencies"
	gemFile      formats.Kind = "gem"
	pushing      formats.Kind = "push"
	yanking      formats.Kind = "yank"
	keys         formats.Kind = "key"
)

// routes is everything that Ruby's clients may ask for.
func (h *Handler) routes() *formats.Table[route] {
	const read, publish, update = "ReadFromRepository", "PublishPackageVersion", "UpdatePackageVersionsStatus"
	return formats.NewTable(parse, "The source of gem and Bundler is the address of the repository itself.",
		formats.Route[route]{Kind: root, Method: http.MethodGet, Action: read, Example: "", Serve: h.getRoot},
		formats.Route[route]{Kind: versionsFile, Method: http.MethodGet, Action: read, Example: "versions", Serve: h.getVersions},
		formats.Route[route]{Kind: infoFile, Method: http.MethodGet, Action: read, Example: "info/sample", Serve: h.getInfo},
		formats.Route[route]{Kind: namesFile, Method: http.MethodGet, Action: read, Example: "names", Serve: h.getNames},
		formats.Route[route]{Kind: specsFile, Method: http.MethodGet, Action: read, Example: "specs.4.8.gz", Serve: h.getSpecs},
		formats.Route[route]{Kind: gemspecFile, Method: http.MethodGet, Action: read, Example: "quick/Marshal.4.8/sample-1.0.0.gemspec.rz", Serve: h.getGemspec},
		formats.Route[route]{Kind: dependencies, Method: http.MethodGet, Action: read, Example: "api/v1/dependencies?gems=sample", Serve: h.getDependencies},
		formats.Route[route]{Kind: gemFile, Method: http.MethodGet, Action: read, Example: "gems/sample-1.0.0.gem", Serve: h.getGem},
		formats.Route[route]{Kind: pushing, Method: http.MethodPost, Action: publish, Example: "api/v1/gems", Serve: h.push},
		formats.Route[route]{Kind: yanking, Method: http.MethodDelete, Action: update, Example: "api/v1/gems/yank", Serve: h.yank},
		formats.Route[route]{Kind: keys, Example: "api/v1/api_key", Serve: noKeys},
	)
}

// A route is an address below the endpoint, parsed.
type route struct {
	// name is the name of a gem, the full name of one with version and platform, or
	// which of the three specs files.
	name string
}

// parse reads the escaped path below the endpoint.
func parse(escaped string) (formats.Kind, route) {
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return "", route{}
	}
	switch path {
	case "":
		return root, route{}
	case "versions":
		return versionsFile, route{}
	case "names":
		return namesFile, route{}
	case "specs.4.8.gz", "latest_specs.4.8.gz", "prerelease_specs.4.8.gz":
		return specsFile, route{strings.TrimSuffix(path, ".4.8.gz")}
	case "api/v1/dependencies":
		return dependencies, route{}
	case "api/v1/gems":
		return pushing, route{}
	case "api/v1/gems/yank":
		return yanking, route{}
	case "api/v1/api_key":
		return keys, route{}
	}
	for _, file := range []struct {
		kind           formats.Kind
		prefix, suffix string
	}{
		{infoFile, "info/", ""}, {gemFile, "gems/", ".gem"}, {gemspecFile, "quick/Marshal.4.8/", ".gemspec.rz"},
	} {
		name, ok := strings.CutPrefix(path, file.prefix)
		if !ok {
			continue
		}
		name, ok = strings.CutSuffix(name, file.suffix)
		if ok && rubygem.ValidFullName(name) {
			return file.kind, route{name}
		}
	}
	return "", route{}
}
