package pypi

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"strings"

	"golang.org/x/crypto/blake2b"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/archive"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/pypi/stored"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// Bounds on a form without its file.
const (
	maxFields       = 8 << 20 // bytes of all fields together; the description is one of them
	maxUnauthorized = 1 << 20 // bytes of the fields before the project is known
	maxFieldCount   = 2000    // each classifier and each requirement is a field
)

// An upload is a form that was received: its fields and its file.
type upload struct {
	fields  map[string]string // the first value of each
	size    int64             // of the fields, in bytes
	file    string
	content *packages.Staged
	blake2  string // BLAKE2b-256 of the content, in hex
	// authorized means that the caller may write to the project that the form, or
	// the name of its file, names.
	authorized bool
}

// post receives a form and does what its field :action says.
func (h *Handler) post(w http.ResponseWriter, r *formats.Request, _ route) error {
	u, err := h.receive(r)
	if err != nil {
		return err
	}
	defer u.content.Discard()
	if err := u.checkFields(); err != nil {
		return err
	}
	switch u.fields[":action"] {
	case "yank":
		return h.yank(w, r, u)
	case "unyank":
		return h.unyank(w, r, u)
	}
	return h.publish(w, r, u)
}

// publish publishes the file of the form.
func (h *Handler) publish(w http.ResponseWriter, r *formats.Request, u *upload) error {
	if err := u.checkFile(); err != nil {
		return err
	}
	if err := u.checkDigests(); err != nil {
		return err
	}
	id := project(u.fields["name"])
	p := &packages.Publication{Repository: r.Repository, Package: id, Version: u.fields["version"]}
	r.About(id, p.Version)
	if err := h.describe(r.Context(), u, p); err != nil {
		return err
	}
	if _, err := h.Packages.Publish(r.Context(), *p); err != nil {
		// twine --skip-existing and uv recognise the words.
		return formats.OverExisting(err, "File already exists: %s.", u.file)
	}
	text := u.file + " is published.\n"
	for _, ignored := range []string{"attestations", "gpg_signature"} {
		if _, sent := u.fields[ignored]; sent {
			text += "The field " + ignored + " was ignored: this registry does not keep it.\n"
		}
	}
	formats.WriteText(w, r, http.StatusOK, text)
	return nil
}

// receive reads the form and stages the file. The caller discards the file.
func (h *Handler) receive(r *formats.Request) (*upload, error) {
	form, err := r.MultipartReader()
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "InvalidForm", "An upload must be a POST of multipart/form-data, as twine sends it.")
	}
	u := &upload{fields: map[string]string{}}
	if err := h.readForm(r, form, u); err != nil {
		u.content.Discard()
		return nil, err
	}
	return u, nil
}

// readForm reads the parts of the form, which may be in any order.
func (h *Handler) readForm(r *formats.Request, form *multipart.Reader, u *upload) error {
	for range maxFieldCount {
		part, err := form.NextPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return invalidForm(err)
		}
		name := part.FormName()
		if name == "content" {
			err = h.stage(r, part, u)
		} else {
			err = u.readField(name, part)
		}
		if err == nil && name == "name" && !u.authorized {
			err = h.authorize(r, u)
		}
		if err != nil {
			return err
		}
	}
	return fault.New(fault.TooLarge, "FormTooLarge", "The form has more than %d fields.", maxFieldCount)
}

func invalidForm(err error) error {
	return fault.Wrap(err, fault.Invalid, "IncompleteBody", "The form ended before it was complete, or it is not multipart/form-data.")
}

// authorize checks that the caller may write to the project of the form.
func (h *Handler) authorize(r *formats.Request, u *upload) error {
	name := u.fields["name"]
	if err := checkName(name); err != nil {
		return err
	}
	if err := h.Packages.AuthorizedToWrite(r.Context(), r.Repository, project(name)); err != nil {
		return err
	}
	u.authorized = true
	return nil
}

// readField keeps the first value of a field. Little is read before the caller is
// known to be allowed to write.
func (u *upload) readField(name string, part io.Reader) error {
	limit := int64(maxFields)
	if !u.authorized {
		limit = maxUnauthorized
	}
	value, err := io.ReadAll(io.LimitReader(part, limit-u.size+1))
	if err != nil {
		return invalidForm(err)
	}
	if u.size += int64(len(value)); u.size > limit {
		if !u.authorized {
			return fault.New(fault.TooLarge, "FormTooLarge", "The fields before the field name are larger than %d MiB. Send name first.", limit>>20)
		}
		return fault.New(fault.TooLarge, "FormTooLarge", "The fields of the form are larger than %d MiB.", limit>>20)
	}
	if _, ok := u.fields[name]; !ok {
		u.fields[name] = string(value)
	}
	return nil
}

// stage receives the file. setuptools sends it before the fields that describe it.
// Then its name says to which project it belongs: no file is received from a caller
// who may not publish.
func (h *Handler) stage(r *formats.Request, part *multipart.Part, u *upload) error {
	if u.file != "" {
		return invalid("InvalidForm", "The form has more than one file.")
	}
	if u.file = part.FileName(); u.file == "" {
		return invalid("InvalidForm", "The field content is not a file.")
	}
	name, known := u.fields["name"]
	if known && u.fields["version"] != "" && u.fields["filetype"] != "" {
		if err := u.checkFile(); err != nil {
			return err
		}
	}
	if !known {
		if name = fileProject(u.file); name == "" {
			return invalid("InvalidFilename", "%q is not the file name of a wheel or a source distribution.", u.file)
		}
	}
	id := project(name)
	r.About(id, u.fields["version"])
	sum, err := blake2b.New256(nil)
	if err != nil {
		return err
	}
	u.content, err = h.Packages.Stage(r.Context(), r.Repository, id, io.TeeReader(part, sum), h.MaxAsset)
	if err != nil {
		return err
	}
	u.authorized = true
	u.blake2 = hex.EncodeToString(sum.Sum(nil))
	return nil
}

// checkFields checks the fields that every action needs.
func (u *upload) checkFields() error {
	switch u.fields[":action"] {
	case "file_upload", "yank", "unyank":
	default:
		return invalid("InvalidForm", "The action %q is not known. Known are file_upload, yank and unyank.", u.fields[":action"])
	}
	if v, ok := u.fields["protocol_version"]; ok && v != "1" {
		return invalid("InvalidForm", "The protocol version %q is not known: only 1 is.", v)
	}
	is := release{u.fields["name"], u.fields["version"]}
	if is.name == "" || is.version == "" {
		return invalid("InvalidForm", "The fields name and version are needed.")
	}
	return checkRelease(is)
}

// checkFile checks that the file's name fits the fields.
func (u *upload) checkFile() error {
	if u.file == "" {
		return invalid("InvalidForm", "The form has no file: the field content is missing.")
	}
	is := release{u.fields["name"], u.fields["version"]}
	if err := checkRelease(is); err != nil {
		return err
	}
	return checkFileName(u.file, u.fields["filetype"], is)
}

// checkDigests compares the digests in the form with the bytes that arrived. None of
// them is required: PyPI accepts any one of the three.
func (u *upload) checkDigests() error {
	for field, is := range map[string]string{"md5_digest": u.content.MD5, "sha256_digest": u.content.SHA256, "blake2_256_digest": u.blake2} {
		if said := u.fields[field]; said != "" && !strings.EqualFold(said, is) {
			return invalid("InvalidDigest", "The %s of the file that arrived is %s, but the form says %s.", field, is, said)
		}
	}
	return nil
}

// describe reads the metadata in the file, compares them with the form, and fills in
// the publication.
func (h *Handler) describe(ctx context.Context, u *upload, p *packages.Publication) error {
	m, err := u.metadata(ctx, h.Archives)
	if err != nil {
		return err
	}
	file := stored.File{RequiresPython: u.fields["requires_python"]}
	about := &packages.Description{DisplayName: u.fields["name"], Summary: u.fields["summary"], HomePage: u.fields["home_page"], Readme: u.fields["description"]}
	if m != nil {
		form := release{u.fields["name"], u.fields["version"]}
		if is := m.release(); !sameRelease(form, is) {
			return invalid("InvalidMetadata", "The metadata in %s are of %s %s, but the form says %s %s.", u.file, is.name, is.version, form.name, form.version)
		}
		file.RequiresPython = m.get("Requires-Python")
		about = m.description()
	}
	p.Description = about // Metadata stays as it is: a yanked version stays yanked
	fileJSON, err := json.Marshal(file)
	if err != nil {
		return err
	}
	if m != nil && (strings.HasSuffix(u.file, ".whl") || m.final()) {
		beside, err := h.Packages.Stage(ctx, p.Repository, p.Package, bytes.NewReader(m.raw), maxMetadata)
		if err != nil {
			return err
		}
		p.Assets = append(p.Assets, packages.StagedAsset{Name: u.file + stored.MetadataSuffix, Beside: u.file, Content: beside})
	}
	p.Assets = append(p.Assets, packages.StagedAsset{Name: u.file, Content: u.content, Metadata: fileJSON})
	return nil
}

// metadata returns the metadata in the file, or nil for a source distribution
// without metadata.
func (u *upload) metadata(ctx context.Context, archives *archive.Limiter) (*coreMetadata, error) {
	object, err := u.content.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer object.Close()
	wheel := strings.HasSuffix(u.file, ".whl")
	zipSize := int64(0)
	if wheel || strings.HasSuffix(u.file, ".zip") {
		zipSize = object.Size()
	}
	release, err := archives.Acquire(ctx, zipSize, archive.Limits{})
	if err != nil {
		return nil, err
	}
	defer release()
	budget := archive.NewBudget(ctx, archive.Limits{})
	var raw []byte
	if wheel {
		raw, err = readWheelMetadata(budget, object, object.Size(), project(u.fields["name"]).Name)
	} else {
		raw, err = readSdistMetadata(budget, u.file, object, object.Size())
	}
	if e := (*fault.Error)(nil); errors.As(err, &e) && e.Kind == fault.Invalid {
		// Old source distributions have no PKG-INFO. In some it comes late.
		if !wheel && (e.Code == archive.Missing || e.Code == archive.TooLarge) {
			return nil, nil
		}
		return nil, fault.Wrap(err, fault.Invalid, "InvalidDistribution", "%s is not a distribution with readable metadata. %s", u.file, e.Message)
	}
	if err != nil {
		return nil, err
	}
	m := parseCoreMetadata(raw)
	if err := m.check(); err != nil && (wheel || m.final()) {
		return nil, fault.Wrap(err, fault.Invalid, "InvalidMetadata", "The metadata in %s cannot be read: %s.", u.file, err)
	}
	return m, nil
}
