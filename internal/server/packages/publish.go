package packages

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/truncate"
)

const publishPackageVersion = "codeartifact:PublishPackageVersion"

// MaxAssetSize bounds an asset, in bytes (CodeArtifact User Guide, "Quotas": asset file
// size).
const MaxAssetSize = 5_000_000_000

// maxAssets is the maximum number of assets of a version (CodeArtifact User Guide,
// "Quotas": asset files per package version).
const maxAssets = 350

// maxSearchText bounds the text of a package in which searches look, in bytes. A search
// reads the texts of a thousand packages at a time.
const maxSearchText = 16 << 10

// searchText returns a text for searches as it is stored.
func searchText(s string) string {
	return truncate.Prefix(strings.ReplaceAll(s, "\x00", " "), maxSearchText) // PostgreSQL has no NUL in texts
}

// Publish creates a version or adds assets to one, in one transaction. An asset that
// exists already with the same bytes is not an error, and if no asset of the
// publication is new, nothing changes.
//
// A publication as Unfinished leaves the status of a version that exists: files of a
// finished version may still come, unless the format has none (see [Service.Finish]).
//
// If no asset is new, the tags are still set, which needs
// codeartifact:PutPackageMetadata as SetTags does. Content whose bytes the blob store
// has lost is replaced by the bytes of the publication.
//
// Fault Conflict: an asset of the same name has other bytes; the version is in an
// upstream repository; the version is archived, disposed or accepts no more assets;
// the name differs from the package's in its spelling, and the format allows one
// spelling; the origin configuration of the package blocks publishing. Fault
// ServiceQuotaExceeded: too many assets. codeartifact:PublishPackageVersion on the package.
func (s *Service) Publish(ctx context.Context, p Publication) (*Version, error) {
	defer func() {
		for _, a := range p.Assets {
			a.Content.Discard() // does nothing for content that is part of the store now
		}
	}()
	r, err := s.authorizePackage(ctx, publishPackageVersion, p.Repository, p.Package)
	if err != nil {
		return nil, err
	}
	p.Package = p.Package.canonical()
	return s.publish(ctx, r, p)
}

// publish is Publish for an authorized caller.
func (s *Service) publish(ctx context.Context, r *repository, p Publication) (*Version, error) {
	if err := s.validPublication(&p); err != nil {
		return nil, err
	}
	description, err := json.Marshal(p.Description)
	if err != nil {
		return nil, err
	}
	d := s.snapshot.Load().domain(r.id.Domain)
	w := publishTx{seesUpstream: d.seesUpstream(r, p.Package), Publication: p, description: description}
	if p.imported.external() {
		w.blocked = d.importBlocked(r, p.Package)
	} else {
		w.blocked = d.publishBlocked(r, p.Package)
		if w.taken, err = s.remoteHas(ctx, r, p.Package, p.Version); err != nil {
			return nil, err
		}
	}
	w.authorizeTags = func() error {
		if p.imported != nil {
			return nil // tags are part of what was authorized
		}
		_, err := s.authorizePackage(ctx, putPackageMetadata, p.Repository, p.Package)
		return err
	}
	w.walk = func(visit visitor) error { return s.walkUpstreams(r, p.Package.Format, visit) }
	publish := func() error {
		return s.changeCached(ctx, []cacheKey{r.cacheKey(p.Package)}, func(tx *db.Tx) error {
			// The transaction may run more than once: start each run afresh.
			w.packageChange = packageChange{service: s, repository: r, id: p.Package, origin: d.newOrigin(p.Package, p.origin()), at: s.now()}
			w.kept, w.replaced, w.published = nil, nil, nil
			return w.run(ctx, tx)
		})
	}
	err = publish()
	if errors.Is(err, errContentUnchecked) {
		if w.lost, err = s.lostContent(ctx, r, p.Assets); err != nil {
			return nil, err
		}
		err = publish()
	}
	if err != nil && !changefeed.PerhapsMade(err) {
		return nil, err
	}
	// Otherwise the commit happened or may have happened, so the objects stay. The
	// sweep deletes those that no row names.
	for _, c := range w.kept {
		c.object = ""
	}
	if err != nil {
		return nil, err
	}
	// Cached records still name the damaged objects. Without them, readers look for
	// the new ones. What cannot be deleted now, the work queue deletes.
	for _, object := range w.replaced {
		_ = s.blobs.Delete(ctx, object)
	}
	return w.published, nil
}

func (s *Service) validPublication(p *Publication) error {
	if err := validVersion(p.Version); err != nil {
		return err
	}
	switch p.Status {
	case "":
		p.Status = Published
	case Published, Unfinished:
	case Unlisted, Archived:
		if p.imported != nil {
			break
		}
		fallthrough
	default:
		return invalid("A version is published as Published or Unfinished, not as %s.", p.Status)
	}
	if len(p.Assets) == 0 && p.imported == nil {
		return invalid("A publication needs at least one asset.")
	}
	for _, tag := range p.Tags {
		if err := validTag(tag); err != nil {
			return err
		}
	}
	p.Search = searchText(p.Search)
	names := map[string]bool{}
	for _, a := range p.Assets {
		if err := validAssetName(a.Name); err != nil {
			return err
		}
		if names[a.Name] {
			return invalid("The asset %q is in the publication twice.", a.Name)
		}
		names[a.Name] = true
		if a.Content == nil || a.Content.object == "" || a.Content.service != s {
			return fault.New(fault.Internal, "InternalError", "The content of asset %q is not staged.", a.Name)
		}
		if s.now().Sub(a.Content.at) > stagedFor {
			return invalid("The content of asset %q was uploaded too long ago; upload it again.", a.Name)
		}
	}
	return nil
}

// A publishTx is the state of one run of Publish's transaction.
type publishTx struct {
	Publication
	packageChange
	description []byte
	lost        map[string]string // SHA-256 of content without its bytes → the object that was tried; nil before they were looked for
	// authorizeTags authorizes a publication that only moves tags.
	authorizeTags func() error
	// walk visits the repository and its upstreams.
	walk func(visitor) error
	// blocked is why a package group forbids new versions, or nil. seesUpstream is false
	// if it hides versions of the upstreams.
	blocked      error
	seesUpstream bool
	// following means that a version of the repository takes what an import says of it.
	following bool
	// taken is the external connection that has the version already, or empty.
	taken string

	kept      []*Staged // content that becomes part of the store
	replaced  []string  // damaged objects that it replaces
	published *Version
}

// A versionRow is a row of pkg_version.
type versionRow struct {
	key      string
	revision string
	status   Status
	version  string // as it was published
	// entryPoint is as in [Version].
	entryPoint string
	isNew      bool
}

func (w *publishTx) run(ctx context.Context, tx *db.Tx) error {
	if err := w.begin(ctx, tx); err != nil {
		return err
	}
	if err := w.checkSpelling(w.repository, w.row.name); err != nil {
		return err
	}
	v, have, err := w.target(ctx, tx)
	if err != nil {
		return err
	}
	if err := w.imported.checkPresent(have); err != nil {
		return err
	}
	fresh, err := w.newAssets(v, have)
	if err != nil {
		return err
	}
	if w.following, err = w.follows(ctx, tx, v); err != nil {
		return err
	}
	if err := w.checkSameOrigin(ctx, tx, v, len(fresh) > 0); err != nil {
		return err
	}
	changed := len(fresh) > 0 || w.following || v.status == Unfinished && w.Status == Published
	switch {
	case changed:
		err = w.write(ctx, tx, v, fresh)
	case w.movesTags():
		if err = w.authorizeTags(); err == nil {
			err = w.writeTags(v)
		}
		if err == nil {
			err = w.save(ctx, tx)
		}
	}
	if err != nil {
		return err
	}
	if err := w.restoreContent(ctx, tx); err != nil {
		return err
	}
	if w.published, err = readVersion(ctx, tx, w.repository, w.row.id, v.key); err != nil || !changed {
		return err
	}
	if err := w.announcePublished(ctx, tx, v, fresh); err != nil {
		return err
	}
	if build, ok := w.id.Format.buildOf(w.Version); ok && len(fresh) > 0 && v.status != Unfinished && !v.isNew {
		if err := w.updateSnapshot(ctx, tx, build, v.key); err != nil { // a file of a build that is finished
			return err
		}
		return w.save(ctx, tx)
	}
	return nil
}

// target returns the version and the SHA-256 of each of its assets. For a new version
// it checks that the version may be added.
func (w *publishTx) target(ctx context.Context, tx *db.Tx) (versionRow, map[string]Asset, error) {
	v, err := w.version(ctx, tx, w.Version)
	if errors.Is(err, db.ErrNoRows) {
		key := w.id.Format.versionKey(w.Version)
		return versionRow{key: key, isNew: true}, nil, w.checkNewVersion(ctx, tx, key)
	}
	if err != nil {
		return v, nil, err
	}
	assets, err := db.All(ctx, tx, func(r db.Row) (a Asset, err error) {
		err = r.Scan(&a.Name, &a.beside, &a.SHA256)
		return a, err
	}, `SELECT name, beside, sha256 FROM pkg_asset WHERE package = $1 AND version_key = $2`, w.row.id, v.key)
	have := make(map[string]Asset, len(assets))
	for _, a := range assets {
		have[a.Name] = a
	}
	return v, have, err
}

// checkNewVersion checks that the package may get a new version and that an upstream
// repository does not have the same version already: clients could not distinguish
// the two.
func (w *publishTx) checkNewVersion(ctx context.Context, tx *db.Tx, key string) error {
	if !w.imported.external() && w.row.origin.Publish == Block {
		return originBlocked(w.repository.id, w.id)
	}
	if err := w.checkNotAside(ctx, tx, key, w.Version); err != nil {
		return err
	}
	if w.imported.external() {
		return w.checkImported(ctx, tx) // upstream repositories may have the same version
	}
	if w.blocked != nil {
		return w.blocked
	}
	if w.taken != "" && (w.created || w.row.origin.Upstream == Allow) {
		return conflict(typeVersion, w.Version, "Version %s of %s exists already in the external connection %s. Publish another version.", w.Version, w.id, w.taken)
	}
	if !w.seesUpstream {
		return nil
	}
	same := key // a version that is the same for clients, too
	if build, ok := w.id.Format.buildOf(w.Version); ok {
		same = w.id.Format.versionKey(build.Snapshot())
	}
	return w.walk(func(r *repository) (after func(), deeper bool, err error) {
		if r == w.repository {
			return nil, w.created || w.row.origin.Upstream == Allow, nil
		}
		p, err := readPackageRow(ctx, tx, r.row, w.id)
		if err != nil || p == nil {
			return nil, true, err
		}
		if err := w.checkSpelling(r, p.name); err != nil {
			return nil, false, err
		}
		n, err := db.One(ctx, tx, db.Scalar[int64], `SELECT count(*) FROM pkg_version WHERE package = $1 AND version_key IN ($2, $3)`, p.id, key, same)
		if n > 0 {
			err = conflict(typeVersion, w.Version, "Version %s of %s exists already in the upstream repository %s.", w.Version, w.id, r.id.Name)
		}
		return nil, p.origin.Upstream == Allow, err
	})
}

// newAssets returns the assets that the version does not have yet.
func (w *publishTx) newAssets(v versionRow, have map[string]Asset) ([]StagedAsset, error) {
	var fresh []StagedAsset
	for _, a := range w.Assets {
		if !w.hasBeside(a, have) {
			return nil, invalid("There is no asset %q, which %q is about.", a.Beside, a.Name)
		}
		switch same, ok := have[a.Name]; {
		case !ok:
			fresh = append(fresh, a)
		case same.SHA256 != a.Content.SHA256:
			return nil, conflict(typeAsset, a.Name, "Version %s of %s already has an asset %s with other content. Publish another version.", w.Version, w.id, a.Name)
		}
	}
	switch {
	case v.isNew || len(fresh) == 0:
	case w.imported.external() && v.status != Disposed: // files are kept one by one when they come through a connection
	case v.status == Archived || v.status == Disposed:
		return nil, conflict(typeVersion, w.Version, "Version %s of %s is %s.", w.Version, w.id, v.status)
	case v.status != Unfinished && w.Status == Unfinished && w.id.Format.rules().sealed:
		return nil, conflict(typeVersion, w.Version, "Version %s of %s is %s and cannot become Unfinished.", w.Version, w.id, v.status)
	case v.status != Unfinished && !w.id.Format.rules().takes(fresh):
		return nil, conflict(typeVersion, w.Version, "Version %s of %s was published already and takes no further assets.", w.Version, w.id)
	}
	count := 0
	for _, a := range have {
		if a.beside == "" {
			count++
		}
	}
	for _, a := range fresh {
		if a.Beside == "" {
			count++
		}
	}
	if count > maxAssets {
		return nil, quotaExceeded(typeVersion, w.Version, "A package version has at most %d assets.", maxAssets)
	}
	return fresh, nil
}

// hasBeside reports whether the asset that a sidecar is about is in the publication or in
// the version.
func (w *publishTx) hasBeside(a StagedAsset, have map[string]Asset) bool {
	if a.Beside == "" || slices.ContainsFunc(w.Assets, func(b StagedAsset) bool { return b.Name == a.Beside && b.Beside == "" }) {
		return true
	}
	about, ok := have[a.Beside]
	return ok && about.beside == ""
}

func (w *publishTx) write(ctx context.Context, tx *db.Tx, v versionRow, fresh []StagedAsset) error {
	if err := w.writeVersion(ctx, tx, v); err != nil {
		return err
	}
	for _, a := range fresh {
		if err := w.writeContent(ctx, tx, a.Content); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO pkg_asset (package, version_key, name, beside, domain, sha256, published, metadata) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			w.row.id, v.key, a.Name, a.Beside, w.repository.domainRow, a.Content.SHA256, db.Micros(w.at), nullable(a.Metadata)); err != nil {
			return err
		}
	}
	if err := w.writeRecord(ctx, tx, v); err != nil {
		return err
	}
	if w.Attributes != nil {
		w.row.attributes = w.Attributes
	}
	if w.Search != "" {
		w.row.search = w.Search
	}
	for _, tag := range w.Tags {
		w.row.tags[tag] = w.Version
	}
	return w.save(ctx, tx)
}

// movesTags reports whether a tag of the publication is not on its version yet.
func (w *publishTx) movesTags() bool {
	key := w.id.Format.versionKey(w.Version)
	return slices.ContainsFunc(w.Tags, func(tag string) bool {
		now, ok := w.row.tags[tag]
		return !ok || w.id.Format.versionKey(now) != key
	})
}

// writeTags sets the tags on a version that exists.
func (w *publishTx) writeTags(v versionRow) error {
	if v.status != Published {
		return conflict(typeVersion, w.Version, "Version %s of %s is %s; only a Published one can be tagged.", w.Version, w.id, v.status)
	}
	for _, tag := range w.Tags {
		w.row.tags[tag] = w.Version
	}
	return nil
}

func (w *publishTx) writeVersion(ctx context.Context, tx *db.Tx, v versionRow) error {
	var description any
	if w.Description != nil {
		description = w.description
	}
	if v.isNew {
		_, err := tx.Exec(ctx, `INSERT INTO pkg_version (package, version_key, version, revision, status, published, entry_point, description, metadata, changed, arrived)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			w.row.id, v.key, w.Version, newRevision(), string(w.Status), db.Micros(w.at), w.repository.id.Name,
			description, nullable(w.Metadata), w.row.seq, w.arrival())
		return err
	}
	status := v.status
	if status == Unfinished {
		status = w.Status
	}
	_, err := tx.Exec(ctx, `UPDATE pkg_version SET revision = $3, status = $4, changed = $5,
		description = coalesce($6, description), metadata = coalesce($7, metadata) WHERE package = $1 AND version_key = $2`,
		w.row.id, v.key, newRevision(), string(status), w.row.seq, description, nullable(w.Metadata))
	return err
}

// writeContent makes staged bytes part of the domain. If the domain has the same bytes
// already, those are used and the staged ones are discarded.
func (w *publishTx) writeContent(ctx context.Context, tx *db.Tx, c *Staged) error {
	n, err := tx.Exec(ctx, `INSERT INTO pkg_content (domain, sha256, size, md5, sha1, sha512, object) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (domain, sha256) DO NOTHING`,
		w.repository.domainRow, c.SHA256, c.Size, c.MD5, c.SHA1, c.SHA512, c.object)
	if n == 1 && !slices.Contains(w.kept, c) {
		w.kept = append(w.kept, c)
	}
	return err
}

// readVersion reads one version with its assets.
func readVersion(ctx context.Context, q db.Querier, r *repository, pkg, key string) (*Version, error) {
	v, err := db.One(ctx, q, func(row db.Row) (*Version, error) {
		v := &Version{Repository: r.id.Name}
		var published int64
		err := row.Scan(&v.Version, &v.Revision, &v.Status, &published, &v.EntryPoint, (*[]byte)(&v.Metadata))
		v.Published = db.Time(published)
		return v, err
	}, `SELECT version, revision, status, published, entry_point, metadata FROM pkg_version WHERE package = $1 AND version_key = $2`, pkg, key)
	if err != nil {
		return nil, err
	}
	files, err := db.All(ctx, q, func(row db.Row) (Asset, error) { return scanAsset(row) },
		`SELECT `+assetColumns+` FROM pkg_asset a JOIN pkg_content c ON c.domain = a.domain AND c.sha256 = a.sha256
		WHERE a.package = $1 AND a.version_key = $2 ORDER BY a.name`, pkg, key)
	for _, a := range files {
		a.repository = r.id.Name
		v.add(a)
	}
	return v, err
}
