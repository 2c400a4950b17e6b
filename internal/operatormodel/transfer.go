package operatormodel

import (
	"fmt"
	"io"
	"reflect"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire/model"
)

// ExportPackageVersionInput asks for everything that a repository has of a version, except
// for the bytes of its files.
type ExportPackageVersionInput struct {
	RepositoryName
	Format         string  `json:"format" wire:"required,min=1,max=20"`
	Namespace      *string `json:"namespace" wire:"min=1,max=255"`
	Package        string  `json:"package" wire:"required,min=1,max=255"`
	PackageVersion string  `json:"packageVersion" wire:"required,min=1,max=255"`
}

// ExportPackageVersionOutput has it as a JSON document, which docs/airgap.md describes.
type ExportPackageVersionOutput struct {
	Record string `json:"record"`
}

// The paths of the operations whose body, or whose answer, is a stream. They are restJson1,
// with the other members in the query string, and signed for [Service] like the others.
const (
	ExportedFilePath    = "/gatehouse/exported-file"
	ImportedVersionPath = "/gatehouse/imported-version"
)

// GetExportedFileInput asks for the bytes of a file of a version. It is allowed by the
// action of ExportPackageVersion.
type GetExportedFileInput struct {
	Domain         string  `json:"domain" in:"query" wire:"required,min=1,max=50"`
	DomainOwner    *string `json:"domainOwner" in:"query" pattern:"[0-9]{12}"`
	Repository     string  `json:"repository" in:"query" wire:"required,min=1,max=100"`
	Format         string  `json:"format" in:"query" wire:"required,min=1,max=20"`
	Namespace      *string `json:"namespace" in:"query" wire:"min=1,max=255"`
	Package        string  `json:"package" in:"query" wire:"required,min=1,max=255"`
	PackageVersion string  `json:"packageVersion" in:"query" wire:"required,min=1,max=255"`
	File           string  `json:"file" in:"query" wire:"required,min=1,max=255"`
}

// GetExportedFileOutput has them.
type GetExportedFileOutput struct {
	Content io.ReadCloser `json:"content" in:"payload"`
}

// ImportPackageVersionInput adds a version. Content is a tar archive: the record as
// version.json, and after it the files that the repository does not have, each under its
// name below files/.
type ImportPackageVersionInput struct {
	Domain         string    `json:"domain" in:"query" wire:"required,min=1,max=50"`
	DomainOwner    *string   `json:"domainOwner" in:"query" pattern:"[0-9]{12}"`
	Repository     string    `json:"repository" in:"query" wire:"required,min=1,max=100"`
	Format         string    `json:"format" in:"query" wire:"required,min=1,max=20"`
	Namespace      *string   `json:"namespace" in:"query" wire:"min=1,max=255"`
	Package        string    `json:"package" in:"query" wire:"required,min=1,max=255"`
	PackageVersion string    `json:"packageVersion" in:"query" wire:"required,min=1,max=255"`
	Content        io.Reader `json:"content" in:"payload"`
}

// ImportPackageVersionOutput is the version as the repository has it now.
type ImportPackageVersionOutput struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Status   string `json:"status"`
}

// The names in the archive of an import.
const (
	RecordEntry = "version.json"
	FilesFolder = "files/"
)

// StreamTable returns the description of the operations that stream.
func StreamTable() (*model.Service, error) {
	t := &model.Service{
		Name: Service, Protocol: model.RestJSON, Version: apiVersion,
		Operations: map[string]*model.Operation{
			"GetExportedFile":      {Method: "GET", Path: ExportedFilePath},
			"ImportPackageVersion": {Method: "POST", Path: ImportedVersionPath},
		},
		Shapes: map[string]*model.Shape{},
	}
	b := builder{t.Shapes}
	for _, pair := range [][2]any{{GetExportedFileInput{}, GetExportedFileOutput{}}, {ImportPackageVersionInput{}, ImportPackageVersionOutput{}}} {
		in, out := reflect.TypeOf(pair[0]), reflect.TypeOf(pair[1])
		name := operationOf(in)
		t.Operations[name].Input, t.Operations[name].Output = in.Name(), out.Name()
		for _, structure := range []reflect.Type{in, out} {
			if _, err := b.shape(structure, ""); err != nil {
				return nil, fmt.Errorf("operation %s: %w", name, err)
			}
		}
	}
	return t, nil
}
