package oci

import (
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/truncate"
)

// A kind is what a path below /v2/ names. The end-N are from OCI distribution-spec
// 1.1, "Endpoints".
type kind uint8

const (
	kindPing      kind = iota // /v2/                              end-1
	kindToken                 // /v2/token                         of Gatehouse: see anonymous.go
	kindCatalog               // /v2/_catalog                      from Docker's API, supported by every registry
	kindManifest              // /v2/<name>/manifests/<reference>  end-3, 7, 9
	kindBlob                  // /v2/<name>/blobs/<digest>         end-2, 10
	kindUploads               // /v2/<name>/blobs/uploads/         end-4, 11
	kindUpload                // /v2/<name>/blobs/uploads/<id>     end-5, 6, 13, 14
	kindTags                  // /v2/<name>/tags/list              end-8
	kindReferrers             // /v2/<name>/referrers/<digest>     end-12
	kindCount
)

// A path is a parsed URL path. Every part matches its grammar, so it cannot contain
// "..", an empty segment or anything that needs escaping. What is authorized is
// therefore what is served.
type path struct {
	kind     kind
	name     string        // the repository; empty for kindPing, kindToken and kindCatalog
	tag      string        // kindManifest if digest is empty
	digest   digest.Digest // kindBlob, kindReferrers, and kindManifest without a tag
	uploadID string        // kindUpload
}

const (
	pathPrefix = "/v2/"
	// maxUploadIDLength is far above the 36 characters of a UUID.
	maxUploadIDLength = 128
)

// parsePath parses the unescaped path of a URL. It is the inverse of [path.String],
// and also accepts "/v2" and "…/blobs/uploads" without the last slash. The name of a
// repository may contain components such as "manifests" and "tags", so the path is
// parsed from its end.
//
// Faults: PathUnknown, InvalidRepositoryName, InvalidTag,
// InvalidDigest, DigestUnsupported and UploadNotFound.
func parsePath(s string) (path, error) {
	if s == "/v2" || s == pathPrefix {
		return path{kind: kindPing}, nil
	}
	rest, ok := strings.CutPrefix(s, pathPrefix)
	if !ok {
		return path{}, errPathUnknown()
	}
	if rest == "token" {
		return path{kind: kindToken}, nil
	}
	if rest == "_catalog" {
		return path{kind: kindCatalog}, nil
	}
	before, last, _ := cutLast(rest)
	name, second, ok := cutLast(before)
	if !ok {
		return path{}, errPathUnknown()
	}

	p := path{name: name}
	var err error
	switch {
	case second == "manifests":
		p.kind = kindManifest
		p.tag, p.digest, err = parseReference(last)
	case second == "referrers":
		p.kind = kindReferrers
		p.digest, err = parseDigest(last)
	case second == "tags" && last == "list":
		p.kind = kindTags
	case second == "blobs" && last == "uploads":
		p.kind = kindUploads
	case second == "blobs":
		p.kind = kindBlob
		p.digest, err = parseDigest(last)
	case second == "uploads" && strings.HasSuffix(name, "/blobs"):
		p.kind = kindUpload
		p.name = strings.TrimSuffix(name, "/blobs")
		if last == "" {
			p.kind = kindUploads
			break
		}
		p.uploadID, err = parseUploadID(last)
	default:
		return path{}, errPathUnknown()
	}
	if nameErr := checkName(p.name); nameErr != nil {
		return path{}, nameErr
	}
	if err != nil {
		return path{}, err
	}
	return p, nil
}

// String returns the path in its canonical form. It needs no escaping: the grammars
// do not allow characters that a URL would escape.
func (p path) String() string {
	switch p.kind {
	case kindPing:
		return pathPrefix
	case kindToken:
		return tokenPath
	case kindCatalog:
		return pathPrefix + "_catalog"
	case kindManifest:
		if p.digest != "" {
			return pathPrefix + p.name + "/manifests/" + p.digest.String()
		}
		return pathPrefix + p.name + "/manifests/" + p.tag
	case kindBlob:
		return pathPrefix + p.name + "/blobs/" + p.digest.String()
	case kindUploads:
		return pathPrefix + p.name + "/blobs/uploads/"
	case kindUpload:
		return pathPrefix + p.name + "/blobs/uploads/" + p.uploadID
	case kindTags:
		return pathPrefix + p.name + "/tags/list"
	case kindReferrers:
		return pathPrefix + p.name + "/referrers/" + p.digest.String()
	}
	return ""
}

// cutLast splits s at its last slash.
func cutLast(s string) (before, after string, found bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}

// checkName checks the name of a repository by ECR's rule. It allows less than OCI
// distribution-spec 1.1, "Pulling manifests", but other names cannot exist here.
func checkName(name string) error {
	if images.ValidRepositoryName(name) {
		return nil
	}
	return fault.New(fault.Invalid, "InvalidRepositoryName",
		"The repository name '%s' is not valid: it must have 2 to 256 characters, in components of lower-case letters and digits. '/' separates components; a single '.', '_' or '-' may be inside a component.", clip(name))
}

// parseReference parses what follows /manifests/: a digest or a tag.
func parseReference(s string) (tag string, d digest.Digest, err error) {
	if strings.Contains(s, ":") {
		d, err = parseDigest(s)
		return "", d, err
	}
	if !images.ValidTag(s) {
		return "", "", fault.New(fault.Invalid, "InvalidTag",
			"'%s' is not a valid tag: a tag has 1 to 128 letters, digits, '_', '.' and '-', and does not begin with '.' or '-'.", clip(s))
	}
	return s, "", nil
}

func parseDigest(s string) (digest.Digest, error) {
	d := digest.Digest(s)
	if err := images.CheckDigest(d); err != nil {
		return "", err
	}
	return d, nil
}

// parseUploadID checks the id of an upload, which consists of characters that need
// no escaping. Any other id cannot exist.
func parseUploadID(s string) (string, error) {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '_' && c != '-' {
			return "", errUploadNotFound()
		}
	}
	if len(s) > maxUploadIDLength {
		return "", errUploadNotFound()
	}
	return s, nil
}

// clip shortens a part of the request for an error message.
func clip(s string) string { return truncate.String(s, 160) }

func errPathUnknown() error {
	return fault.New(fault.NotFound, "PathUnknown", "This endpoint does not exist. See the OCI distribution specification for the paths below %s.", pathPrefix)
}

func errUploadNotFound() error {
	return fault.New(fault.NotFound, "UploadNotFound", "The upload does not exist. It was completed, cancelled or removed after a time without requests. Start a new upload.")
}
