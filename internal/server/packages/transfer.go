package packages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// How versions travel to another installation, which may have no network: a record with
// everything that a repository has of a version, and the bytes of its files. The other side
// imports them by the rules of a publication or, if the version came through an external
// connection, by those of versions that come from outside. So its origin stays what it was.

const (
	exportPackageVersion = "gatehouse:ExportPackageVersion"
	importPackageVersion = "gatehouse:ImportPackageVersion"
)

// MaxVersionRecord bounds a [VersionRecord] as JSON, in bytes.
const MaxVersionRecord = 12 << 20

// A VersionRecord is a version with everything that a repository has of it, except for the
// bytes. Its JSON is what bundles contain: see docs/airgap.md.
type VersionRecord struct {
	Format    Format `json:"format"`
	Namespace string `json:"namespace,omitempty"`
	// Name is the package, in its stored spelling.
	Name     string `json:"name"`
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Status   Status `json:"status"`
	// Published is as [Version] has it.
	Published time.Time `json:"published"`
	// Connection is the external connection through which the version came, and empty for
	// a version that was published.
	Connection string `json:"connection,omitempty"`
	// Edited means that metadata or status were set by hand. Revised is when that was last,
	// or when the version came from outside if that was later; zero if it is not known. An
	// import with an older time changes nothing.
	Edited      bool            `json:"edited,omitempty"`
	Revised     time.Time       `json:"revised,omitzero"`
	Metadata    json.RawMessage `json:"metadata,omitempty"`
	Description *Description    `json:"description,omitempty"`
	// Attributes and Search are the package's; Tags are those of its tags that are on this
	// version.
	Attributes json.RawMessage `json:"attributes,omitempty"`
	Search     string          `json:"search,omitempty"`
	Tags       []string        `json:"tags,omitempty"`
	Files      []FileRecord    `json:"files"`
}

// A FileRecord is an asset or a sidecar of a [VersionRecord].
type FileRecord struct {
	Name string `json:"name"`
	// Beside is the asset that a sidecar is about.
	Beside    string          `json:"beside,omitempty"`
	Size      int64           `json:"size"`
	SHA256    string          `json:"sha256"`
	Published time.Time       `json:"published"`
	Metadata  json.RawMessage `json:"metadata,omitempty"`
}

// ID returns the package of the version.
func (r *VersionRecord) ID() PackageID { return PackageID{r.Format, r.Namespace, r.Name} }

// ExportVersion returns the record of a version that the repository itself has. Fault
// Conflict: the version is Unfinished, Disposed or in quarantine.
// gatehouse:ExportPackageVersion on the package.
func (s *Service) ExportVersion(ctx context.Context, repo RepositoryID, id PackageID, version string) (*VersionRecord, error) {
	p, v, err := s.exported(ctx, repo, id, version)
	if err != nil {
		return nil, err
	}
	key := id.Format.versionKey(v.Version)
	more, err := db.One(ctx, s.db, func(r db.Row) (m struct {
		search      string
		description []byte
		revised     int64
	}, err error,
	) {
		err = r.Scan(&m.search, &m.description, &m.revised)
		return m, err
	}, `SELECT p.search, v.description, v.revised FROM pkg_package p JOIN pkg_version v ON v.package = p.id WHERE p.id = $1 AND v.version_key = $2`, p.row, key)
	if err != nil {
		return nil, orNotFound(err, versionNotFound(repo, id, version))
	}
	r := &VersionRecord{
		Format: id.Format, Namespace: id.Namespace, Name: p.view.ID.Name, Version: v.Version, Revision: v.Revision, Status: v.Status,
		Published: v.Published, Edited: v.edited, Metadata: v.Metadata, Attributes: p.view.Attributes, Search: more.search,
	}
	if v.External() {
		r.Connection = v.EntryPoint
	}
	if more.revised > 0 {
		r.Revised = db.Time(more.revised)
	}
	if more.description != nil {
		if err := json.Unmarshal(more.description, &r.Description); err != nil {
			return nil, err
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(p.tags)) {
		if id.Format.versionKey(p.tags[tag]) == key {
			r.Tags = append(r.Tags, tag)
		}
	}
	for _, a := range slices.Concat(v.Assets, v.Sidecars) {
		r.Files = append(r.Files, FileRecord{a.Name, a.beside, a.Size, a.SHA256, a.Published, a.Metadata})
	}
	return r, nil
}

// OpenExported opens a file of a version, whatever the status of the version is. The
// caller closes it. It does not count as a download. gatehouse:ExportPackageVersion on the
// package.
func (s *Service) OpenExported(ctx context.Context, repo RepositoryID, id PackageID, version, file string) (blob.Object, error) {
	_, v, err := s.exported(ctx, repo, id, version)
	if err != nil {
		return nil, err
	}
	a := v.file(file)
	if a == nil {
		return nil, assetNotFound(id, version, file)
	}
	_, r := s.find(repo)
	if r == nil { // deleted in the meantime
		return nil, repositoryNotFound(repo)
	}
	return s.open(ctx, r, id, v, a)
}

func (s *Service) exported(ctx context.Context, repo RepositoryID, id PackageID, version string) (*record, *Version, error) {
	p, v, err := s.ownVersion(ctx, exportPackageVersion, repo, id, version)
	if err != nil {
		return nil, nil, err
	}
	if v.Status != Published && v.Status != Unlisted && v.Status != Archived {
		return nil, nil, conflict(typeVersion, version, "Version %s of %s is %s and cannot be exported.", version, id, v.Status)
	}
	// The installation that imports it would not know of the quarantine.
	if e, err := s.quarantine(ctx, repo, id, v); err != nil {
		return nil, nil, err
	} else if e != nil {
		return nil, nil, conflict(typeVersion, version, "Version %s of %s is in quarantine%s and cannot be exported.", version, id, e.because())
	}
	return p, v, nil
}

// An Import is the input of ImportVersion.
type Import struct {
	Repository RepositoryID
	// Package and Version are what the record must be about.
	Package PackageID
	Version string
	// Read returns the record. It is called after the caller was authorized.
	Read func() (*VersionRecord, error)
	// Next returns the name and the bytes of the next file of the record, and io.EOF after
	// the last. Files that the repository has in this version already may be left out.
	Next func() (name string, content io.Reader, err error)
}

// ImportVersion adds a version as another installation has exported it, or what the
// repository lacks of it. It keeps times, status, tags and origin. Nothing is visible until
// all files have arrived with the hashes of the record.
//
// A version that was published there is imported as a publication: with the origin
// configuration, the package groups and the upstreams of the repository deciding. A version
// that came through an external connection is imported as if it came through it here: a
// package whose origin configuration blocks upstream versions, or whose group blocks those
// from external connections, does not take it, and a new package gets the origin
// configuration that such versions give it. If the repository has this version already,
// it follows the record's status and metadata unless they were changed here.
//
// The faults are those of [Service.Publish]. gatehouse:ImportPackageVersion on the package.
func (s *Service) ImportVersion(ctx context.Context, in Import) (*Version, error) {
	r, err := s.authorizePackage(ctx, importPackageVersion, in.Repository, in.Package)
	if err != nil {
		return nil, err
	}
	rec, err := in.Read()
	if err != nil {
		return nil, err
	}
	if err := s.validRecord(rec, in); err != nil {
		return nil, err
	}
	p := Publication{
		Repository: in.Repository, Package: in.Package.canonical(), Version: rec.Version, Metadata: rec.Metadata, Attributes: rec.Attributes,
		Description: rec.Description, Search: rec.Search, Status: rec.Status,
		imported: &importedVersion{record: rec, present: map[string]string{}},
	}
	defer func() {
		for _, a := range p.Assets {
			a.Content.Discard() // does nothing for content that is part of the store now
		}
	}()
	if p.Package.Format.rules().oneSpelling {
		p.Package.Name = rec.Name
	}
	if rec.Status == Published {
		p.Tags = rec.Tags
	}
	if p.Assets, err = s.stageImport(ctx, in, rec); err != nil {
		return nil, err
	}
	for i := range rec.Files {
		p.imported.present[rec.Files[i].Name] = rec.Files[i].SHA256
	}
	for i := range p.Assets {
		delete(p.imported.present, p.Assets[i].Name)
	}
	return s.publish(ctx, r, p)
}

const (
	// maxImportedTags bounds the tags of one version.
	maxImportedTags = 1000
	// maxImportedFiles bounds the assets and the sidecars of one version.
	maxImportedFiles = 20 * maxAssets
)

func (s *Service) validRecord(rec *VersionRecord, in Import) error {
	if rec.ID().canonical() != in.Package.canonical() || rec.Version != in.Version {
		return invalid("The record is about version %q of %s, and the request is about version %q of %s.", rec.Version, rec.ID(), in.Version, in.Package)
	}
	if s.checkRelease != nil {
		if err := s.checkRelease(rec.ID(), rec.Version); err != nil {
			return err
		}
	}
	if rec.Status != Published && rec.Status != Unlisted && rec.Status != Archived {
		return invalid("A version is imported as Published, Unlisted or Archived, not as %q.", rec.Status)
	}
	if f, ok := externalConnections[rec.Connection]; rec.Connection != "" && (!ok || f != rec.Format) {
		return invalid("%q is not an external connection for packages of the format %s.", rec.Connection, rec.Format)
	}
	latest := s.now().Add(stagedFor)
	if !validPart(rec.Revision) || rec.Published.IsZero() || rec.Published.After(latest) || rec.Revised.After(latest) {
		return invalid("The record has no revision, or a time that cannot be.")
	}
	if len(rec.Files) == 0 || len(rec.Files) > maxImportedFiles || len(rec.Tags) > maxImportedTags {
		return invalid("The record has no files, or more than %d, or more than %d tags.", maxImportedFiles, maxImportedTags)
	}
	names := map[string]bool{}
	for i := range rec.Files {
		f := &rec.Files[i]
		if err := validAssetName(f.Name); err != nil {
			return err
		}
		if names[f.Name] {
			return invalid("The file %q is in the record twice.", f.Name)
		}
		names[f.Name] = true
		if f.Size < 0 || f.Size > MaxGenericAsset {
			return invalid("The file %q has a size that cannot be.", f.Name)
		}
	}
	return nil
}

// stageImport receives the files, each of which must be the one of the record.
func (s *Service) stageImport(ctx context.Context, in Import, rec *VersionRecord) (staged []StagedAsset, err error) {
	defer func() {
		if err != nil {
			for _, a := range staged {
				a.Content.Discard()
			}
		}
	}()
	files := make(map[string]*FileRecord, len(rec.Files)) // those that have not come
	for i := range rec.Files {
		files[rec.Files[i].Name] = &rec.Files[i]
	}
	for {
		name, content, err := in.Next()
		if errors.Is(err, io.EOF) {
			return staged, nil
		}
		if err != nil {
			return staged, err
		}
		f := files[name]
		if f == nil {
			return staged, invalid("The file %q is not in the record, or comes twice.", name)
		}
		delete(files, name)
		c, err := s.stage(ctx, content, f.Size)
		if fault.Is(err, "TooLarge") {
			err = wrongContent(f, "has more bytes")
		}
		if err != nil {
			return staged, err
		}
		staged = append(staged, StagedAsset{Name: f.Name, Beside: f.Beside, Content: c, Metadata: f.Metadata})
		if c.SHA256 != f.SHA256 || c.Size != f.Size {
			return staged, wrongContent(f, fmt.Sprintf("has %d bytes with the SHA-256 %s", c.Size, c.SHA256))
		}
	}
}

func wrongContent(f *FileRecord, has string) error {
	return invalid("The file %q %s, and the record says %d bytes with the SHA-256 %s. Nothing was imported.", f.Name, has, f.Size, f.SHA256)
}

// An importedVersion is what a publication has in addition if it is an import.
type importedVersion struct {
	record *VersionRecord
	// present are the files that the version must have already: name → SHA-256.
	present map[string]string
}

// external reports whether the version is from outside.
func (i *importedVersion) external() bool { return i != nil && i.record.Connection != "" }

// origin is the origin configuration of a package that the publication creates, unless a
// package group restricts origins.
func (p *Publication) origin() Origin {
	if p.imported.external() {
		return Origin{Publish: Block, Upstream: Allow}
	}
	return Origin{Publish: Allow, Upstream: Block}
}

// importBlocked is why a package group forbids versions from outside, or nil.
func (d *domain) importBlocked(r *repository, id PackageID) error {
	g, weak := d.blockingGroup(ByExternalUpstream, r, id)
	switch {
	case g == nil:
		return nil
	case weak:
		return conflict(typePackage, id.Name, "The name of %s resembles the packages of the package group %s without being one of them, so its versions from external connections are not imported.", id, g.pattern)
	}
	return conflict(typePackage, id.Name, "The package group %s keeps versions of %s from external connections out of repository %s. UpdatePackageGroupOriginConfiguration can allow them.", g.pattern, id, r.id.Name)
}

// checkPresent checks that the repository has the files that were left out.
func (i *importedVersion) checkPresent(have map[string]Asset) error {
	if i == nil {
		return nil
	}
	for name, sha := range i.present {
		if have[name].SHA256 != sha {
			return invalid("The bytes of %q are not in the import, and the repository does not have them in this version. If the bundle is incremental, import the earlier ones first.", name)
		}
	}
	return nil
}

// The values of the column edited.
const (
	notEdited = iota
	editedHere
	editedElsewhere // where it was imported from, which is followed
)

// revisedAt is the time of a record's last change by hand, as it is stored.
func revisedAt(rec *VersionRecord) int64 {
	if rec.Revised.IsZero() {
		return 0
	}
	return db.Micros(rec.Revised)
}

// follows reports whether a version that the repository has takes status and metadata of
// the record.
func (w *publishTx) follows(ctx context.Context, tx *db.Tx, v versionRow) (bool, error) {
	if !w.imported.external() || v.isNew || v.revision == w.imported.record.Revision {
		return false, nil
	}
	rec := w.imported.record
	has, err := db.One(ctx, tx, func(r db.Row) (has struct{ edited, revised int64 }, err error) {
		err = r.Scan(&has.edited, &has.revised)
		return has, err
	}, `SELECT edited, revised FROM pkg_version WHERE package = $1 AND version_key = $2`, w.row.id, v.key)
	if err != nil || v.entryPoint != rec.Connection || has.edited == editedHere || v.status == Disposed {
		return false, err
	}
	if given := revisedAt(rec); given < has.revised {
		return false, conflict(typeVersion, w.Version, "The record of version %s of %s is older than what the repository knows: its status or metadata were set again at %s. They stay as they are. Import the newest bundle.", w.Version, w.id, db.Time(has.revised).UTC().Format(time.RFC3339))
	}
	return true, nil
}

// checkSameOrigin checks that a version that the repository has is from the same place as
// what is to be added to it: what was published and what came from outside must never mix
// in one version. fresh means that there are new files. An import from outside needs
// besides, to change a version, what it needs to add one.
func (w *publishTx) checkSameOrigin(ctx context.Context, tx *db.Tx, v versionRow, fresh bool) error {
	if v.isNew || w.imported == nil && !fresh {
		return nil
	}
	external := w.imported.external()
	switch {
	case isConnection(v.entryPoint) && !external:
		return conflict(typeVersion, w.Version, "Version %s of %s came through the external connection %s, and takes nothing that was published. Publish another version.", w.Version, w.id, v.entryPoint)
	case external && v.entryPoint != w.imported.record.Connection:
		return conflict(typeVersion, w.Version, "Version %s of %s in repository %s did not come through the external connection %s, so it takes nothing from there.", w.Version, w.id, w.repository.id.Name, w.imported.record.Connection)
	case external && (fresh || w.following):
		return w.checkImported(ctx, tx)
	}
	return nil
}

// checkImported checks that the package takes what comes from outside. As for an external
// connection, a package with upstream BLOCK counts in each repository whose packages
// clients of this one see.
func (w *publishTx) checkImported(ctx context.Context, tx *db.Tx) error {
	if w.row.origin.Upstream == Block {
		return upstreamBlocked(w.repository.id, w.id)
	}
	if w.blocked != nil || !w.seesUpstream {
		return w.blocked
	}
	return w.walk(func(r *repository) (after func(), deeper bool, err error) {
		if r == w.repository {
			return nil, true, nil
		}
		p, err := readPackageRow(ctx, tx, r.row, w.id)
		if err == nil && p != nil && p.origin.Upstream == Block {
			err = upstreamBlocked(r.id, w.id)
		}
		return nil, true, err
	})
}

// writeRecord gives the version the times, the status and the origin of the record.
func (w *publishTx) writeRecord(ctx context.Context, tx *db.Tx, v versionRow) error {
	i := w.imported
	if i == nil || !v.isNew && !w.following {
		return nil
	}
	rec := i.record
	entryPoint, edited := w.repository.id.Name, notEdited
	if i.external() {
		entryPoint = rec.Connection
	}
	if rec.Edited {
		edited = editedElsewhere
	}
	if _, err := tx.Exec(ctx, `UPDATE pkg_version SET revision = $3, status = $4, published = $5, entry_point = $6, edited = $7, revised = $8 WHERE package = $1 AND version_key = $2`,
		w.row.id, v.key, rec.Revision, string(rec.Status), db.Micros(rec.Published), entryPoint, edited, revisedAt(rec)); err != nil {
		return err
	}
	for _, f := range rec.Files {
		if f.Published.IsZero() {
			continue
		}
		if _, err := tx.Exec(ctx, `UPDATE pkg_asset SET published = $4 WHERE package = $1 AND version_key = $2 AND name = $3`,
			w.row.id, v.key, f.Name, db.Micros(f.Published)); err != nil {
			return err
		}
	}
	return nil
}
