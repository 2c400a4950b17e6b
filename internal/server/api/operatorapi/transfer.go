package operatorapi

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// ExportPackageVersion returns the record of a version.
func (a *API) ExportPackageVersion(ctx context.Context, in *operatormodel.ExportPackageVersionInput) (*operatormodel.ExportPackageVersionOutput, error) {
	record, err := a.c.Packages.ExportVersion(ctx, repositoryID(ctx, in.RepositoryName), packageID(in.Format, in.Namespace, in.Package), in.PackageVersion)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(record)
	if err != nil {
		return nil, err
	}
	if len(text) > packages.MaxVersionRecord {
		return nil, fault.New(fault.Limit, "LimitExceeded", "The record of this version has %d bytes, which is more than can be exported.", len(text))
	}
	return &operatormodel.ExportPackageVersionOutput{Record: string(text)}, nil
}

// GetExportedFile streams a file of a version.
func (a *API) GetExportedFile(ctx context.Context, in *operatormodel.GetExportedFileInput) (*operatormodel.GetExportedFileOutput, error) {
	content, err := a.c.Packages.OpenExported(ctx, repositoryID(ctx, operatormodel.RepositoryName{Domain: in.Domain, DomainOwner: in.DomainOwner, Repository: in.Repository}), packageID(in.Format, in.Namespace, in.Package), in.PackageVersion, in.File)
	if err != nil {
		return nil, err
	}
	return &operatormodel.GetExportedFileOutput{Content: content}, nil
}

// ImportPackageVersion reads the archive while it arrives. Nothing of it is in memory
// except for the record.
func (a *API) ImportPackageVersion(ctx context.Context, in *operatormodel.ImportPackageVersionInput) (*operatormodel.ImportPackageVersionOutput, error) {
	archive := importArchive{body: in.Content, entries: tar.NewReader(in.Content)}
	v, err := a.c.Packages.ImportVersion(ctx, packages.Import{
		Repository: repositoryID(ctx, operatormodel.RepositoryName{Domain: in.Domain, DomainOwner: in.DomainOwner, Repository: in.Repository}), Package: packageID(in.Format, in.Namespace, in.Package), Version: in.PackageVersion,
		Read: archive.record, Next: archive.next,
	})
	if err != nil {
		return nil, err
	}
	return &operatormodel.ImportPackageVersionOutput{Version: v.Version, Revision: v.Revision, Status: string(v.Status)}, nil
}

// An importArchive is the body of an import.
type importArchive struct {
	body    io.Reader
	entries *tar.Reader
}

// maxPadding is more than what follows the last entry of an archive, in bytes.
const maxPadding = 1 << 20

func badArchive(format string, args ...any) error {
	return fault.New(fault.Invalid, "InvalidParameter", format, args...)
}

func (i *importArchive) record() (*packages.VersionRecord, error) {
	h, err := i.entry()
	if err != nil || h.Name != operatormodel.RecordEntry || h.Size > packages.MaxVersionRecord {
		return nil, orBad(err, "The archive must begin with %s of at most %d bytes.", operatormodel.RecordEntry, packages.MaxVersionRecord)
	}
	text, err := io.ReadAll(i.entries)
	if err != nil {
		return nil, orBad(err, "The archive ends within its record.")
	}
	r := new(packages.VersionRecord)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, badArchive("The record of the version is not what an export writes.")
	}
	return r, nil
}

// next returns the next file. At the end it reads the rest of the body, so that the
// signature of all of it is verified before anything is kept.
func (i *importArchive) next() (string, io.Reader, error) {
	h, err := i.entry()
	if errors.Is(err, io.EOF) {
		if n, err := io.Copy(io.Discard, io.LimitReader(i.body, maxPadding)); err != nil || n == maxPadding {
			return "", nil, orBad(err, "The archive could not be read to its end.")
		}
		return "", nil, io.EOF
	}
	if err != nil {
		return "", nil, orBad(err, "The archive is damaged.")
	}
	name, ok := strings.CutPrefix(h.Name, operatormodel.FilesFolder)
	if !ok {
		return "", nil, badArchive("The archive has an entry that is not a file of the version.")
	}
	return name, i.entries, nil
}

func (i *importArchive) entry() (*tar.Header, error) {
	h, err := i.entries.Next()
	if err == nil && h.Typeflag != tar.TypeReg {
		err = badArchive("The archive has an entry that is not a file.")
	}
	return h, err
}

// orBad keeps a fault, such as a wrong signature, and turns any other error into one about
// the archive.
func orBad(err error, format string, args ...any) error {
	if f := (*fault.Error)(nil); errors.As(err, &f) {
		return err
	}
	return badArchive(format, args...)
}
