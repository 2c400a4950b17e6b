package nuget

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/archive"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/nuget/nupkg"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// A pushed file was received and read, and is not published yet.
type pushed struct {
	staged   *packages.Staged
	manifest *nupkg.Manifest
	readme   string
	version  nupkg.Version
	about    json.RawMessage // what is kept of the file
}

// receive stages the file of a push and reads its manifest. The caller discards it.
func (h *Handler) receive(r *formats.Request) (*pushed, error) {
	if err := h.Packages.AuthorizedUnnamed(r.Context(), r.Repository, packageID("*"), "codeartifact:PublishPackageVersion"); err != nil {
		return nil, err
	}
	form, err := r.MultipartReader()
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "InvalidForm", "A push must be a PUT of multipart/form-data, as `dotnet nuget push` sends it.")
	}
	// The file is the first part, whatever its name. What follows is ignored, as the
	// public gallery does.
	part, err := form.NextPart()
	if err != nil {
		return nil, formats.BadContent(err, "InvalidForm", "The form of the push has no file.")
	}
	staged, err := h.Packages.StageUnnamed(r.Context(), r.Repository, packages.NuGet, part, h.MaxAsset)
	if err != nil {
		return nil, err
	}
	// The form is read to its end, because a client that is still sending would see a
	// broken connection instead of the answer.
	if _, err := io.Copy(io.Discard, io.LimitReader(r.Body, maxAfterFile)); err != nil {
		staged.Discard()
		return nil, formats.BadContent(err, "IncompleteBody", "The form of the push ended before it was complete.")
	}
	p, err := h.read(r, staged)
	if err != nil {
		staged.Discard()
		return nil, err
	}
	return p, nil
}

// maxAfterFile bounds what is read of a form after its file, in bytes.
const maxAfterFile = 1 << 20

// read reads the manifest and the readme in a package.
func (h *Handler) read(r *formats.Request, staged *packages.Staged) (*pushed, error) {
	object, err := staged.Open(r.Context())
	if err != nil {
		return nil, err
	}
	defer object.Close()
	release, err := h.Archives.Acquire(r.Context(), staged.Size, archive.Limits{})
	if err != nil {
		return nil, err
	}
	defer release()
	file, err := nupkg.Open(r.Context(), object, staged.Size)
	if err != nil {
		return nil, err
	}
	p := &pushed{staged: staged}
	if p.manifest, err = file.Manifest(); err != nil {
		return nil, err
	}
	p.version = p.manifest.Parsed()
	if p.about, err = json.Marshal(file.Metadata()); err != nil {
		return nil, err
	}
	p.readme, err = file.Readme(p.manifest.Readme)
	return p, err
}

// push publishes a package. The same bytes again change nothing.
func (h *Handler) push(w http.ResponseWriter, r *formats.Request, _ route) error {
	p, err := h.receive(r)
	if err != nil {
		return err
	}
	defer p.staged.Discard()
	if p.manifest.HasType(symbolsType) {
		return fault.New(fault.Invalid, "InvalidPackage", "This is a package of symbols. Push it to the address of symbols, /%s, or together with its package.", symbolsPath)
	}
	id := packageID(p.manifest.ID)
	r.About(id, p.version.Normal)
	metadata, err := json.Marshal(p.manifest)
	if err != nil {
		return err
	}
	_, err = h.Packages.Publish(r.Context(), packages.Publication{
		Repository: r.Repository, Package: id, Version: p.version.Normal, Metadata: metadata,
		Description: p.manifest.Describe(p.readme), Search: p.manifest.SearchText(),
		Assets: []packages.StagedAsset{{Name: nupkg.AssetName(p.manifest.ID, p.version), Content: p.staged, Metadata: p.about}},
	})
	if err != nil {
		return formats.OverExisting(err, "%s %s exists already.", p.manifest.ID, p.version.Normal)
	}
	formats.WriteText(w, r, http.StatusCreated, p.manifest.ID+" "+p.version.Normal+" is published.\n")
	return nil
}

// symbolsType is the type of a package of symbols.
const symbolsType = "SymbolsPackage"

// pushSymbols keeps a package of symbols beside its package.
func (h *Handler) pushSymbols(w http.ResponseWriter, r *formats.Request, _ route) error {
	p, err := h.receive(r)
	if err != nil {
		return err
	}
	defer p.staged.Discard()
	if !p.manifest.HasType(symbolsType) {
		return fault.New(fault.Invalid, "InvalidPackage", "This is not a package of symbols (.snupkg): its manifest does not have the package type %s. Push other packages to /%s.", symbolsType, publishPath)
	}
	id := packageID(p.manifest.ID)
	r.About(id, p.version.Normal)
	if err := h.Packages.AuthorizedPackage(r.Context(), r.Repository, id, "codeartifact:PublishPackageVersion"); err != nil {
		return err
	}
	about, err := h.Packages.Package(r.Context(), r.Repository, id)
	if err != nil {
		return err
	}
	if about.Version(p.version.Normal) == nil {
		return h.Packages.WhyNotVisible(r.Context(), r.Repository, id, p.version.Normal)
	}
	_, err = h.Packages.Publish(r.Context(), packages.Publication{
		Repository: r.Repository, Package: id, Version: p.version.Normal,
		Assets: []packages.StagedAsset{{Name: nupkg.SymbolsName(p.manifest.ID, p.version), Beside: nupkg.AssetName(p.manifest.ID, p.version), Content: p.staged}},
	})
	if err != nil {
		return formats.OverExisting(err, "Symbols of %s %s exist already.", p.manifest.ID, p.version.Normal)
	}
	formats.WriteText(w, r, http.StatusCreated, "The symbols of "+p.manifest.ID+" "+p.version.Normal+" are published.\n")
	return nil
}
