package npm

import (
	"net/url"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// A kind is the resource that an address names.
type kind uint8

const (
	unknown      kind = iota
	root              // the endpoint itself
	document          // {package}
	version           // {package}/{version or tag}
	tarball           // {package}/-/{file}
	tarballRev        // {package}/-/{file}/-rev/{rev}
	revision          // {package}/-rev/{rev}
	distTags          // -/package/{package}/dist-tags
	distTag           // -/package/{package}/dist-tags/{tag}
	ping              // -/ping
	whoami            // -/whoami
	search            // -/v1/search
	attestations      // -/npm/v1/attestations/{package}@{version}
	advisories        // -/npm/v1/security/…
	account           // logins, users, teams, tokens
)

// A route is an address below the endpoint, parsed.
type route struct {
	kind kind
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
	id, ok := parseName(spec[:i])
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
	id, ok = parseName(name)
	return id, rest, ok
}

// path constructs the address of a route about a package.
func (r route) path() string {
	name := fullName(r.id)
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
