package npm

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/npm/packument"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// What an address names.
const (
	unknown      formats.Kind = ""
	root         formats.Kind = "root"         // the endpoint itself
	document     formats.Kind = "document"     // {package}
	version      formats.Kind = "version"      // {package}/{version or tag}
	tarball      formats.Kind = "tarball"      // {package}/-/{file}
	tarballRev   formats.Kind = "tarball-rev"  // {package}/-/{file}/-rev/{rev}
	revision     formats.Kind = "revision"     // {package}/-rev/{rev}
	distTags     formats.Kind = "dist-tags"    // -/package/{package}/dist-tags
	distTag      formats.Kind = "dist-tag"     // -/package/{package}/dist-tags/{tag}
	ping         formats.Kind = "ping"         // -/ping
	whoami       formats.Kind = "whoami"       // -/whoami
	search       formats.Kind = "search"       // -/v1/search
	attestations formats.Kind = "attestations" // -/npm/v1/attestations/{package}@{version}
	keys         formats.Kind = "keys"         // -/npm/v1/keys
	bulk         formats.Kind = "bulk"         // -/npm/v1/security/advisories/bulk
	audits       formats.Kind = "audits"       // -/npm/v1/security/audits and audits/quick
	advisories   formats.Kind = "advisories"   // -/npm/v1/security/…
	account      formats.Kind = "account"      // logins, users, teams, tokens
)

// routes is everything that npm's clients may ask for.
func (h *Handler) routes() *formats.Table[route] {
	type serve = func(http.ResponseWriter, *formats.Request, route) error
	of := func(k formats.Kind, method, action, example string, s serve) formats.Route[route] {
		return formats.Route[route]{Kind: k, Method: method, Action: action, Example: example, Serve: s}
	}
	const (
		read, publish, change = "ReadFromRepository", "PublishPackageVersion", "PutPackageMetadata"
		get, put, post, del   = http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete
	)
	return formats.NewTable(func(escaped string) (formats.Kind, route) { rt := parseRoute(escaped); return rt.kind, rt }, "",
		of(root, get, read, "", h.ping),
		of(ping, get, read, "-/ping", h.ping),
		of(whoami, get, read, "-/whoami", h.whoami),
		of(search, get, read, "-/v1/search?text=sample", h.search),
		of(document, get, read, "sample", h.getDocument),
		of(document, put, publish, "sample", h.putDocument),
		of(version, get, read, "sample/1.0.0", h.getVersion),
		of(tarball, get, read, "sample/-/sample-1.0.0.tgz", h.getTarball),
		of(attestations, get, read, "-/npm/v1/attestations/sample@1.0.0", h.getAttestations),
		of(distTags, get, read, "-/package/sample/dist-tags", h.getTags),
		of(distTags, put, change, "-/package/sample/dist-tags", h.replaceTags),
		of(distTags, post, change, "-/package/sample/dist-tags", h.mergeTags),
		of(distTag, put, change, "-/package/sample/dist-tags/next", h.putTag),
		of(distTag, post, change, "-/package/sample/dist-tags/next", h.putTag),
		of(distTag, del, change, "-/package/sample/dist-tags/next", h.deleteTag),
		of(revision, put, "DeletePackageVersions", "sample/-rev/1-REV", h.putRevision),
		of(revision, del, "DeletePackage", "sample/-rev/1-REV", h.deletePackage),
		of(tarballRev, del, "DeletePackageVersions", "sample/-/sample-1.0.0.tgz/-rev/1-REV", h.deleteTarball),
		of(bulk, post, read, "-/npm/v1/security/advisories/bulk", h.audit),
		of(audits, post, read, "-/npm/v1/security/audits/quick", h.auditTree),
		of(keys, get, read, "-/npm/v1/keys", h.getKeys),
		of(advisories, "", "", "-/npm/v1/security/advisories", noAdvisories),
		of(account, "", "", "-/user/org.couchdb.user:sample", noAccounts),
	)
}

func noAdvisories(http.ResponseWriter, *formats.Request, route) error {
	return fault.New(fault.NotFound, "NoAdvisories", "This registry has no such way to ask for security advisories, so nothing was audited. npm 7 and newer ask at advisories/bulk.")
}

func noAccounts(_ http.ResponseWriter, r *formats.Request, _ route) error {
	return fault.New(fault.NotFound, "NoAccounts", "This registry has no accounts, teams, owners or tokens of its own: it knows you by your AWS credentials, and IAM says what you may do. Log in with: aws codeartifact login --tool npm --domain %s --repository %s",
		r.Repository.Domain.Name, r.Repository.Name)
}

// A route is an address below the endpoint, parsed.
type route struct {
	kind formats.Kind
	id   packages.PackageID
	// arg is the version or tag, the tarball's file, or the dist-tag.
	arg string
	// rev is the revision of the document that the client changed.
	rev string
}

// parseRoute reads the escaped path below the endpoint. It is the inverse of
// [route.path], and also accepts the other spellings that clients use.
func parseRoute(escaped string) route {
	segments := strings.Split(strings.TrimSuffix(escaped, "/"), "/")
	for i, s := range segments {
		u, err := url.PathUnescape(s)
		if err != nil {
			return route{}
		}
		segments[i] = u
	}
	switch {
	case len(segments) == 1 && segments[0] == "":
		return route{kind: root}
	case segments[0] == "-":
		return parseSpecial(segments[1:])
	}
	id, rest, ok := takeName(segments)
	if !ok {
		return route{}
	}
	r := route{id: id}
	switch {
	case len(rest) == 0:
		r.kind = document
	case len(rest) == 1 && rest[0] != "-" && rest[0] != "-rev":
		r.kind, r.arg = version, rest[0]
	case len(rest) == 2 && rest[0] == "-rev":
		r.kind, r.rev = revision, rest[1]
	case rest[0] == "-":
		return r.parseTarball(rest[1:])
	}
	return r.orUnknown()
}

// parseTarball reads what follows {package}/-/: a file, possibly with the scope
// before it, and for a deletion the revision.
func (r route) parseTarball(rest []string) route {
	r.kind = tarball
	if n := len(rest); n >= 3 && rest[n-2] == "-rev" {
		r.kind, r.rev, rest = tarballRev, rest[n-1], rest[:n-2]
	}
	r.arg = strings.Join(rest, "/")
	if r.id.Namespace != "" {
		r.arg = strings.TrimPrefix(r.arg, "@"+r.id.Namespace+"/")
	}
	if strings.Contains(r.arg, "/") {
		return route{}
	}
	return r.orUnknown()
}

// orUnknown returns r, or the unknown route if a part of r is empty.
func (r route) orUnknown() route {
	switch r.kind {
	case version, tarball, distTag, attestations:
		if r.arg == "" {
			return route{}
		}
	case revision:
		if r.rev == "" {
			return route{}
		}
	case tarballRev:
		if r.arg == "" || r.rev == "" {
			return route{}
		}
	case unknown:
		return route{}
	}
	return r
}

// parseSpecial reads what follows "-/".
func parseSpecial(rest []string) route {
	if len(rest) >= 2 && rest[0] == "package" {
		id, tail, ok := takeName(rest[1:])
		if !ok || len(tail) == 0 {
			return route{}
		}
		if tail[0] != "dist-tags" {
			return route{kind: account, id: id}
		}
		switch len(tail) {
		case 1:
			return route{kind: distTags, id: id}
		case 2:
			return route{kind: distTag, id: id, arg: tail[1]}.orUnknown()
		}
		return route{}
	}
	if spec, ok := strings.CutPrefix(strings.Join(rest, "/"), "npm/v1/attestations/"); ok {
		return parseAttestations(spec)
	}
	switch path := strings.Join(rest, "/"); {
	case path == "ping":
		return route{kind: ping}
	case path == "whoami":
		return route{kind: whoami}
	case path == "v1/search":
		return route{kind: search}
	case path == "npm/v1/security/advisories/bulk":
		return route{kind: bulk}
	case path == "npm/v1/security/audits", path == "npm/v1/security/audits/quick":
		return route{kind: audits}
	case path == "npm/v1/keys":
		return route{kind: keys}
	case strings.HasPrefix(path, "npm/v1/security/"):
		return route{kind: advisories}
	case strings.HasPrefix(path, "user/"), strings.HasPrefix(path, "v1/login"), strings.HasPrefix(path, "org/"),
		strings.HasPrefix(path, "team/"), strings.HasPrefix(path, "npm/v1/tokens"), strings.HasPrefix(path, "npm/v1/user"):
		return route{kind: account}
	}
	return route{}
}

// parseAttestations reads {package}@{version}.
func parseAttestations(spec string) route {
	i := strings.LastIndexByte(spec, '@')
	if i <= 0 {
		return route{}
	}
	id, ok := packument.ParseName(spec[:i])
	if !ok {
		return route{}
	}
	return route{kind: attestations, id: id, arg: spec[i+1:]}.orUnknown()
}

// takeName splits a package's name off: one segment, or two if the slash of
// @scope/name is not escaped.
func takeName(segments []string) (id packages.PackageID, rest []string, ok bool) {
	name, rest := segments[0], segments[1:]
	if strings.HasPrefix(name, "@") && !strings.Contains(name, "/") && len(rest) > 0 {
		name, rest = name+"/"+rest[0], rest[1:]
	}
	id, ok = packument.ParseName(name)
	return id, rest, ok
}

// path constructs the address of a route about a package.
func (r route) path() string {
	name := packument.FullName(r.id)
	switch r.kind {
	case document:
		return name
	case version:
		return name + "/" + url.PathEscape(r.arg)
	case tarball:
		return name + "/-/" + url.PathEscape(r.arg)
	case tarballRev:
		return name + "/-/" + url.PathEscape(r.arg) + "/-rev/" + url.PathEscape(r.rev)
	case revision:
		return name + "/-rev/" + url.PathEscape(r.rev)
	case attestations:
		return "-/npm/v1/attestations/" + name + "@" + url.PathEscape(r.arg)
	case distTags:
		return "-/package/" + name + "/dist-tags"
	case distTag:
		return "-/package/" + name + "/dist-tags/" + url.PathEscape(r.arg)
	}
	return ""
}
