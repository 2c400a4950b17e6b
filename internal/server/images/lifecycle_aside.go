package images

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/lifecycle"
)

// An image that is set aside is in image_aside with its tags and references in tables of
// their own, and no more in image_manifest, image_tag and image_reference. So it does not
// exist for anything that reads those. Its blobs stay, because the sweep looks at both
// tables of references.

// asideBatch is how many images one transaction sets aside, restores or deletes.
const asideBatch = 100

// The columns that a manifest has in both tables.
const asideColumns = `digest, media_type, artifact_type, subject, annotations, size, pushed, pulled, body, status, archived, activated, age_from`

// An asideImage is an image that was set aside.
type asideImage struct {
	digest digest.Digest
	tags   []string
	pushed int64
	// rule is nil if the image followed its subject.
	rule *lifecycle.Rule
}

// An asideTx sets images aside.
type asideTx struct {
	a      *application
	now    time.Time
	number int64
	gone   []asideImage
	listed []digest.Digest // by what is gone: they had its signers
}

// setAside sets those images aside that are still as they were evaluated, in one
// transaction. It returns them.
func (a *application) setAside(ctx context.Context, batch []planned) ([]asideImage, error) {
	return a.changeAside(ctx, func(tx *db.Tx, t *asideTx) error {
		for i := range batch {
			if err := t.expire(ctx, tx, &batch[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// changeAside runs a transaction that sets images aside, unless the policy was changed or
// the run is being undone.
func (a *application) changeAside(ctx context.Context, run func(*db.Tx, *asideTx) error) ([]asideImage, error) {
	s := a.service
	t := &asideTx{a: a, now: s.now()}
	err := s.changeCached(ctx, func(tx *db.Tx) ([]string, error) {
		t.gone, t.listed, t.number = nil, nil, a.number
		if err := a.mayGoOn(ctx, tx); err != nil {
			return nil, err
		}
		err := run(tx, t)
		return t.keys(), err
	}, t.forget)
	if err != nil {
		return nil, err
	}
	a.number = t.number
	return t.gone, nil
}

// mayGoOn returns a stopError if the policy was changed or the run is being undone.
func (a *application) mayGoOn(ctx context.Context, tx *db.Tx) error {
	current, err := readEffectiveLifecycle(ctx, tx, a.repo)
	switch {
	case fault.Is(err, "LifecyclePolicyNotFound") || err == nil && current.Revision != a.stored.Revision:
		return stopError{errLifecycleChanged}
	case err != nil:
		return err
	}
	state, err := db.One(ctx, tx, db.Scalar[LifecycleState], `SELECT state FROM image_lifecycle_run WHERE id = $1`, a.run.ID)
	switch {
	case err == nil && state != LifecycleRunning, errors.Is(err, db.ErrNoRows):
		return stopError{errLifecycleUndone}
	}
	return err
}

// keys returns what the change feed tells other servers.
func (t *asideTx) keys() (keys []string) {
	row := t.a.repo.row
	for _, d := range t.listed {
		keys = append(keys, rowKey(manifestKey, row, string(d)))
	}
	for _, img := range t.gone {
		keys = append(keys, rowKey(manifestKey, row, string(img.digest)))
		for _, tag := range img.tags {
			keys = append(keys, rowKey(imageTagKey, row, tag))
		}
	}
	return keys
}

// forget drops what the caches of this server have of the same.
func (t *asideTx) forget() {
	row := t.a.repo.row
	for _, d := range t.listed {
		t.a.service.manifests.Drop(digestKey{row, d})
	}
	for _, img := range t.gone {
		t.a.service.manifests.Drop(digestKey{row, img.digest})
		t.a.service.forgetTags(row, img.tags...)
	}
}

// expire sets an image aside, unless it changed after it was evaluated.
func (t *asideTx) expire(ctx context.Context, tx *db.Tx, p *planned) error {
	row := t.a.repo.row
	same, err := p.unchanged(ctx, tx, row)
	if err != nil || !same {
		return err
	}
	return t.one(ctx, tx, asideImage{p.digest, p.tags, p.pushed, p.rule})
}

// unchanged reports whether an image is as it was when it was evaluated.
func (p *planned) unchanged(ctx context.Context, tx *db.Tx, repository int64) (bool, error) {
	type state struct{ pushed, pulled, age int64 }
	found, err := db.All(ctx, tx, func(r db.Row) (v state, err error) {
		err = r.Scan(&v.pushed, &v.pulled, &v.age)
		return v, err
	}, `SELECT pushed, pulled, age_from FROM image_manifest WHERE repository = $1 AND digest = $2`, repository, string(p.digest))
	if err != nil || len(found) == 0 || found[0].pushed != p.pushed || found[0].age != p.age {
		return false, err
	}
	byPull := p.rule.Selection.CountType == lifecycle.SinceImagePulled
	if byPull && found[0].pulled != p.pulled {
		return false, nil
	}
	tags, err := tagsOf(ctx, tx, repository, p.digest)
	return slices.Equal(tags, p.tags), err
}

// tagsOf returns the tags of an image in byte order.
func tagsOf(ctx context.Context, tx *db.Tx, repository int64, d digest.Digest) ([]string, error) {
	return db.All(ctx, tx, db.Scalar[string], `SELECT tag FROM image_tag WHERE repository = $1 AND digest = $2 ORDER BY tag`, repository, string(d))
}

// one sets an image aside unless a manifest needs it.
func (t *asideTx) one(ctx context.Context, tx *db.Tx, img asideImage) error {
	row, d := t.a.repo.row, string(img.digest)
	users, err := db.All(ctx, tx, db.Scalar[string], `SELECT manifest FROM image_reference WHERE repository = $1 AND digest = $2 AND manifest <> $2 LIMIT 1`, row, d)
	if err != nil || len(users) > 0 {
		return err
	}
	priority, byPull := 0, 0
	if img.rule != nil {
		priority = img.rule.Priority
		if img.rule.Selection.CountType == lifecycle.SinceImagePulled {
			byPull = 1
		}
	}
	// An earlier removal of the same image, which was pushed again.
	if _, err := tx.Exec(ctx, `DELETE FROM image_aside WHERE repository = $1 AND digest = $2`, row, d); err != nil {
		return err
	}
	if err := t.a.service.enqueueRemoval(ctx, tx, t.a.repo, Reference{Digest: img.digest}); err != nil {
		return err
	}
	listed := &signerTx{s: t.a.service, repo: t.a.repo, subject: img.digest}
	if err := listed.readChildren(ctx, tx); err != nil {
		return err
	}
	t.listed = append(t.listed, listed.children...)
	t.number++
	if _, err := tx.Exec(ctx, `INSERT INTO image_aside (repository, `+asideColumns+`, run, number, priority, by_pull, since, until)
		SELECT repository, `+asideColumns+`, $3, $4, $5, $6, $7, $8 FROM image_manifest WHERE repository = $1 AND digest = $2`,
		row, d, t.a.run.ID, t.number, priority, byPull, db.Micros(t.now), db.Micros(t.a.run.UndoUntil)); err != nil {
		return err
	}
	for _, statement := range []string{
		`INSERT INTO image_aside_tag (repository, digest, tag) SELECT repository, digest, tag FROM image_tag WHERE repository = $1 AND digest = $2`,
		`INSERT INTO image_aside_reference (repository, digest, manifest, media_type, present)
			SELECT f.repository, f.digest, f.manifest, f.media_type, CASE
				WHEN EXISTS (SELECT 1 FROM image_blob_link l WHERE l.repository = f.repository AND l.digest = f.digest)
				OR EXISTS (SELECT 1 FROM image_manifest m WHERE m.repository = f.repository AND m.digest = f.digest) THEN 1 ELSE 0 END
			FROM image_reference f WHERE f.repository = $1 AND f.manifest = $2`,
		`DELETE FROM image_tag WHERE repository = $1 AND digest = $2`,
		`DELETE FROM image_reference WHERE repository = $1 AND manifest = $2`,
	} {
		if _, err := tx.Exec(ctx, statement, row, d); err != nil {
			return err
		}
	}
	subjects, err := db.All(ctx, tx, db.Scalar[digest.Digest], `DELETE FROM image_manifest WHERE repository = $1 AND digest = $2 RETURNING subject`, row, d)
	if err != nil || len(subjects) == 0 {
		return err
	}
	t.gone = append(t.gone, img)
	return announce(ctx, tx, t.a.service.events, t.a.repo, t.now, actionDelete, subjects[0], img.references()...)
}

// references are the tags of the image, or the image itself if it has none.
func (img *asideImage) references() []Reference {
	var refs []Reference
	for _, tag := range img.tags {
		refs = append(refs, Reference{tag, img.digest})
	}
	if refs == nil {
		refs = []Reference{{Digest: img.digest}}
	}
	return refs
}

// follow sets aside what refers to the images that the run has removed, and what refers to
// that, and so on. What was pushed after its subject was gone stays.
func (a *application) follow(ctx context.Context) error {
	for next := int64(1); next <= a.number; {
		end := next + asideBatch
		found, err := a.followers(ctx, next, end)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			next = end
			continue
		}
		gone, err := a.changeAside(ctx, func(tx *db.Tx, t *asideTx) error {
			for _, d := range found {
				if err := t.followOne(ctx, tx, d); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := a.record(ctx, gone); err != nil {
			return err
		}
		if len(gone) == 0 { // each of them is needed by another manifest
			next = end
		}
	}
	return nil
}

// followers returns some of what refers to the images that the run removed with the
// numbers from first to before end, unless those exist again.
func (a *application) followers(ctx context.Context, first, end int64) ([]digest.Digest, error) {
	removed, err := db.All(ctx, a.service.db, func(r db.Row) (v struct {
		digest digest.Digest
		since  int64
	}, err error,
	) {
		return v, r.Scan(&v.digest, &v.since)
	}, `SELECT a.digest, a.since FROM image_aside a WHERE a.run = $1 AND a.number >= $2 AND a.number < $3
		AND NOT EXISTS (SELECT 1 FROM image_manifest m WHERE m.repository = a.repository AND m.digest = a.digest) ORDER BY a.number`, a.run.ID, first, end)
	if err != nil {
		return nil, err
	}
	var found []digest.Digest
	row := a.repo.row
	for _, v := range removed {
		some, err := db.All(ctx, a.service.db, db.Scalar[digest.Digest], `SELECT digest FROM image_manifest WHERE repository = $1 AND subject = $2 AND subject <> '' AND pushed <= $3
				AND NOT EXISTS (SELECT 1 FROM image_reference r WHERE r.repository = $1 AND r.digest = image_manifest.digest AND r.manifest <> image_manifest.digest) LIMIT $4`,
			row, string(v.digest), v.since, asideBatch)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
		tags := referrerTags(v.digest)
		tagged, err := db.All(ctx, a.service.db, db.Scalar[digest.Digest], `SELECT t.digest FROM image_tag t JOIN image_manifest m ON m.repository = t.repository AND m.digest = t.digest
			WHERE t.repository = $1 AND t.tag IN ($2, $3, $4, $5) AND m.pushed <= $6
				AND NOT EXISTS (SELECT 1 FROM image_reference r WHERE r.repository = $1 AND r.digest = m.digest AND r.manifest <> m.digest)`, row, tags[0], tags[1], tags[2], tags[3], v.since)
		if err != nil {
			return nil, err
		}
		found = append(found, tagged...)
		if len(found) >= asideBatch {
			break
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// followOne sets an image aside whose subject was set aside.
func (t *asideTx) followOne(ctx context.Context, tx *db.Tx, d digest.Digest) error {
	type state struct {
		pushed  int64
		subject digest.Digest
	}
	found, err := db.All(ctx, tx, func(r db.Row) (v state, err error) {
		err = r.Scan(&v.pushed, &v.subject)
		return v, err
	}, `SELECT pushed, subject FROM image_manifest WHERE repository = $1 AND digest = $2`, t.a.repo.row, string(d))
	if err != nil || len(found) == 0 {
		return err
	}
	tags, err := tagsOf(ctx, tx, t.a.repo.row, d)
	if err != nil {
		return err
	}
	subject := found[0].subject
	if subject == "" {
		subject = taggedSubject(tags) // empty if the image has other tags, too
	}
	// Perhaps the subject was pushed again.
	aside, err := db.All(ctx, tx, db.Scalar[int64], `SELECT 1 FROM image_aside a WHERE a.repository = $1 AND a.digest = $2 AND a.run = $3
		AND NOT EXISTS (SELECT 1 FROM image_manifest m WHERE m.repository = a.repository AND m.digest = a.digest)`, t.a.repo.row, string(subject), t.a.run.ID)
	if err != nil || len(aside) == 0 {
		return err
	}
	return t.one(ctx, tx, asideImage{d, tags, found[0].pushed, nil})
}

// finished is the condition on image_aside a for what can be deleted at a moment: its
// window is over, and no undo is restoring it.
func finished(moment string) string {
	return `a.until <= ` + moment + ` AND NOT EXISTS (SELECT 1 FROM image_lifecycle_run u WHERE u.id = a.run AND u.state = '` + string(LifecycleUndoing) + `')`
}

// deleteAside deletes what was set aside so long ago that it cannot be restored any more.
// The links of its blobs are renewed as if it was deleted now: see [deleteTx.image].
func (s *Service) deleteAside(ctx context.Context) error {
	for {
		deleted := 0
		err := s.db.Tx(ctx, func(tx *db.Tx) error {
			now := db.Micros(s.now())
			keys, err := db.All(ctx, tx, func(r db.Row) (k digestKey, err error) {
				err = r.Scan(&k.repository, &k.digest)
				return k, err
			}, `SELECT a.repository, a.digest FROM image_aside a WHERE `+finished("$1")+` LIMIT $2`, now, asideBatch)
			if err != nil {
				return err
			}
			deleted = len(keys)
			for _, k := range keys {
				if _, err := tx.Exec(ctx, `UPDATE image_blob_link SET renewed = $3 WHERE repository = $1 AND digest IN (SELECT digest FROM image_aside_reference WHERE repository = $1 AND manifest = $2)`,
					k.repository, string(k.digest), now); err != nil {
					return err
				}
				if _, err := tx.Exec(ctx, `DELETE FROM image_aside WHERE repository = $1 AND digest = $2`, k.repository, string(k.digest)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || deleted < asideBatch {
			return err
		}
	}
}

// rescue brings an image back that a rule about pulls removed although it was being pulled:
// the server that recorded the pull had not stored it yet when the rule was evaluated. What
// followed the image comes back with it.
func (s *Service) rescue(ctx context.Context, keys []digestKey) error {
	for _, k := range keys {
		repo := s.repositoryAt(k.repository)
		if repo == nil {
			continue
		}
		for next := []digest.Digest{k.digest}; len(next) > 0; next = next[1:] {
			restored, err := s.restore(ctx, repo, next[0])
			if err != nil && !errors.Is(err, errNotRestored) {
				return err
			}
			if !restored {
				continue
			}
			if err := s.recordService(ctx, "RestoredImages", repo, map[string]any{"imageDigests": next[:1], "reason": "it was pulled when it was removed"}); err != nil {
				return err
			}
			followers, err := asideFollowers(ctx, s.db, repo, next[0])
			if err != nil {
				return err
			}
			next = append(next, followers...)
		}
	}
	return nil
}

// asideFollowers returns what followed an image when it was set aside, and was not restored.
func asideFollowers(ctx context.Context, q db.Querier, repo *Repository, d digest.Digest) ([]digest.Digest, error) {
	tags := referrerTags(d)
	return db.All(ctx, q, db.Scalar[digest.Digest], `SELECT a.digest FROM image_aside a WHERE a.repository = $1 AND a.priority = 0 AND (a.subject = $2
		OR EXISTS (SELECT 1 FROM image_aside_tag t WHERE t.repository = a.repository AND t.digest = a.digest AND t.tag IN ($3, $4, $5, $6))) ORDER BY a.digest`,
		repo.row, string(d), tags[0], tags[1], tags[2], tags[3])
}

// repositoryAt returns the repository with a row, or nil.
func (s *Service) repositoryAt(row int64) *Repository {
	for it := s.repositories.current.Load().Iterator(); !it.Done(); {
		if _, r, _ := it.Next(); r.row == row {
			return r
		}
	}
	return nil
}
