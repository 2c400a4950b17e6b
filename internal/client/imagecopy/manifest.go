package imagecopy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// maxChildren bounds what one manifest names, and what refers to it.
const maxChildren = 10_000

// ErrNotFound means that a source does not have a manifest.
var ErrNotFound = errors.New("the manifest does not exist")

// A Descriptor names a manifest or a blob (OCI Image Specification, "Content Descriptors").
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
}

// SHA256 returns the digits of the digest.
func (d *Descriptor) SHA256() (string, error) {
	if !digestPattern.MatchString(d.Digest) {
		return "", fmt.Errorf("%.100q is not a SHA-256 digest", d.Digest)
	}
	return d.Digest[len("sha256:"):], nil
}

var digestPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// IsDigest reports whether a reference is a digest, and not a tag.
func IsDigest(reference string) bool { return strings.Contains(reference, ":") }

// TagOf returns a reference that is a tag, and "" for a digest.
func TagOf(reference string) string {
	if IsDigest(reference) {
		return ""
	}
	return reference
}

// A Manifest is an image, an index or an artifact, with its bytes.
type Manifest struct {
	Descriptor
	Text []byte

	document document
}

// A document is what all kinds of manifests have.
type document struct {
	Config    *Descriptor  `json:"config"`
	Layers    []Descriptor `json:"layers"`
	Manifests []Descriptor `json:"manifests"`
}

// NewManifest returns a manifest of which the source says the digest and the media type.
func NewManifest(digest, mediaType string, text []byte) (*Manifest, error) {
	m := &Manifest{Descriptor: Descriptor{MediaType: mediaType, Digest: digest, Size: int64(len(text))}, Text: text}
	want, err := m.SHA256()
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != want {
		return nil, fmt.Errorf("the manifest %s does not have its digest", digest)
	}
	if err := json.Unmarshal(text, &m.document); err != nil {
		return nil, fmt.Errorf("the manifest %s cannot be read: %w", digest, err)
	}
	if len(m.document.Layers)+len(m.document.Manifests) > maxChildren {
		return nil, fmt.Errorf("the manifest %s names more than %d others", digest, maxChildren)
	}
	for _, all := range [][]Descriptor{m.Blobs(), m.document.Manifests} {
		for i := range all {
			if _, err := all[i].SHA256(); err != nil {
				return nil, fmt.Errorf("the manifest %s: %w", digest, err)
			}
		}
	}
	return m, nil
}

// Blobs are the layers and the configuration, each once.
func (m *Manifest) Blobs() []Descriptor {
	all := slices.Clone(m.document.Layers)
	if m.document.Config != nil {
		all = append(all, *m.document.Config)
	}
	slices.SortFunc(all, func(a, b Descriptor) int { return strings.Compare(a.Digest, b.Digest) })
	return slices.CompactFunc(all, func(a, b Descriptor) bool { return a.Digest == b.Digest })
}

// Children are the manifests that an index names.
func (m *Manifest) Children() []Descriptor { return m.document.Manifests }
