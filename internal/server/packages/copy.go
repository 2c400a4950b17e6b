package packages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A Copy is the input of CopyVersions.
type Copy struct {
	// Source and Destination are repositories of one domain.
	Source, Destination RepositoryID
	Package             PackageID
	// Versions or Revisions name the versions; exactly one of them must have entries.
	// Revisions maps versions to the revisions that the caller expects.
	Versions  []string
	Revisions map[string]string
	// AllowOverwrite replaces versions of the destination that are different.
	AllowOverwrite bool
	// IncludeFromUpstream also takes versions that the source only sees upstream.
	IncludeFromUpstream bool
}

// CopyVersions copies versions to another repository of the domain, without their bytes:
// the copies share them. Either all versions are copied or none (CodeArtifact User Guide,
// "Copy packages between repositories"). A copy has the revision, the status, the tags
// and the entry point of its source. A version that the destination has already is in
// neither part of the outcome.
//
// A package that is new in the destination gets the origin configuration that it has in
// the source. The origin configuration of the destination and the package groups do not
// restrict copies.
//
// codeartifact:ReadFromRepository on the source and codeartifact:CopyPackageVersions on
// the destination.
func (s *Service) CopyVersions(ctx context.Context, c Copy) (Outcome, error) {
	source, err := s.authorizeRepository(ctx, readFromRepository, c.Source)
	if err != nil {
		return Outcome{}, err
	}
	destination, err := s.authorizeRepository(ctx, "codeartifact:CopyPackageVersions", c.Destination)
	if err != nil {
		return Outcome{}, err
	}
	versions, err := c.validate()
	if err != nil {
		return Outcome{}, err
	}
	if err := s.settle(ctx, nil, &c.Package); err != nil { // who has read a version from the source can copy it
		return Outcome{}, err
	}
	if out, err := s.deniedCopies(ctx, source, c.Package, versions); err != nil || len(out.Failed) > 0 {
		return out, err
	}
	var out Outcome
	err = s.changeCached(ctx, []cacheKey{destination.cacheKey(c.Package)}, func(tx *db.Tx) (err error) {
		t := copyTx{Copy: c, source: source, tx: tx, packageChange: packageChange{
			service: s, repository: destination, id: c.Package, at: s.now(),
		}}
		out, err = t.run(ctx, versions)
		return err
	})
	if errors.Is(err, errNothingToCopy) {
		err = nil
	}
	return out, err
}

// deniedCopies says which versions admission denies to the caller. There is none, or the
// others are skipped.
func (s *Service) deniedCopies(ctx context.Context, source *repository, id PackageID, versions []string) (Outcome, error) {
	out := Outcome{Successful: map[string]VersionState{}, Failed: map[string]VersionError{}}
	if a, err := s.admissionOf(ctx, readFromRepository, source, id); a == nil || err != nil {
		return out, err
	}
	p, err := s.visibleStored(ctx, source, id)
	if err != nil {
		if isNotFound(err) {
			err = nil // what copies are not found for
		}
		return out, err
	}
	for _, version := range versions {
		v := p.byKey[id.Format.versionKey(version)] // also an archived one: its copy can be published
		if v == nil {
			continue
		}
		for i := range v.Assets { // a copy has all of them
			if err := s.checkDownload(ctx, readFromRepository, source, id, v, &v.Assets[i]); err != nil {
				out.Failed[version] = VersionError{"NOT_ALLOWED", fault.From(err).Message}
			}
		}
	}
	if len(out.Failed) > 0 {
		for _, version := range versions {
			if _, failed := out.Failed[version]; !failed {
				out.Failed[version] = VersionError{"SKIPPED", "Version " + version + " was skipped"}
			}
		}
	}
	return out, nil
}

// errNothingToCopy rolls a copy back that changes nothing.
var errNothingToCopy = errors.New("there is nothing to copy")

// validate returns the versions to copy.
func (c *Copy) validate() ([]string, error) {
	if err := validPackage(c.Package); err != nil {
		return nil, err
	}
	if c.Source.Domain != c.Destination.Domain {
		return nil, invalid("The source and the destination must be repositories of one domain.")
	}
	if c.Source == c.Destination {
		return nil, invalid("The source and the destination are the same repository, %s.", c.Source.Name)
	}
	if (len(c.Versions) == 0) == (len(c.Revisions) == 0) {
		return nil, invalid("Name the versions to copy in either versions or versionRevisions.")
	}
	versions := slices.Clone(c.Versions)
	for version := range c.Revisions {
		versions = append(versions, version)
	}
	if len(versions) > maxSelected {
		return nil, invalid("Name 1 to %d versions.", maxSelected)
	}
	if err := validVersions(versions); err != nil {
		return nil, err
	}
	slices.Sort(versions)
	return slices.Compact(versions), nil
}

// A copyTx is the state of one run of CopyVersions's transaction.
type copyTx struct {
	Copy
	packageChange
	source *repository
	tx     *db.Tx
	from   []sourcePackage // where versions are looked for, in this order
}

// A sourcePackage is the package in the source or one of its upstreams.
type sourcePackage struct {
	row      *packageRow
	upstream bool
}

// A plannedCopy is a version that will be written.
type plannedCopy struct {
	name  string // as the caller wrote it
	from  *packageRow
	found sourceVersion
	over  bool // the destination has another version of the same name
	// former is the status of the version that the copy replaces.
	former Status
}

// A sourceVersion is a version as the source has it.
type sourceVersion struct {
	version  string
	state    VersionState
	content  string // what makes two versions the same
	metadata []byte
}

// run checks all versions before it writes the first.
func (t *copyTx) run(ctx context.Context, versions []string) (Outcome, error) {
	out := Outcome{Successful: map[string]VersionState{}, Failed: map[string]VersionError{}}
	if err := t.findSources(ctx); err != nil {
		return out, err
	}
	if len(t.from) > 0 {
		t.origin = t.from[0].row.origin
		if t.id.Format.rules().oneSpelling { // the copies have the spelling of the source
			t.id.Name = t.from[0].row.name
		}
	}
	planned, err := t.plan(ctx, versions, out.Failed)
	if err != nil {
		return out, err
	}
	if len(out.Failed) > 0 {
		for _, p := range planned {
			out.Failed[p.name] = VersionError{"SKIPPED", "Version " + p.name + " was skipped"}
		}
		return out, errNothingToCopy
	}
	if len(planned) == 0 {
		return out, errNothingToCopy
	}
	if err := t.begin(ctx, t.tx); err != nil {
		return out, err
	}
	for _, p := range planned {
		if err := t.write(ctx, p); err != nil {
			return out, err
		}
		out.Successful[p.name] = p.found.state
	}
	return out, t.save(ctx, t.tx)
}

// findSources reads the package in the source and, if they are wanted, its upstreams.
func (t *copyTx) findSources(ctx context.Context) error {
	upstreams := t.IncludeFromUpstream && t.service.snapshot.Load().domain(t.source.id.Domain).seesUpstream(t.source, t.id)
	return t.service.walkUpstreams(t.source, t.id.Format, func(r *repository) (func(), bool, error) {
		p, err := readPackageRow(ctx, t.tx, r.row, t.id)
		if err != nil {
			return nil, false, err
		}
		if p != nil {
			t.from = append(t.from, sourcePackage{p, r != t.source})
		}
		return nil, upstreams && (p == nil || p.origin.Upstream == Allow), nil
	})
}

// plan returns the versions that must be written, and says in failed why others cannot
// be.
func (t *copyTx) plan(ctx context.Context, versions []string, failed map[string]VersionError) ([]plannedCopy, error) {
	row, err := readPackageRow(ctx, t.tx, t.repository.row, t.id)
	if err == nil && row != nil {
		err = t.checkSpelling(t.repository, row.name)
	}
	if err != nil {
		return nil, err
	}
	var planned []plannedCopy
	seen := map[string]bool{}
	for _, name := range versions {
		if key := t.id.Format.versionKey(name); seen[key] {
			return nil, invalid("The version %s is named twice.", name)
		} else {
			seen[key] = true
		}
		p, err := t.planOne(ctx, name, row)
		var refused *VersionError
		switch {
		case errors.As(err, &refused):
			failed[name] = *refused
		case err != nil:
			return nil, err
		case p != nil:
			planned = append(planned, *p)
		}
	}
	return planned, nil
}

// planOne returns nil if the destination has the version already.
func (t *copyTx) planOne(ctx context.Context, name string, destination *packageRow) (*plannedCopy, error) {
	p, err := t.find(ctx, name)
	if err != nil {
		return nil, err
	}
	if want, ok := t.Revisions[name]; ok && want != p.found.state.Revision {
		return nil, mismatchedRevision(p.found.state.Revision, want)
	}
	if p.found.state.Status == Disposed {
		return nil, notAllowed("Version " + name + " is Disposed: it has no assets any more")
	}
	if destination == nil {
		return p, nil
	}
	there, err := readSourceVersion(ctx, t.tx, destination.id, t.id.Format.versionKey(name))
	switch {
	case errors.Is(err, db.ErrNoRows):
		return p, nil
	case err != nil:
		return nil, err
	case there.state.Status != Disposed && there.content == p.found.content && bytes.Equal(there.metadata, p.found.metadata):
		return nil, nil
	case !t.AllowOverwrite:
		return nil, &VersionError{"ALREADY_EXISTS", "Version " + name + " already exists"}
	}
	p.over, p.former = true, there.state.Status
	return p, nil
}

// find looks for a version in the source and then in its upstreams. As for clients, the
// first that has it counts, and an upstream shows only what can be downloaded.
func (t *copyTx) find(ctx context.Context, name string) (*plannedCopy, error) {
	key := t.id.Format.versionKey(name)
	for _, from := range t.from {
		v, err := readSourceVersion(ctx, t.tx, from.row.id, key)
		if errors.Is(err, db.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if from.upstream && !v.state.Status.downloadable() {
			break
		}
		return &plannedCopy{name: name, from: from.row, found: v}, nil
	}
	return nil, &VersionError{"NOT_FOUND", "Could not find version " + name}
}

func readSourceVersion(ctx context.Context, tx *db.Tx, pkg, key string) (v sourceVersion, err error) {
	v, err = db.One(ctx, tx, func(r db.Row) (v sourceVersion, err error) {
		err = r.Scan(&v.version, &v.state.Revision, &v.state.Status, &v.metadata)
		return v, err
	}, `SELECT version, revision, status, metadata FROM pkg_version WHERE package = $1 AND version_key = $2`, pkg, key)
	if err != nil {
		return v, err
	}
	assets, err := db.All(ctx, tx, func(r db.Row) (string, error) {
		var name, beside, sha string
		err := r.Scan(&name, &beside, &sha)
		return fmt.Sprintf("%q %q %s", name, beside, sha), err
	}, `SELECT name, beside, sha256 FROM pkg_asset WHERE package = $1 AND version_key = $2 ORDER BY name`, pkg, key)
	v.content = strings.Join(assets, "\n")
	return v, err
}

// write copies one version with its assets and tags.
func (t *copyTx) write(ctx context.Context, p plannedCopy) error {
	key := t.id.Format.versionKey(p.name)
	removed := 0
	if p.over { // its tags stay
		var err error
		if removed, err = t.dropAssets(ctx, t.tx, key); err != nil {
			return err
		}
		if _, err := t.tx.Exec(ctx, `DELETE FROM pkg_version WHERE package = $1 AND version_key = $2`, t.row.id, key); err != nil {
			return err
		}
	}
	if _, err := t.tx.Exec(ctx, `INSERT INTO pkg_version (package, version_key, version, revision, status, published, entry_point, description, metadata, edited, revised, changed, arrived)
		SELECT $1, version_key, version, revision, status, published, entry_point, description, metadata, edited, revised, $2, $5
		FROM pkg_version WHERE package = $3 AND version_key = $4`, t.row.id, t.row.seq, p.from.id, key, t.arrival()); err != nil {
		return err
	}
	if _, err := t.tx.Exec(ctx, `INSERT INTO pkg_asset (package, version_key, name, beside, domain, sha256, published, metadata)
		SELECT $1, version_key, name, beside, domain, sha256, published, metadata FROM pkg_asset WHERE package = $2 AND version_key = $3`,
		t.row.id, p.from.id, key); err != nil {
		return err
	}
	for tag, version := range p.from.tags {
		if t.id.Format.versionKey(version) == key {
			t.row.tags[tag] = version
		}
	}
	if t.row.attributes == nil {
		t.row.attributes = p.from.attributes
	}
	if t.row.search == "" {
		t.row.search = p.from.search
	}
	return t.announceReplaced(ctx, t.tx, key, p.former, removed)
}
