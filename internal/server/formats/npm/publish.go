package npm

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/bodybudget"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/npm/packument"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// maxDocument bounds the size of a document without its tarball, in bytes. Clients
// that deprecate or unpublish send the document of all versions back.
const maxDocument = 32 << 20

// A sentDocument is a document that a client sent, without its attachments.
type sentDocument struct {
	Name        string                    `json:"name"`
	DistTags    map[string]string         `json:"dist-tags"`
	Versions    map[string]jsontext.Value `json:"versions"`
	Readme      jsontext.Value            `json:"readme"`
	Attachments map[string]sentAttachment `json:"_attachments"`

	memory *bodybudget.Reader // what the document takes of the budget
}

type sentAttachment struct {
	// Length is the size of the decoded data according to the client, in bytes.
	Length *int64 `json:"length"`
	// Data is empty for a tarball, which is staged while the document is read.
	Data string `json:"data"`
}

// putDocument publishes a version if its tarball is attached. Without a tarball it
// changes the metadata of published versions.
func (h *Handler) putDocument(w http.ResponseWriter, r *formats.Request, rt route) error {
	r.About(rt.id, "")
	if err := h.Packages.AuthorizedToWrite(r.Context(), r.Repository, rt.id); err != nil {
		return err
	}
	doc, tarball, err := h.receive(r, rt.id)
	if err != nil {
		return err
	}
	defer doc.memory.Release()
	if tarball == nil {
		if file, err := doc.provenance(); err != nil {
			return err
		} else if file != "" {
			return fault.New(fault.Invalid, "InvalidDocument", "The document has the provenance statement %q and no tarball.", file)
		}
		return h.updateMetadata(w, r, rt, doc)
	}
	defer tarball.content.Discard()
	p, err := tarball.publication(doc, r.Repository, rt.id)
	if err != nil {
		return err
	}
	r.About(rt.id, p.Version)
	if err := h.addProvenance(r.Context(), doc, p, tarball.content.SHA512); err != nil {
		return err
	}
	if _, err := h.Packages.Publish(r.Context(), *p); err != nil {
		return formats.OverExisting(err, "You cannot publish over the previously published versions: %s.", p.Version)
	}
	return writeOK(w, r, http.StatusCreated)
}

// An attachedTarball is the tarball in a document.
type attachedTarball struct {
	file    string
	content *packages.Staged
}

// receive reads a document and stages its tarball while reading. The tarball is nil
// if the document has none. The caller discards it; after an error nothing is left
// to discard. It releases the memory of the document too.
func (h *Handler) receive(r *formats.Request, id packages.PackageID) (*sentDocument, *attachedTarball, error) {
	if coding := r.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return nil, nil, fault.New(fault.Invalid, "InvalidDocument", "A document with the content coding %q is not accepted. Send it without one.", coding)
	}
	var tarball *attachedTarball
	body := newAttachmentReader(r.Body, maxDocument, func(file string, content io.Reader) (err error) {
		tarball, err = h.stage(r.Context(), r.Repository, id, tarball, file, content)
		return err
	})
	memory := h.Bodies.Reader(r.Request, body, documentWeight)
	doc, err := decodeDocument(memory, id)
	if err != nil {
		memory.Release()
		if tarball != nil {
			tarball.content.Discard()
		}
		return nil, nil, err
	}
	doc.memory = memory
	return doc, tarball, nil
}

// documentWeight is the memory that a byte of a document takes while it is published.
const documentWeight = 4

// stage receives one attachment. previous is the tarball that came before it, if
// any: a document may have only one.
func (h *Handler) stage(ctx context.Context, repo packages.RepositoryID, id packages.PackageID, previous *attachedTarball, file string, content io.Reader) (*attachedTarball, error) {
	if previous != nil {
		return previous, fault.New(fault.Invalid, "InvalidDocument", "The document has more than one tarball. Publish one version at a time.")
	}
	staged, err := h.Packages.Stage(ctx, repo, id, content, h.MaxAsset)
	if err != nil {
		return nil, fault.From(err) // so that the decoder's caller can tell it from a bad document
	}
	return &attachedTarball{file, staged}, nil
}

// decodeDocument reads a document, which must be of the package with the id.
func decodeDocument(r io.Reader, id packages.PackageID) (*sentDocument, error) {
	doc := new(sentDocument)
	if err := json.UnmarshalRead(r, doc, jsontext.AllowInvalidUTF8(true)); err != nil {
		if e := (*fault.Error)(nil); errors.As(err, &e) {
			return nil, e
		}
		if isReadError(err) {
			return nil, fault.Wrap(err, fault.Invalid, "IncompleteBody", "The document ended before it was complete.")
		}
		return nil, fault.Wrap(err, fault.Invalid, "InvalidDocument", "The body is not the document of a package: %s.", syntaxProblem(err))
	}
	if name := packument.FullName(id); doc.Name != name {
		return nil, fault.New(fault.Invalid, "InvalidDocument", "The document is for %q, but it was sent to the address of %q.", doc.Name, name)
	}
	return doc, nil
}

// isReadError reports whether reading failed, and not the document is invalid.
func isReadError(err error) bool {
	var syntax *jsontext.SyntacticError
	var semantic *json.SemanticError
	return errors.Is(err, io.ErrUnexpectedEOF) || !errors.As(err, &syntax) && !errors.As(err, &semantic)
}

// syntaxProblem is a decoder's error without the name of the decoder.
func syntaxProblem(err error) string {
	text := err.Error()
	for _, prefix := range []string{"jsontext: ", "json: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return text
}

// publication checks the document against the tarball and returns what the store
// publishes.
func (t *attachedTarball) publication(doc *sentDocument, repo packages.RepositoryID, id packages.PackageID) (*packages.Publication, error) {
	version, err := t.version(doc, id)
	if err != nil {
		return nil, err
	}
	if l := doc.Attachments[t.file].Length; l != nil && *l != t.content.Size {
		return nil, fault.New(fault.Invalid, "InvalidTarball", "The tarball has %d bytes, but the document says %d.", t.content.Size, *l)
	}
	manifest, err := packument.ParseObject(doc.Versions[version])
	if err != nil {
		return nil, err
	}
	for field, want := range map[string]string{"name": packument.FullName(id), "version": version} {
		if got := packument.StringValue(manifest.Get(field)); got != want {
			return nil, fault.New(fault.Invalid, "InvalidDocument", "The version object's %s is %q and not %q.", field, got, want)
		}
	}
	dist, err := t.checkedDist(manifest.Get("dist"))
	if err != nil {
		return nil, err
	}
	p := &packages.Publication{
		Repository: repo, Package: id, Version: version,
		Metadata:    packument.Metadata(manifest, dist),
		Description: packument.Description(manifest, doc.Readme),
		Assets:      []packages.StagedAsset{{Name: packument.AssetName, Content: t.content}},
	}
	for tag, tagged := range doc.DistTags {
		if tagged != version {
			continue // a client may send the tags of all versions back
		}
		if err := checkTag(tag); err != nil {
			return nil, err
		}
		p.Tags = append(p.Tags, tag)
	}
	slices.Sort(p.Tags)
	if slices.Contains(p.Tags, "latest") {
		p.Attributes = packument.PackageAttributes(manifest, doc.Readme)
		p.Search = packument.SearchText(manifest)
	}
	return p, nil
}

// version returns the version to which the tarball belongs. Clients name the file
// after it, and the document may list other versions as well.
func (t *attachedTarball) version(doc *sentDocument, id packages.PackageID) (string, error) {
	version, ok := tarballVersion(id, t.file)
	if _, listed := doc.Versions[version]; ok && listed {
		return version, nil
	}
	if len(doc.Versions) == 1 {
		for version := range doc.Versions {
			if !packument.ValidVersion(version) {
				return "", fault.New(fault.Invalid, "InvalidVersion", "%q is not a version: see Semantic Versioning 2.0.0.", version)
			}
			return version, nil
		}
	}
	return "", fault.New(fault.Invalid, "InvalidDocument", "The attachment %q does not belong to a version in the document.", t.file)
}

// checkedDist compares the hashes in "dist" with the bytes that arrived and returns
// the other members of "dist".
func (t *attachedTarball) checkedDist(raw []byte) (packument.Object, error) {
	dist, err := packument.ParseObject(raw)
	if err != nil {
		return nil, err
	}
	mismatch := func(kind, said, is string) error {
		return fault.New(fault.Invalid, "InvalidTarball", "The %s of the tarball that arrived is %s, but the document says %s.", kind, is, said)
	}
	if said := packument.StringValue(dist.Get("shasum")); said != "" && !strings.EqualFold(said, t.content.SHA1) {
		return nil, mismatch("shasum", said, t.content.SHA1)
	}
	is := integrity(t.content.SHA512)
	for _, said := range strings.Fields(packument.StringValue(dist.Get("integrity"))) {
		hash, _, _ := strings.Cut(said, "?") // options are allowed by the syntax, and none is defined
		if strings.HasPrefix(hash, "sha512-") && hash != is {
			return nil, mismatch("integrity", said, is)
		}
	}
	return slices.DeleteFunc(dist, func(m packument.Member) bool { return ownDist[m.Name] }), nil
}
