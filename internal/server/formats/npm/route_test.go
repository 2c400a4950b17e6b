package npm

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/npm/packument"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func anyID(t *rapid.T) packages.PackageID {
	return packages.PackageID{
		Format:    packages.NPM,
		Namespace: rapid.StringMatching(`([A-Za-z0-9~][A-Za-z0-9._~-]{0,20})?`).Draw(t, "scope"),
		Name:      rapid.StringMatching(`[A-Za-z0-9~][A-Za-z0-9._~-]{0,20}`).Draw(t, "name"),
	}
}

func TestParseRoute_RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := route{
			kind: rapid.SampledFrom([]formats.Kind{document, version, tarball, tarballRev, revision, distTags, distTag}).Draw(t, "kind"),
			id:   anyID(t),
		}
		arg, rev := rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._+-]{0,20}`), rapid.StringMatching(`[0-9]-[A-Z2-7]{1,20}`)
		switch r.kind {
		case version, tarball, distTag:
			r.arg = arg.Draw(t, "arg")
		case revision:
			r.rev = rev.Draw(t, "rev")
		case tarballRev:
			r.arg, r.rev = arg.Draw(t, "arg"), rev.Draw(t, "rev")
		}
		if got := parseRoute(r.path()); got != r {
			t.Fatalf("%s was parsed as %+v, not %+v", r.path(), got, r)
		}
	})
}

func TestParseRoute_Spellings(t *testing.T) {
	scoped := packages.PackageID{Format: packages.NPM, Namespace: "scope", Name: "name"}
	plain := packages.PackageID{Format: packages.NPM, Name: "name"}
	for path, want := range map[string]route{
		"":                                  {kind: root},
		"name":                              {kind: document, id: plain},
		"name/":                             {kind: document, id: plain},
		"@scope/name":                       {kind: document, id: scoped},
		"@scope%2fname":                     {kind: document, id: scoped},
		"@scope%2Fname":                     {kind: document, id: scoped},
		"%40scope%2fname":                   {kind: document, id: scoped},
		"@scope/name/1.0.0":                 {kind: version, id: scoped, arg: "1.0.0"},
		"@scope%2fname/latest":              {kind: version, id: scoped, arg: "latest"},
		"@scope/name/-/name-1.0.0.tgz":      {kind: tarball, id: scoped, arg: "name-1.0.0.tgz"},
		"@scope/name/-/@scope/name-1.0.tgz": {kind: tarball, id: scoped, arg: "name-1.0.tgz"},
		"@scope%2fname/-/@scope%2fn-1.tgz":  {kind: tarball, id: scoped, arg: "n-1.tgz"},
		"-/package/@scope%2fname/dist-tags": {kind: distTags, id: scoped},
		"-/ping":                            {kind: ping},
		"-/whoami":                          {kind: whoami},
		"-/v1/search":                       {kind: search},
		"-/npm/v1/security/audits/quick":    {kind: audits},
		"-/npm/v1/security/audits":          {kind: audits},
		"-/npm/v1/security/other":           {kind: advisories},
		"-/npm/v1/keys":                     {kind: keys},
		"-/user/org.couchdb.user:me":        {kind: account},
		"-/package/name/collaborators":      {kind: account, id: plain},
		// What is nothing.
		"@scope":           {},
		"@/name":           {},
		"@scope/":          {},
		".hidden":          {},
		"_private":         {},
		"na%20me":          {},
		"name/-/":          {},
		"name/-/a/b.tgz":   {},
		"name/-rev/":       {},
		"name/1.0.0/x":     {},
		"-/package//x":     {},
		"%zz":              {},
		"-":                {},
		"..%2f..%2fsecret": {},
	} {
		if got := parseRoute(path); got != want {
			t.Errorf("%q was parsed as %+v, not %+v", path, got, want)
		}
	}
}

func FuzzParseRoute(f *testing.F) {
	for _, s := range []string{"", "@a%2fb/-/b-1.0.0.tgz/-rev/1-X", "-/package/a/dist-tags/latest", "a/%2e%2e/b", "@/@/@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		r := parseRoute(path)
		if p := r.path(); p != "" && parseRoute(p) != r {
			t.Fatalf("%q is %+v, whose path %q is %+v", path, r, p, parseRoute(p))
		}
	})
}

func TestTarballName_RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id, v := anyID(t), rapid.StringMatching(`(0|[1-9][0-9]{0,3})\.(0|[1-9])\.(0|[1-9])(-[a-z][a-z0-9.]{0,5}[a-z])?(\+[a-z0-9]{1,4})?`).Filter(packument.ValidVersion).Draw(t, "version")
		for _, file := range []string{tarballName(id, v), packument.FullName(id) + "-" + v + ".tgz"} {
			if got, ok := tarballVersion(id, file); !ok || got != v {
				t.Fatalf("%s of %s: %q %v", file, packument.FullName(id), got, ok)
			}
		}
	})
}

func TestCheckTag(t *testing.T) {
	// What validRange of npm's semver says of each.
	for tag, good := range map[string]bool{
		"latest": true, "next": true, "beta-1": true, "release.x": true, "v7-legacy": true, "v1-latest": true, "18-lts": true, "7-legacy": true,
		"2024-01": true, "0.x-dev": true, "latest-1": true, "v": true, "~": true, "01": true, "x.2": true, "1.2-beta": true, "9007199254740993": true, "(next)!": true,
		"1": false, "v1": false, "vv1": false, "~1": false, "1.2": false, "1.2.3": false, "1.x": false, "x": false, "X.x": false, "*": false, "1.*": false,
		"v1.0.0-beta": false, "1.x.x-beta.1": false, "": false, "a b": false, "a/b": false, "a+b": false, "@a": false, "ünï": false,
	} {
		if err := checkTag(tag); (err == nil) != good {
			t.Errorf("%q: %v", tag, err)
		}
	}
}
