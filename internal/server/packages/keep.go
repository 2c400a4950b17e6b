package packages

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// keep writes the rows of a file that was downloaded into the repository with the
// connection and into the one that was asked, in one transaction.
func (s *Service) keep(ctx context.Context, d *ingestion, content *Staged, contents Contents) error {
	about, fromFile, err := s.describe(ctx, d, content)
	if err != nil {
		return err
	}
	if contents.Description != nil {
		about = contents.Description
	}
	if contents.Metadata == nil {
		contents.Metadata = d.asset.Metadata
	}
	description, err := json.Marshal(about)
	if err != nil {
		return err
	}
	k := keeping{ingestion: d, content: content, contents: contents, description: description, fromFile: fromFile}
	err = s.keepOnce(ctx, &k)
	if errors.Is(err, errContentUnchecked) {
		if k.lost, err = s.lostContent(ctx, d.repository, []StagedAsset{{Content: content}}); err != nil {
			return err
		}
		err = s.keepOnce(ctx, &k)
	}
	if k.taken && (err == nil || changefeed.PerhapsMade(err)) { // if perhaps, the sweep decides
		content.object = ""
	}
	if err == nil && k.replaced != "" {
		_ = s.blobs.Delete(ctx, k.replaced) // what cannot be deleted now, the work queue deletes
	}
	return err
}

// A keeping is the state of one run of the transaction that keeps a file.
type keeping struct {
	*ingestion
	content     *Staged
	description []byte
	contents    Contents          // what reading the file showed
	fromFile    bool              // the file tells the description
	lost        map[string]string // see replaceLost

	taken    bool   // the content becomes part of the store
	replaced string // the damaged object in whose place it comes
}

func (s *Service) keepOnce(ctx context.Context, k *keeping) error {
	origin := s.snapshot.Load().domain(k.repository.id.Domain).newOrigin(k.id, Origin{Publish: Block, Upstream: Allow})
	changes := []packageStep{{packageChange{repository: k.repository, id: k.id, origin: origin}, func(tx *db.Tx, c *packageChange) error {
		k.taken, k.replaced = false, ""     // it may run more than once
		if c.row.origin.Upstream == Block { // since the search
			return fault.From(packageNotFound(k.repository.id, k.id))
		}
		isNew, err := k.writeVersion(ctx, tx, c, k.description)
		if err != nil {
			return err
		}
		if err := k.writeContent(ctx, tx, c); err != nil {
			return err
		}
		published := k.version.fileSince(k.asset)
		if published.IsZero() {
			published = c.at
		}
		key := k.id.Format.versionKey(k.version.Version)
		assets, err := tx.Exec(ctx, `INSERT INTO pkg_asset (package, version_key, name, beside, domain, sha256, published, metadata) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (package, version_key, name) DO NOTHING`,
			c.row.id, key, k.asset.Name, k.asset.beside, k.repository.domainRow, k.content.SHA256, db.Micros(published), nullable(k.contents.Metadata))
		if err != nil || assets == 0 {
			return err
		}
		if !isNew {
			var better []byte
			if k.fromFile {
				better = k.description
			}
			_, err = tx.Exec(ctx, `UPDATE pkg_version SET revision = $3, changed = $4, description = COALESCE($5, description) WHERE package = $1 AND version_key = $2`,
				c.row.id, key, newRevision(), c.row.seq, nullable(better))
			if err != nil {
				return err
			}
		}
		if k.contents.Search != "" && isNew {
			c.row.search = searchText(k.contents.Search)
		}
		if k.asset.beside != "" { // sidecars are not assets
			return nil
		}
		return c.announceRetained(ctx, tx, key, isNew, 1)
	}}}
	if k.asked != k.repository {
		changes = append(changes, s.retention(ctx, k.asked, k.repository, k.id, k.version.Version))
	}
	return s.changePackages(ctx, changes...)
}

// writeContent makes the bytes part of the domain, unless it has them.
func (k *keeping) writeContent(ctx context.Context, tx *db.Tx, c *packageChange) error {
	n, err := tx.Exec(ctx, `INSERT INTO pkg_content (domain, sha256, size, md5, sha1, sha512, object) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (domain, sha256) DO NOTHING`,
		k.repository.domainRow, k.content.SHA256, k.content.Size, k.content.MD5, k.content.SHA1, k.content.SHA512, k.content.object)
	if err != nil || n == 1 {
		k.taken = n == 1
		return err
	}
	k.replaced, err = c.replaceLost(ctx, tx, k.content, k.lost)
	k.taken = k.replaced != ""
	return err
}

// describe returns what the CodeArtifact API answers about the version, and whether the
// file that is kept says it.
func (s *Service) describe(ctx context.Context, d *ingestion, content *Staged) (about *Description, fromFile bool, err error) {
	if mainFile := d.id.Format.rules().mainFile; mainFile != nil && d.asset.Name == mainFile(d.id, d.version.Version) {
		o, err := content.Open(ctx)
		if err != nil {
			return nil, false, err
		}
		defer o.Close()
		if about := s.remote.DescribeFile(d.repository.connection, d.id, d.asset.Name, o); about != nil {
			return about, true, nil
		}
	}
	return s.remote.Describe(d.repository.connection, d.id, d.version.Metadata), false, nil
}

// writeVersion adds the version unless the repository has it from the same registry. It is
// revised now: a version that was deleted and is taken again is newer than what was said of
// the deleted one.
func (d *ingestion) writeVersion(ctx context.Context, tx *db.Tx, c *packageChange, description []byte) (isNew bool, err error) {
	published := d.version.since()
	if published.IsZero() {
		published = c.at
	}
	key := d.id.Format.versionKey(d.version.Version)
	n, err := tx.Exec(ctx, `INSERT INTO pkg_version (package, version_key, version, revision, status, published, entry_point, description, metadata, changed, arrived, revised)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (package, version_key) DO NOTHING`,
		c.row.id, key, d.version.Version, newRevision(), string(d.version.Status), db.Micros(published), d.repository.connection,
		description, nullable(d.version.Metadata), c.row.seq, c.arrival(), db.Micros(c.at))
	if err != nil || n == 1 {
		return n == 1, err
	}
	there, err := db.One(ctx, tx, func(r db.Row) (v Version, err error) {
		err = r.Scan(&v.EntryPoint, &v.Status)
		return v, err
	}, `SELECT entry_point, status FROM pkg_version WHERE package = $1 AND version_key = $2`, c.row.id, key)
	if err == nil && (there.EntryPoint != d.repository.connection || !there.Status.downloadable()) {
		err = assetNotFound(d.id, d.version.Version, d.asset.Name) // published or archived here meanwhile
	}
	return false, err
}
