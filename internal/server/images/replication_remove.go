package images

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A removedReference is a row of image_replication_removal. An empty tag means the image.
type removedReference struct {
	Reference
	since int64
}

// removeAll deletes at the destination what was deleted in the source. An image that an
// index of the destination lists is tried again after the others, and stays if it is still
// listed then.
func (r *replication) removeAll(ctx context.Context) error {
	keep := func(removedReference) error { return nil }
	for {
		done, listed, err := r.removePass(ctx, keep)
		if err != nil || listed == 0 {
			return err
		}
		if done == 0 {
			break
		}
	}
	_, _, err := r.removePass(ctx, func(m removedReference) error {
		return r.s.db.Tx(ctx, func(tx *db.Tx) error { return r.forget(ctx, tx, m) })
	})
	return err
}

// removePass does what is to be removed. It calls ifListed for what an index lists, and
// returns how many it did and how many are listed.
func (r *replication) removePass(ctx context.Context, ifListed func(removedReference) error) (done, listed int, err error) {
	for after := (removedReference{}); ; {
		page, err := db.All(ctx, r.s.db, func(row db.Row) (m removedReference, err error) {
			err = row.Scan(&m.Digest, &m.Tag, &m.since)
			return m, err
		}, `SELECT digest, tag, since FROM image_replication_removal WHERE repository = $1 AND account = $2 AND region = $3 AND (since, digest, tag) > ($4, $5, $6)
			ORDER BY since, digest, tag LIMIT $7`, r.from.row, r.to.Account, r.to.Region, after.since, string(after.Digest), after.Tag, replicationBatch)
		if err != nil || len(page) == 0 {
			return done, listed, err
		}
		for _, m := range page {
			after = m
			removed, err := r.removeOne(ctx, m)
			if err == nil && !removed {
				listed++
				err = ifListed(m)
			}
			if err != nil {
				return done, listed, fmt.Errorf("delete %s@%s in %s in %s: %w", r.from.ID.Name, m.Digest, r.to.Account, r.to.Region, err)
			}
			if removed {
				done++
			}
		}
	}
}

// forget deletes a row that is done, unless the same was removed again meanwhile.
func (r *replication) forget(ctx context.Context, tx *db.Tx, m removedReference) error {
	_, err := tx.Exec(ctx, `DELETE FROM image_replication_removal WHERE repository = $1 AND account = $2 AND region = $3 AND digest = $4 AND tag = $5 AND since = $6`,
		r.from.row, r.to.Account, r.to.Region, string(m.Digest), m.Tag, m.since)
	return err
}

// removeOne deletes a tag or an image of the destination, unless the source has it again.
// An image that has tags of its own there stays. done is false if an index lists it.
func (r *replication) removeOne(ctx context.Context, m removedReference) (done bool, err error) {
	if !r.s.serves(r.to) {
		return r.removeRemote(ctx, m)
	}
	to := r.s.repositories.get(RepositoryID{r.to.Account, r.to.Region, r.from.ID.Name})
	if to != nil {
		if err := r.authorize(ctx, to.ID, "ecr:ReplicateImage", codeDenied); err != nil {
			to = nil
			if _, ok := errors.AsType[*replicaFailure](err); !ok {
				return false, err
			}
		}
	}
	d := &deleteTx{s: r.s, repo: to, ref: m.Reference, last: keepUntagged, replicated: true}
	if m.Tag != "" {
		d.ref.Digest = "" // see isGone
	}
	err = r.s.changeCached(ctx, func(tx *db.Tx) ([]string, error) {
		d.gone, d.deleted = nil, false
		if to != nil {
			wanted, err := r.isGone(ctx, tx, to, m)
			if err != nil {
				return nil, err
			}
			if wanted {
				err = d.run(ctx, tx)
			}
			if err != nil && !fault.Is(err, "ImageNotFound") && !fault.Is(err, "ImageTagDoesNotMatchDigest") {
				return nil, err
			}
		}
		if to == nil {
			return nil, r.forget(ctx, tx, m)
		}
		return d.keys(), r.forget(ctx, tx, m)
	}, func() {
		if to != nil {
			d.forget()
		}
	})
	if fault.Is(err, "ImageReferencedByManifestList") {
		return false, nil
	}
	if err != nil || len(d.gone) == 0 {
		return err == nil, err
	}
	return true, r.s.recordService(ctx, "ReplicateDeletion", to, map[string]any{"imageDigest": m.Digest, "imageTag": m.Tag, "sourceAccount": r.from.ID.Account, "sourceRegion": r.from.ID.Region})
}

// isGone reports whether the source still lacks what was removed, and whether the
// destination has no reason of its own to keep it: a tag on an image that did not come from
// the source, or an image with a tag that was not removed. A tag may have been moved in the
// source before it was removed, so it need not be on the same image here.
func (r *replication) isGone(ctx context.Context, tx *db.Tx, to *Repository, m removedReference) (bool, error) {
	query := `SELECT count(*) FROM image_tag t WHERE t.repository = $3 AND t.tag = $6 AND (t.digest = $2
			OR EXISTS (SELECT 1 FROM image_replication c WHERE c.repository = $1 AND c.account = $4 AND c.region = $5 AND c.digest = t.digest)
			OR EXISTS (SELECT 1 FROM image_replication_removal m WHERE m.repository = $1 AND m.account = $4 AND m.region = $5 AND m.digest = t.digest AND m.tag = ''))
		AND NOT EXISTS (SELECT 1 FROM image_tag s WHERE s.repository = $1 AND s.tag = t.tag)`
	args := []any{r.from.row, string(m.Digest), to.row, r.to.Account, r.to.Region, m.Tag}
	if m.Tag == "" {
		args = args[:5]
		query = `SELECT count(*) FROM image_manifest i WHERE i.repository = $3 AND i.digest = $2
			AND NOT EXISTS (SELECT 1 FROM image_manifest s WHERE s.repository = $1 AND s.digest = i.digest)
			AND NOT EXISTS (SELECT 1 FROM image_tag t WHERE t.repository = $3 AND t.digest = i.digest
				AND NOT EXISTS (SELECT 1 FROM image_replication_removal m WHERE m.repository = $1 AND m.account = $4 AND m.region = $5 AND m.tag = t.tag))`
	}
	n, err := db.One(ctx, tx, db.Scalar[int64], query, args...)
	return n == 1, err
}
