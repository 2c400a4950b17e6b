package swift

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/archive"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// Bounds of a publication, in bytes.
const (
	maxMetadata  = 1 << 20
	maxSignature = 256 << 10
	maxManifest  = 1 << 20
	maxManifests = 32
	maxParts     = 16
)

// A form is a publication that was received.
type form struct {
	content                                *packages.Staged
	metadata, metadataSignature, signature []byte
}

// publish receives a release. It is published when it answers, so a client that prefers
// to be answered later is answered at once too.
func (h *Handler) publish(w http.ResponseWriter, r *formats.Request, rt route) error {
	r.About(rt.id, rt.version)
	f, err := h.receive(r, rt)
	if err != nil {
		return err
	}
	defer f.content.Discard()
	about, err := f.about()
	if err != nil {
		return err
	}
	p := packages.Publication{
		Repository: r.Repository, Package: rt.id, Version: rt.version,
		Description: about.describe(rt), Search: about.searchText(),
		Assets: []packages.StagedAsset{{Name: archiveName(rt.id, rt.version), Content: f.content}},
	}
	defer func() {
		for _, a := range p.Assets {
			a.Content.Discard() // does nothing for what is published
		}
	}()
	m := versionMetadata{Scope: rt.scope, Name: rt.name, Metadata: f.metadata, Signed: f.metadataSignature, Signature: f.signature}
	if len(f.signature) > 0 {
		if m.Format = r.Header.Get("X-Swift-Package-Signature-Format"); m.Format == "" {
			return invalid("InvalidSignature", "The archive is signed, but the header X-Swift-Package-Signature-Format is missing.")
		}
	}
	if err := h.addManifests(r.Context(), f.content, &p, &m); err != nil {
		return err
	}
	if p.Metadata, err = json.Marshal(m); err != nil {
		return err
	}
	if _, err := h.Packages.Publish(r.Context(), p); err != nil {
		return err
	}
	w.Header().Set("Location", r.Base+rt.scope+"/"+rt.name+"/"+rt.version)
	write(w, http.StatusCreated, "application/json", []byte("{}"))
	return nil
}

// receive reads the form. The caller discards its archive.
func (h *Handler) receive(r *formats.Request, rt route) (*form, error) {
	if err := h.Packages.AuthorizedPackage(r.Context(), r.Repository, rt.id, "codeartifact:PublishPackageVersion"); err != nil {
		return nil, err
	}
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "InvalidForm", "A release is published by multipart/form-data, as swift package-registry publish sends it.")
	}
	f := new(form)
	if err := h.readParts(r, rt, parts, f); err != nil {
		f.content.Discard()
		return nil, err
	}
	if f.content == nil {
		return nil, invalid("InvalidForm", "The form has no part source-archive.")
	}
	return f, nil
}

// readParts reads the parts, which may be in any order. They are read as they are: the
// client says of the metadata that they are quoted-printable, which they are not.
func (h *Handler) readParts(r *formats.Request, rt route, parts *multipart.Reader, f *form) error {
	for range maxParts {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return incomplete(err)
		}
		switch name := part.FormName(); name {
		case "source-archive":
			if f.content != nil {
				return invalid("InvalidForm", "The form has more than one source-archive.")
			}
			f.content, err = h.Packages.Stage(r.Context(), r.Repository, rt.id, part, h.MaxAsset)
		case "metadata":
			f.metadata, err = readPart(part, maxMetadata)
		case "source-archive-signature":
			f.signature, err = readPart(part, maxSignature)
		case "metadata-signature":
			f.metadataSignature, err = readPart(part, maxSignature)
		default:
			err = invalid("InvalidForm", "The form has a part %.50q, which is not known.", name)
		}
		if err != nil {
			return err
		}
	}
	return invalid("InvalidForm", "The form has more than %d parts.", maxParts)
}

func readPart(part *multipart.Part, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(part, limit+1))
	if err != nil {
		return nil, incomplete(err)
	}
	if int64(len(content)) > limit {
		return nil, fault.New(fault.TooLarge, "FormTooLarge", "The part %s is larger than %d KiB.", part.FormName(), limit>>10)
	}
	return content, nil
}

func incomplete(err error) error {
	return fault.Wrap(err, fault.Invalid, "IncompleteBody", "The form ended before it was complete, or it is not multipart/form-data.")
}

// about reads the metadata, which may be missing.
func (f *form) about() (a releaseAbout, err error) {
	if len(f.metadata) == 0 {
		return a, nil
	}
	if !validJSON(f.metadata) {
		return a, invalid("InvalidMetadata", "The metadata of the release are not JSON.")
	}
	if err := json.Unmarshal(f.metadata, &a); err != nil {
		return a, formats.BadContent(err, "InvalidMetadata", "The metadata of the release cannot be read.")
	}
	return a, nil
}

// addManifests adds the manifests in the archive to the publication. They are in the one
// folder at its top.
func (h *Handler) addManifests(ctx context.Context, content *packages.Staged, p *packages.Publication, m *versionMetadata) error {
	object, err := content.Open(ctx)
	if err != nil {
		return err
	}
	defer object.Close()
	release, err := h.Archives.Acquire(ctx, content.Size, archive.Limits{})
	if err != nil {
		return err
	}
	defer release()
	found, err := readManifests(ctx, object, content.Size)
	if err != nil {
		return formats.BadContent(err, "InvalidArchive", "The source archive cannot be accepted.")
	}
	for _, f := range found {
		staged, err := h.Packages.Stage(ctx, p.Repository, p.Package, bytes.NewReader(f.text), maxManifest)
		if err != nil {
			return err
		}
		p.Assets = append(p.Assets, packages.StagedAsset{Name: f.name, Beside: p.Assets[0].Name, Content: staged})
		m.Manifests = append(m.Manifests, manifestAbout{f.name, readToolsVersion(f.text)})
	}
	return nil
}

// A manifestText is a manifest of an archive.
type manifestText struct {
	name string
	text []byte
}

// readManifests returns the manifests in a source archive: a zip with one folder at its
// top, as swift package archive-source makes it.
func readManifests(ctx context.Context, content io.ReaderAt, size int64) ([]manifestText, error) {
	z, err := archive.NewBudget(ctx, archive.Limits{}).Zip(content, size)
	if err != nil {
		return nil, err
	}
	var found []manifestText
	var root string
	for _, f := range z.Files() {
		top, below, ok := cutFolder(f.Name)
		if !ok || root != "" && top != root {
			return nil, errors.New("its files are not in one folder")
		}
		root = top
		if !isManifest(below) {
			continue
		}
		if len(found) == maxManifests {
			return nil, errors.New("it has too many manifests")
		}
		for _, other := range found {
			if other.name == below {
				return nil, errors.New("it has " + below + " twice")
			}
		}
		text, err := f.Content(maxManifest)
		if err != nil {
			return nil, err
		}
		found = append(found, manifestText{below, text})
	}
	for _, f := range found {
		if f.name == packageSwift {
			return found, nil
		}
	}
	return nil, errors.New("it has no Package.swift in the folder at its top")
}
