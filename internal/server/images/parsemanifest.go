package images

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/truncate"
)

// MaxManifest is the maximum size of a manifest in bytes: 4 MiB (ImageManifest in
// ECR's model; OCI distribution-spec 1.1, Pushing manifests, requires at least
// this).
const MaxManifest = 4 << 20

// Docker's media types (distribution, "Image Manifest Version 2, Schema 2").
const (
	mediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	mediaTypeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	prefixDockerSchema1     = "application/vnd.docker.distribution.manifest.v1+"
)

// A manifestDocument has the members that a registry reads of a manifest of any
// kind: an image manifest or an index, of OCI (image-spec 1.1) or Docker, or a
// document in their form.
type manifestDocument struct {
	SchemaVersion int         `json:"schemaVersion"`
	MediaType     string      `json:"mediaType"`
	ArtifactType  string      `json:"artifactType"`
	Config        *descriptor `json:"config"`
	Layers        descriptors `json:"layers"`
	Blobs         descriptors `json:"blobs"` // of an artifact manifest, which was removed from OCI 1.1 before its release
	Manifests     descriptors `json:"manifests"`
	Subject       *descriptor `json:"subject"`
	Annotations   annotations `json:"annotations"`
}

type descriptor struct {
	MediaType string        `json:"mediaType"`
	Digest    digest.Digest `json:"digest"`
	Size      int64         `json:"size"`
	URLs      []string      `json:"urls"`
}

// The limits on what is in a manifest. Without them, a manifest of 4 MiB that
// consists of empty objects takes more than 20 times its size in memory, and many
// rows. Real images have less than a hundred descriptors; caches and artifacts
// have up to some thousands.
const (
	maxDescriptors = 10_000  // of a list
	maxAnnotations = 10_000  // of a manifest
	maxValues      = 200_000 // members of objects and elements of lists, all together
)

// descriptors is a list of at most maxDescriptors.
type descriptors []descriptor

// UnmarshalJSONFrom implements [jsonv2.UnmarshalerFrom].
func (l *descriptors) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() != '[' {
		return jsonv2.UnmarshalDecode(dec, (*[]descriptor)(l)) // null, or an error
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	*l = descriptors{}
	for dec.PeekKind() != ']' {
		var d descriptor
		if err := jsonv2.UnmarshalDecode(dec, &d); err != nil {
			return err
		}
		if len(*l) == maxDescriptors {
			return invalidManifest(fmt.Sprintf("A manifest lists at most %d layers or manifests", maxDescriptors))
		}
		*l = append(*l, d)
	}
	_, err := dec.ReadToken()
	return err
}

// annotations has at most maxAnnotations entries.
type annotations map[string]string

// UnmarshalJSONFrom implements [jsonv2.UnmarshalerFrom].
func (a *annotations) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() != '{' {
		return jsonv2.UnmarshalDecode(dec, (*map[string]string)(a)) // null, or an error
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	*a = annotations{}
	for dec.PeekKind() != '}' {
		var name, value string
		if err := jsonv2.UnmarshalDecode(dec, &name); err != nil {
			return err
		}
		if err := jsonv2.UnmarshalDecode(dec, &value); err != nil {
			return err
		}
		if len(*a) == maxAnnotations {
			return invalidManifest(fmt.Sprintf("A manifest has at most %d annotations", maxAnnotations))
		}
		(*a)[name] = value
	}
	_, err := dec.ReadToken()
	return err
}

// countValues returns how many members and elements a JSON text has, or a number
// above limit. It counts too many in a malformed text.
func countValues(text []byte, limit int) (n int) {
	inString := false
	for i := 0; i < len(text) && n <= limit; i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case !inString && (c == ',' || c == '{' || c == '['):
			n++
		}
	}
	return n
}

// A parsedManifest is what the store needs to know about a manifest.
type parsedManifest struct {
	mediaType, artifactType string
	subject                 digest.Digest
	annotations             string // JSON, or empty
	// size is the sum of the config and the layers. That of an index is 0.
	size int64
	// blobs must be linked in the repository. optional ones may be stored elsewhere.
	blobs, optional []digest.Digest
	// children must be manifests of the repository, except that those in lenient
	// may be blobs instead.
	children []digest.Digest
	lenient  map[digest.Digest]int64 // the size in the descriptor
	// isSignature is true for what has the form of a signature of the Notary Project or of
	// cosign. Its layers may still be something else: see [Service.hasSignatures].
	isSignature bool
	// mediaTypes and sizes are those of the descriptors.
	mediaTypes map[digest.Digest]string
	sizes      map[digest.Digest]int64
}

// parseManifest parses a manifest. mediaType is what the client says; if it is
// empty, the manifest's own mediaType counts. Faults: InvalidManifest,
// ManifestUnsupported.
func parseManifest(mediaType string, body []byte) (*parsedManifest, error) {
	if countValues(body, maxValues) > maxValues {
		return nil, invalidManifest(fmt.Sprintf("A manifest has at most %d JSON values", maxValues))
	}
	// Names match exactly and must not repeat. If two parsers read a manifest
	// differently, an attacker can show each of them another content.
	var doc manifestDocument
	if err := jsonv2.Unmarshal(body, &doc); err != nil {
		if f, ok := errors.AsType[*fault.Error](err); ok {
			return nil, f
		}
		if semantic, ok := errors.AsType[*jsonv2.SemanticError](err); ok {
			return nil, invalidManifest("Invalid image manifest: " + semantic.Error())
		}
		return nil, invalidManifest("Invalid JSON syntax")
	}
	mediaType, _, _ = strings.Cut(mediaType, ";")
	mediaType = strings.TrimSpace(mediaType)
	if err := doc.resolveMediaType(mediaType); err != nil {
		return nil, err
	}
	r := &parsedManifest{mediaType: doc.MediaType, artifactType: doc.ArtifactType, isSignature: doc.isSignature()}
	if len(doc.Annotations) > 0 {
		text, err := json.Marshal(doc.Annotations)
		if err != nil {
			return nil, err
		}
		r.annotations = string(text)
	}
	if doc.Subject != nil {
		if err := doc.Subject.check("subject"); err != nil {
			return nil, err
		}
		r.subject = doc.Subject.Digest
	}
	if err := r.references(&doc); err != nil {
		return nil, err
	}
	return r, nil
}

// The media types of signatures: those of cosign, and the envelopes of the Notary Project.
const (
	cosignPayload = "application/vnd.dev.cosign.simplesigning.v1+json"
	sigstoreType  = "application/vnd.dev.sigstore.bundle."
	joseEnvelope  = "application/jose+json"
	coseEnvelope  = "application/cose"
)

// isSignature reports whether every layer of a manifest calls itself a signature. An
// artifactType alone says nothing about the layers.
func (doc *manifestDocument) isSignature() bool {
	if doc.Config == nil || doc.Config.MediaType == coseEnvelope || len(doc.Layers) == 0 || doc.Blobs != nil {
		return false
	}
	isNotation := doc.Config.MediaType == notationSignature || doc.Config.MediaType == ocispec.MediaTypeEmptyJSON && doc.ArtifactType == notationSignature
	for i := range doc.Layers {
		l := &doc.Layers[i]
		isEnvelope := isNotation && (l.MediaType == joseEnvelope || l.MediaType == coseEnvelope)
		if l.foreign() || !isEnvelope && l.MediaType != cosignPayload && !strings.HasPrefix(l.MediaType, sigstoreType) {
			return false
		}
	}
	return true
}

// resolveMediaType sets doc.MediaType, and refuses a manifest that does not have
// the form of its type.
func (doc *manifestDocument) resolveMediaType(declared string) error {
	switch {
	case declared == "" && doc.MediaType == "":
		doc.MediaType = doc.guess()
	case doc.MediaType == "":
		doc.MediaType = declared
	case declared != "" && declared != doc.MediaType:
		return invalidManifest("The manifest's mediaType " + quote(doc.MediaType) + " does not match the media type " + quote(declared) + " of the request")
	}
	if doc.MediaType == "" {
		return invalidManifest("The media type is missing: send it as Content-Type or as the manifest's mediaType")
	}
	if strings.HasPrefix(doc.MediaType, prefixDockerSchema1) {
		return fault.New(fault.Invalid, "ManifestUnsupported", "Docker image manifests of schema 1 are not supported: push schema 2 or OCI.")
	}
	isImage, isIndex := doc.Config != nil || doc.Layers != nil || doc.Blobs != nil, doc.Manifests != nil
	if isImage && isIndex {
		// image-spec 1.1, Image Manifest: such documents are ambiguous.
		return invalidManifest("A manifest has either manifests or config and layers, not both")
	}
	switch doc.MediaType {
	case ocispec.MediaTypeImageManifest, mediaTypeDockerManifest:
		// layers may be missing: some programs write an empty list as null.
		if doc.SchemaVersion != 2 || doc.Config == nil {
			return invalidManifest("An image manifest has schemaVersion 2, config and layers")
		}
	case ocispec.MediaTypeImageIndex, mediaTypeDockerList:
		if doc.SchemaVersion != 2 || isImage {
			return invalidManifest("An image index has schemaVersion 2 and manifests")
		}
	default:
		if !isImage && !isIndex {
			return fault.New(fault.Invalid, "ManifestUnsupported", "A manifest of the media type %q is supported only in the shape of an OCI image manifest or index.", doc.MediaType)
		}
	}
	return nil
}

// guess returns the type of an OCI manifest without mediaType, which is optional
// in image-spec 1.1.
func (doc *manifestDocument) guess() string {
	switch {
	case doc.SchemaVersion != 2:
		return ""
	case doc.Manifests != nil:
		return ocispec.MediaTypeImageIndex
	case doc.Config != nil:
		return ocispec.MediaTypeImageManifest
	}
	return ""
}

// references collects the blobs and manifests that the manifest needs.
func (r *parsedManifest) references(doc *manifestDocument) error {
	r.mediaTypes = make(map[digest.Digest]string, len(doc.Layers)+len(doc.Manifests)+1)
	r.sizes = make(map[digest.Digest]int64, len(doc.Layers)+len(doc.Manifests)+1)
	layers := slices.Concat(doc.Layers, doc.Blobs)
	if doc.Config != nil {
		if r.artifactType == "" {
			r.artifactType = doc.Config.MediaType
		}
		layers = append(layers, *doc.Config)
	}
	for i := range layers {
		l := &layers[i]
		if err := l.check("layer or config"); err != nil {
			return err
		}
		r.mediaTypes[l.Digest], r.sizes[l.Digest] = l.MediaType, l.Size
		if r.size += l.Size; r.size < 0 {
			return invalidManifest("The sizes of the layers add up to more than an integer holds")
		}
		if l.foreign() {
			r.optional = append(r.optional, l.Digest)
		} else {
			r.blobs = append(r.blobs, l.Digest)
		}
	}
	for i := range doc.Manifests {
		m := &doc.Manifests[i]
		if err := m.check("manifest"); err != nil {
			return err
		}
		r.mediaTypes[m.Digest], r.sizes[m.Digest] = m.MediaType, m.Size
		r.children = append(r.children, m.Digest)
		// A BuildKit cache is an index that lists layers and a cache config.
		if !isManifestType(m.MediaType) {
			if r.lenient == nil {
				r.lenient = make(map[digest.Digest]int64)
			}
			r.lenient[m.Digest] = m.Size
		}
	}
	r.blobs, r.optional, r.children = unique(r.blobs), unique(r.optional), unique(r.children)
	return nil
}

// A reference is a digest that a manifest needs, with the media type that the
// manifest gives it.
type reference struct {
	digest    digest.Digest
	mediaType string
}

// needs lists everything that the manifest needs, whether or not it exists: a client
// may push a foreign layer later, and then the sweep must not remove it.
func (r *parsedManifest) needs() []reference {
	digests := unique(slices.Concat(r.blobs, r.optional, r.children))
	list := make([]reference, len(digests))
	for i, d := range digests {
		list[i] = reference{d, truncate.Prefix(r.mediaTypes[d], 255)}
	}
	return list
}

func (d *descriptor) check(what string) error {
	if CheckDigest(d.Digest) != nil {
		return invalidManifest("The digest " + quote(string(d.Digest)) + " of a " + what + " is not sha256 or sha512 in lower-case hexadecimal digits")
	}
	if d.Size < 0 {
		return invalidManifest("The size of a " + what + " is negative")
	}
	return nil
}

// foreign reports whether a layer's bytes may be stored elsewhere: the descriptor
// has URLs, or a type that registries should not store.
func (d *descriptor) foreign() bool {
	return len(d.URLs) > 0 || strings.Contains(d.MediaType, ".foreign.") || strings.Contains(d.MediaType, ".nondistributable.")
}

func isManifestType(mediaType string) bool {
	switch mediaType {
	case ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, mediaTypeDockerManifest, mediaTypeDockerList:
		return true
	}
	return false
}

func unique(digests []digest.Digest) []digest.Digest {
	slices.Sort(digests)
	return slices.Compact(digests)
}

func invalidManifest(constraint string) *fault.Error {
	e := invalidParameter("ImageManifest", constraint)
	e.Code = "InvalidManifest"
	return e
}

// quote quotes a text of the client in a message, and shortens it.
func quote(s string) string {
	if len(s) > 128 {
		s = s[:128] + "…"
	}
	return `"` + s + `"`
}
