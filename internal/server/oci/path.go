package oci

import (
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// A kind is what a path below /v2/ names. The endpoints that each serves are
// those of OCI distribution-spec 1.1, "Endpoints".
type kind uint8

const (
	kindPing      kind = iota // /v2/                              end-1
	kindCatalog               // /v2/_catalog                      Docker's, kept by every registry
	kindManifest              // /v2/<name>/manifests/<reference>  end-3, 7, 9
	kindBlob                  // /v2/<name>/blobs/<digest>         end-2, 10
	kindUploads               // /v2/<name>/blobs/uploads/         end-4, 11
	kindUpload                // /v2/<name>/blobs/uploads/<id>     end-5, 6, 13, 14
	kindTags                  // /v2/<name>/tags/list              end-8
	kindReferrers             // /v2/<name>/referrers/<digest>     end-12
	kindCount
)

// A path is a parsed URL path. Every part obeys its grammar, so that none can
// hold "..", an empty segment or anything that needs escaping, and what is
// authorized is what is served.
type path struct {
	kind     kind
	name     string        // the repository; empty for kindPing and kindCatalog
	tag      string        // kindManifest, where digest is empty
	digest   digest.Digest // kindBlob, kindReferrers, and kindManifest without a tag
	uploadID string        // kindUpload
}

const (
	pathPrefix = "/v2/"
	// maxUploadIDLength is far above a UUID's 36.
	maxUploadIDLength = 128
)

// parsePath reads the unescaped path of a URL. It is the inverse of
// [path.String], but takes "/v2" and "…/blobs/uploads" without their last slash
// too. A repository's name may have components such as "manifests" and "tags",
// so a path is read from its end.
//
// It returns the faults PathUnknown, InvalidRepositoryName, InvalidTag,
// InvalidDigest, DigestUnsupported and UploadNotFound.
func parsePath(s string) (path, error) {
	if s == "/v2" || s == pathPrefix {
		return path{kind: kindPing}, nil
	}
	rest, ok := strings.CutPrefix(s, pathPrefix)
	if !ok {
		return path{}, errPathUnknown()
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

// String returns the path in its one canonical form, which is its escaped form
// as well: the grammars leave nothing that a URL would escape.
func (p path) String() string {
	switch p.kind {
	case kindPing:
		return pathPrefix
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

// checkName checks a repository's name against the one rule for them, which is
// ECR's. It is narrower than that of OCI distribution-spec 1.1, "Pulling
// manifests": no other name can exist here.
func checkName(name string) error {
	if images.ValidRepositoryName(name) {
		return nil
	}
	return fault.New(fault.Invalid, "InvalidRepositoryName",
		"The repository name '%s' is malformed: want 2 to 256 characters, in components of lower case letters and digits that are separated by '/', and within a component by single '.', '_' or '-'.", clip(name))
}

// parseReference reads what stands behind /manifests/: a digest, or a tag.
func parseReference(s string) (tag string, d digest.Digest, err error) {
	if strings.Contains(s, ":") {
		d, err = parseDigest(s)
		return "", d, err
	}
	if !images.ValidTag(s) {
		return "", "", fault.New(fault.Invalid, "InvalidTag",
			"'%s' is not a tag, which has 1 to 128 letters, digits, '_', '.' and '-', and does not begin with '.' or '-'.", clip(s))
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

// parseUploadID reads an upload's id, whose form is the domain's: anything that
// needs no escaping. What cannot be an id names no upload.
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

// clip bounds a piece of the request that is shown in an error's message.
func clip(s string) string {
	const most = 160
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

func errPathUnknown() error {
	return fault.New(fault.NotFound, "PathUnknown", "There is no such endpoint. The paths are those of the OCI distribution specification, below %s.", pathPrefix)
}

func errUploadNotFound() error {
	return fault.New(fault.NotFound, "UploadNotFound", "There is no such upload: it was completed, cancelled or swept, or never started.")
}
