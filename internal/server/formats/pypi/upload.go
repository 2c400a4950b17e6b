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
	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// Bounds on a form without its file.
const (
	maxFields     = 8 << 20 // bytes of all fields together; the description is one of them
	maxFieldCount = 2000    // each classifier and each requirement is a field
)

// An upload is a form that was received: its fields and its file.
type upload struct {
	fields  map[string]string // the first value of each
	file    string
	content *packages.Staged
	blake2  string // BLAKE2b-256 of the content, in hex
}

// upload publishes one file.
func (h *Handler) upload(w http.ResponseWriter, r *formats.Request, _ route) error {
	u, err := h.receive(r)
	if err != nil {
		return err
	}
	defer u.content.Discard()
	if err := u.checkDigests(); err != nil {
		return err
	}
	id := project(u.fields["name"])
	p := &packages.Publication{Repository: r.Repository, Package: id, Version: u.fields["version"]}
	r.Operation("PublishPackageVersion", id, p.Version)
	if err := h.describe(r.Context(), u, p); err != nil {
		return err
	}
	if _, err := h.packages.Publish(r.Context(), *p); err != nil {
		return alreadyExists(err, u.file)
	}
	text := u.file + " is published.\n"
	for _, ignored := range []string{"attestations", "gpg_signature"} {
		if _, sent := u.fields[ignored]; sent {
			text += "The field " + ignored + " was ignored: this registry does not keep it.\n"
		}
	}
	writeText(w, r, http.StatusOK, text)
	return nil
}

// alreadyExists puts a conflict into the words by which twine --skip-existing and uv
// recognise it.
func alreadyExists(err error, file string) error {
	if e := fault.From(err); e.Kind == fault.Conflict {
		explained := *e
		explained.Message = "File already exists: " + file + ". " + e.Message
		return &explained
	}
	return err
}

// receive reads the form and stages the file. The caller discards the file.
func (h *Handler) receive(r *formats.Request) (*upload, error) {
	form, err := r.MultipartReader()
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "InvalidForm", "An upload must be a POST of multipart/form-data, as twine sends it.")
	}
	u := &upload{fields: map[string]string{}}
	if err := h.readForm(r, form, u); err != nil {
		if u.content != nil {
			u.content.Discard()
		}
		return nil, err
	}
	return u, nil
}

func (h *Handler) readForm(r *formats.Request, form *multipart.Reader, u *upload) error {
	left := int64(maxFields)
	for range maxFieldCount {
		part, err := form.NextPart()
		if err == io.EOF {
			if u.content == nil {
				return invalid("InvalidForm", "The form has no file: the field content is missing.")
			}
			return nil
		}
		if err != nil {
			return invalidForm(err)
		}
		name := part.FormName()
		if name == "content" {
			err = h.stage(r, part, u)
		} else {
			left, err = u.readField(name, part, left)
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

// readField keeps the first value of a field. It reads at most left bytes and
// returns how many are left for the other fields.
func (u *upload) readField(name string, part io.Reader, left int64) (int64, error) {
	value, err := io.ReadAll(io.LimitReader(part, left+1))
	if err != nil {
		return 0, invalidForm(err)
	}
	if left -= int64(len(value)); left < 0 {
		return 0, fault.New(fault.TooLarge, "FormTooLarge", "The fields of the form are larger than %d MiB.", maxFields>>20)
	}
	if _, ok := u.fields[name]; !ok {
		u.fields[name] = string(value)
	}
	return left, nil
}

// stage receives the file. The fields that describe it must come before it, as they
// do in the form of every client: no file is received from a caller who may not
// publish.
func (h *Handler) stage(r *formats.Request, part *multipart.Part, u *upload) error {
	if u.content != nil {
		return invalid("InvalidForm", "The form has more than one file.")
	}
	if err := u.checkFields(part.FileName()); err != nil {
		return err
	}
	u.file = part.FileName()
	id := project(u.fields["name"])
	r.Operation("PublishPackageVersion", id, u.fields["version"])
	sum, err := blake2b.New256(nil)
	if err != nil {
		return err
	}
	u.content, err = h.packages.Stage(r.Context(), r.Repository, id, io.TeeReader(part, sum), h.maxFile)
	if err != nil {
		return err
	}
	u.blake2 = hex.EncodeToString(sum.Sum(nil))
	return nil
}

// checkFields checks the fields that came before the file.
func (u *upload) checkFields(file string) error {
	if a := u.fields[":action"]; a != "file_upload" {
		return invalid("InvalidForm", "The action %q is not known: only file_upload is, and it comes before the file.", a)
	}
	if v, ok := u.fields["protocol_version"]; ok && v != "1" {
		return invalid("InvalidForm", "The protocol version %q is not known: only 1 is.", v)
	}
	is := release{u.fields["name"], u.fields["version"]}
	if is.name == "" || is.version == "" {
		return invalid("InvalidForm", "The fields name and version are needed, and come before the field content.")
	}
	if err := checkRelease(is); err != nil {
		return err
	}
	return checkFileName(file, u.fields["filetype"], is)
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
	m, err := u.metadata(ctx)
	if err != nil {
		return err
	}
	file := fileMetadata{RequiresPython: u.fields["requires_python"]}
	about := &packages.Description{DisplayName: u.fields["name"], Summary: u.fields["summary"], HomePage: u.fields["home_page"], Readme: u.fields["description"]}
	if m != nil {
		form := release{u.fields["name"], u.fields["version"]}
		if is := m.release(); !sameRelease(form, is) {
			return invalid("InvalidMetadata", "The metadata in %s are of %s %s, but the form says %s %s.", u.file, is.name, is.version, form.name, form.version)
		}
		file.RequiresPython = m.get("Requires-Python")
		about = m.description()
	}
	p.Description = about
	if p.Metadata, err = json.Marshal(versionMetadata{Name: about.DisplayName, Summary: about.Summary}); err != nil {
		return err
	}
	fileJSON, err := json.Marshal(file)
	if err != nil {
		return err
	}
	if m != nil && (strings.HasSuffix(u.file, ".whl") || m.final()) {
		beside, err := h.packages.Stage(ctx, p.Repository, p.Package, bytes.NewReader(m.raw), maxMetadata)
		if err != nil {
			return err
		}
		p.Assets = append(p.Assets, packages.StagedAsset{Name: u.file + metadataSuffix, Content: beside})
	}
	p.Assets = append(p.Assets, packages.StagedAsset{Name: u.file, Content: u.content, Metadata: fileJSON})
	return nil
}

// metadata returns the metadata in the file, or nil for a source distribution
// without metadata.
func (u *upload) metadata(ctx context.Context) (*coreMetadata, error) {
	object, err := u.content.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer object.Close()
	content := &readerAt{object: object}
	wheel := strings.HasSuffix(u.file, ".whl")
	var raw []byte
	if wheel {
		raw, err = readWheelMetadata(content, u.content.Size)
	} else {
		raw, err = readSdistMetadata(u.file, content, u.content.Size)
	}
	switch {
	case content.err != nil:
		return nil, content.err
	case errors.Is(err, errNoMetadata) && !wheel:
		return nil, nil
	case err != nil:
		return nil, fault.Wrap(err, fault.Invalid, "InvalidDistribution", "%s is not a distribution with readable metadata: %s.", u.file, strings.TrimSuffix(err.Error(), "."))
	}
	return parseCoreMetadata(raw), nil
}

// A readerAt reads an object at offsets, for one goroutine. err keeps an error of
// the store apart from the errors of a bad archive.
type readerAt struct {
	object blob.Object
	err    error
}

func (r *readerAt) ReadAt(p []byte, off int64) (int, error) {
	if _, err := r.object.Seek(off, io.SeekStart); err != nil {
		r.err = err
		return 0, err
	}
	n, err := io.ReadFull(r.object, p)
	switch err {
	case io.ErrUnexpectedEOF:
		err = io.EOF
	case nil, io.EOF:
	default:
		r.err = err
	}
	return n, err
}
