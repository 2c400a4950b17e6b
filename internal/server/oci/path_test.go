package oci

import (
	"net/url"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

const (
	someSHA256 = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	someSHA512 = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
)

// names draws repository names, some with components that look like parts of the
// endpoint.
func names() *rapid.Generator[string] {
	component := rapid.OneOf(
		rapid.SampledFrom([]string{"blobs", "uploads", "manifests", "tags", "list", "referrers", "v2"}),
		rapid.StringMatching(`[a-z0-9]{1,6}([._-][a-z0-9]{1,4}){0,3}`),
	)
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(component, 1, 5).Draw(t, "components"), "/")
	}).Filter(func(s string) bool { return len(s) >= 2 })
}

func digests() *rapid.Generator[digest.Digest] {
	return rapid.Custom(func(t *rapid.T) digest.Digest {
		algorithm := rapid.SampledFrom([]digest.Algorithm{digest.SHA256, digest.SHA512}).Draw(t, "algorithm")
		return algorithm.FromBytes(rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(t, "content"))
	})
}

func paths() *rapid.Generator[path] {
	return rapid.Custom(func(t *rapid.T) path {
		p := path{kind: kind(rapid.IntRange(0, int(kindCount)-1).Draw(t, "kind"))}
		if p.kind != kindPing && p.kind != kindToken && p.kind != kindCatalog {
			p.name = names().Draw(t, "name")
		}
		switch p.kind {
		case kindBlob, kindReferrers:
			p.digest = digests().Draw(t, "digest")
		case kindUpload:
			p.uploadID = rapid.StringMatching(`[A-Za-z0-9_-]{1,40}`).Draw(t, "upload")
		case kindManifest:
			if rapid.Bool().Draw(t, "by digest") {
				p.digest = digests().Draw(t, "digest")
			} else {
				p.tag = rapid.StringMatching(`[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`).Draw(t, "tag")
			}
		}
		return p
	})
}

func TestParsePath_InvertsString(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := paths().Draw(t, "path")
		got, err := parsePath(want.String())
		if err != nil || got != want {
			t.Fatalf("parsePath(%q) = %+v, %v; want %+v", want.String(), got, err, want)
		}
		u, err := url.Parse("http://registry.example" + want.String())
		if err != nil || u.Path != want.String() || u.EscapedPath() != want.String() {
			t.Fatalf("%q is not its own escaped form: %v, %v", want.String(), u, err)
		}
	})
}

func TestParsePath_Lenient(t *testing.T) {
	for in, want := range map[string]path{
		"/v2":                              {kind: kindPing},
		"/v2/team/app/blobs/uploads":       {kind: kindUploads, name: "team/app"},
		"/v2/blobs/uploads/blobs/uploads/": {kind: kindUploads, name: "blobs/uploads"},
	} {
		if got, err := parsePath(in); err != nil || got != want {
			t.Errorf("parsePath(%q) = %+v, %v", in, got, err)
		}
	}
}

func TestParsePath_Invalid(t *testing.T) {
	long := strings.Repeat("a", 257)
	for in, code := range map[string]string{
		"":                                     "PathUnknown",
		"/":                                    "PathUnknown",
		"/v1/":                                 "PathUnknown",
		"/v2/app":                              "PathUnknown",
		"/v2//":                                "PathUnknown",
		"/v2/app/":                             "PathUnknown",
		"/v2/app/tags/":                        "PathUnknown",
		"/v2/app/tags/list/":                   "PathUnknown",
		"/v2/manifests/latest":                 "PathUnknown",
		"/v2/app/extra/thing":                  "PathUnknown",
		"/v2/uploads/x":                        "PathUnknown",
		"/v2/blobs/uploads/":                   "PathUnknown",
		"/v2/App/tags/list":                    "InvalidRepositoryName",
		"/v2/a/tags/list":                      "InvalidRepositoryName",
		"/v2/" + long + "/tags/list":           "InvalidRepositoryName",
		"/v2/../app/tags/list":                 "InvalidRepositoryName",
		"/v2/team/../app/tags/list":            "InvalidRepositoryName",
		"/v2/team//app/tags/list":              "InvalidRepositoryName",
		"/v2/app__x/tags/list":                 "InvalidRepositoryName",
		"/v2/app..x/tags/list":                 "InvalidRepositoryName",
		"/v2/app._x/tags/list":                 "InvalidRepositoryName",
		"/v2/-app/tags/list":                   "InvalidRepositoryName",
		"/v2/app-/tags/list":                   "InvalidRepositoryName",
		"/v2/ap\x00p/tags/list":                "InvalidRepositoryName",
		"/v2/app/manifests/":                   "InvalidTag",
		"/v2/app/manifests/.hidden":            "InvalidTag",
		"/v2/app/manifests/..":                 "InvalidTag",
		"/v2/app/manifests/" + long[:129]:      "InvalidTag",
		"/v2/app/manifests/sha256:short":       "InvalidDigest",
		"/v2/app/blobs/latest":                 "InvalidDigest",
		"/v2/app/blobs/":                       "InvalidDigest",
		"/v2/app/blobs/md5:d41d8cd98f00b204e9": "DigestUnsupported",
		"/v2/app/referrers/sha384:00":          "DigestUnsupported",
		"/v2/app/referrers/" + strings.ToUpper(someSHA256[7:]):              "InvalidDigest",
		"/v2/app/blobs/sha256:" + strings.ToUpper(someSHA256[7:]):           "InvalidDigest",
		"/v2/app/blobs/uploads/..":                                          "UploadNotFound",
		"/v2/app/blobs/uploads/" + strings.Repeat("x", maxUploadIDLength+1): "UploadNotFound",
	} {
		if p, err := parsePath(in); !fault.Is(err, code) {
			t.Errorf("parsePath(%q) = %+v, %v; want %s", in, p, err, code)
		}
	}
}

// A path that can be parsed has one canonical form, and every part matches its grammar.
func FuzzParsePath(f *testing.F) {
	for _, seed := range []string{
		"/v2/", "/v2/_catalog", "/v2/app/tags/list", "/v2/team/app/manifests/1.2.3", "/v2/app/manifests/" + someSHA256,
		"/v2/app/blobs/" + someSHA512, "/v2/app/blobs/uploads/", "/v2/app/blobs/uploads/2c4a-_X", "/v2/app/referrers/" + someSHA256,
		"/v2/a/../b/tags/list", "/v2/blobs/uploads/blobs/uploads/x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		p, err := parsePath(in)
		if err != nil {
			if fault.From(err).Kind == fault.Internal {
				t.Fatalf("parsePath(%q): %v", in, err)
			}
			return
		}
		if again, err := parsePath(p.String()); err != nil || again != p {
			t.Fatalf("%q parsed to %+v, whose form %q parses to %+v, %v", in, p, p.String(), again, err)
		}
		if strings.Contains(p.name+p.tag+p.uploadID, "..") && !strings.Contains(p.tag, "..") || strings.ContainsAny(p.tag+p.uploadID, "/\\%?#") {
			t.Fatalf("%q parsed to %+v", in, p)
		}
	})
}

func FuzzParseContentRange(f *testing.F) {
	f.Add("0-1023")
	f.Add("bytes 5-9/*")
	f.Add("9-5")
	f.Add("18446744073709551615-18446744073709551616")
	f.Fuzz(func(t *testing.T, in string) {
		if first, last, err := parseContentRange(in); err == nil && (first < 0 || last < first || last-first+1 <= 0) {
			t.Fatalf("parseContentRange(%q) = %d, %d", in, first, last)
		}
	})
}
