package nuget

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/nuget/nupkg"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// What an address names.
const (
	serviceIndex      formats.Kind = "service index"
	versionList       formats.Kind = "version list"
	content           formats.Kind = "content"
	registrationIndex formats.Kind = "registration index"
	registrationPage  formats.Kind = "registration page"
	registrationLeaf  formats.Kind = "registration leaf"
	query             formats.Kind = "search"
	autocomplete      formats.Kind = "autocomplete"
	publishing        formats.Kind = "publish"
	published         formats.Kind = "published version"
	symbols           formats.Kind = "symbols"
	version2          formats.Kind = "version 2"
)

// The folders of the resources below the endpoint.
const (
	flatFolder    = "v3/flatcontainer/"
	semVer1Folder = "v3/registration/"
	semVer2Folder = "v3/registration-semver2/"
	queryPath     = "v3/query"
	completePath  = "v3/autocomplete"
	publishPath   = "v3/package"
	symbolsPath   = "v3/symbolpackage"
)

// routes is everything that NuGet's clients may ask for.
func (h *Handler) routes() *formats.Table[route] {
	const read, publish, update = "ReadFromRepository", "PublishPackageVersion", "UpdatePackageVersionsStatus"
	return formats.NewTable(parse, "The source of NuGet's clients is v3/index.json.",
		formats.Route[route]{Kind: serviceIndex, Method: http.MethodGet, Action: read, Example: "v3/index.json", Serve: h.getServiceIndex},
		formats.Route[route]{Kind: versionList, Method: http.MethodGet, Action: read, Example: flatFolder + "sample/index.json", Serve: h.getVersionList},
		formats.Route[route]{Kind: content, Method: http.MethodGet, Action: read, Example: flatFolder + "sample/1.0.0/sample.1.0.0.nupkg", Serve: h.getContent},
		formats.Route[route]{Kind: registrationIndex, Method: http.MethodGet, Action: read, Example: semVer2Folder + "sample/index.json", Serve: h.getRegistration},
		formats.Route[route]{Kind: registrationPage, Method: http.MethodGet, Action: read, Example: semVer2Folder + "sample/page/1.0.0/1.0.0.json", Serve: h.getRegistrationPage},
		formats.Route[route]{Kind: registrationLeaf, Method: http.MethodGet, Action: read, Example: semVer2Folder + "sample/1.0.0.json", Serve: h.getRegistrationLeaf},
		formats.Route[route]{Kind: query, Method: http.MethodGet, Action: read, Example: queryPath, Serve: h.search},
		formats.Route[route]{Kind: autocomplete, Method: http.MethodGet, Action: read, Example: completePath, Serve: h.autocomplete},
		formats.Route[route]{Kind: publishing, Method: http.MethodPut, Action: publish, Example: publishPath, Serve: h.push},
		formats.Route[route]{Kind: published, Method: http.MethodDelete, Action: update, Example: publishPath + "/sample/1.0.0", Serve: h.unlist},
		formats.Route[route]{Kind: published, Method: http.MethodPost, Action: update, Example: publishPath + "/sample/1.0.0", Serve: h.relist},
		formats.Route[route]{Kind: symbols, Method: http.MethodPut, Action: publish, Example: symbolsPath, Serve: h.pushSymbols},
		formats.Route[route]{Kind: version2, Example: "api/v2/package", Serve: notServed},
	)
}

// A route is an address below the endpoint, parsed. The id is in lower case.
type route struct {
	id      string
	version string // as the client spelled it
	file    string
	// semVer2 is whether a registration has versions that need Semantic Versioning 2.0.0.
	semVer2 bool
	// lower and upper are the first and the last version of a page.
	lower, upper string
}

// parse reads the escaped path below the endpoint. It is the inverse of what the
// documents contain. nuget.exe appends a slash to the address of a push.
func parse(escaped string) (formats.Kind, route) {
	segments := strings.Split(escaped, "/")
	for i, s := range segments {
		u, err := url.PathUnescape(s)
		if err != nil || strings.Contains(u, "/") {
			return "", route{}
		}
		segments[i] = u
	}
	if segments[0] != "v3" || len(segments) < 2 {
		if isVersion2(segments) {
			return version2, route{}
		}
		return "", route{}
	}
	switch rest := segments[2:]; segments[1] {
	case "index.json":
		return only(serviceIndex, rest)
	case "query":
		return only(query, rest)
	case "autocomplete":
		return only(autocomplete, rest)
	case "symbolpackage":
		return only(symbols, withoutEmptyEnd(rest))
	case "package":
		return parsePublish(withoutEmptyEnd(rest))
	case "flatcontainer":
		return parseFlat(rest)
	case "registration", "registration-semver2":
		kind, rt := parseRegistration(rest)
		rt.semVer2 = segments[1] == "registration-semver2"
		return kind, rt
	}
	return "", route{}
}

func only(kind formats.Kind, rest []string) (formats.Kind, route) {
	if len(rest) > 0 {
		return "", route{}
	}
	return kind, route{}
}

func withoutEmptyEnd(rest []string) []string {
	if n := len(rest); n > 0 && rest[n-1] == "" {
		return rest[:n-1]
	}
	return rest
}

func parsePublish(rest []string) (formats.Kind, route) {
	switch {
	case len(rest) == 0:
		return publishing, route{}
	case len(rest) == 2 && nupkg.ValidID(rest[0]):
		return published, route{id: strings.ToLower(rest[0]), version: rest[1]}
	}
	return "", route{}
}

func parseFlat(rest []string) (formats.Kind, route) {
	switch {
	case len(rest) == 2 && nupkg.ValidID(rest[0]) && rest[1] == "index.json":
		return versionList, route{id: strings.ToLower(rest[0])}
	case len(rest) == 3 && nupkg.ValidID(rest[0]) && rest[2] != "":
		return content, route{id: strings.ToLower(rest[0]), version: rest[1], file: strings.ToLower(rest[2])}
	}
	return "", route{}
}

func parseRegistration(rest []string) (formats.Kind, route) {
	if len(rest) < 2 || !nupkg.ValidID(rest[0]) {
		return "", route{}
	}
	rt := route{id: strings.ToLower(rest[0])}
	last, ok := strings.CutSuffix(rest[len(rest)-1], ".json")
	switch {
	case !ok:
	case len(rest) == 2 && last == "index":
		return registrationIndex, rt
	case len(rest) == 2:
		rt.version = last
		return registrationLeaf, rt
	case len(rest) == 4 && rest[1] == "page":
		rt.lower, rt.upper = rest[2], last
		return registrationPage, rt
	}
	return "", route{}
}

// isVersion2 reports whether a client asks for version 2 of the API: it takes any source
// whose address does not end in index.json for one.
func isVersion2(segments []string) bool {
	first := strings.ToLower(segments[0])
	if first == "api" || first == "v2" || first == "package" || first == "$metadata" {
		return true
	}
	name, _, _ := strings.Cut(first, "(")
	return name == "packages" || name == "findpackagesbyid" || name == "search" || name == "getupdates" || first == ""
}

// CheckRelease refuses ids and versions that cannot be published. Imports use it.
func CheckRelease(id packages.PackageID, version string) error {
	if !nupkg.ValidID(id.Name) {
		return fault.New(fault.Invalid, "InvalidName", "%.200q is not the id of a NuGet package.", id.Name)
	}
	if _, ok := nupkg.ParseVersion(version); !ok {
		return fault.New(fault.Invalid, "InvalidVersion", "%.200q is not a version of NuGet.", version)
	}
	return nil
}
