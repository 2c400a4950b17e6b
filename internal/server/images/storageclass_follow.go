package images

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// What belongs to an image follows it into the archive and back: the untagged images of an
// index, unless an active index lists them too, and what refers to the image. One job for an
// image compares everything that belongs to it with the image as it is when the job runs. So
// it does not matter how often the job runs, or where it was killed. A restored image is
// active only after everything that it needs.

const kindStorageClass = "images/storage-class"

// A storageClassJob is the payload of the work for an image.
type storageClassJob struct {
	Repository RepositoryID
	Row        int64
	Digest     digest.Digest
}

// StorageClassWork returns the kinds of background work of the archive.
func (s *Service) StorageClassWork() []work.Kind {
	return []work.Kind{{Name: kindStorageClass, Concurrency: 2, Run: work.JSON(s.doStorageClass)}}
}

// enqueueFollowers puts the job of an image into the queue.
func (s *Service) enqueueFollowers(ctx context.Context, tx *db.Tx, repo *Repository, d digest.Digest) error {
	return s.work.Enqueue(ctx, tx, work.Job{Kind: kindStorageClass, Key: rowKey("image", repo.row, string(d)), Payload: storageClassJob{repo.ID, repo.row, d}})
}

// followBatch is how many images one transaction archives or restores.
const followBatch = 100

// doStorageClass does the work for an image.
func (s *Service) doStorageClass(ctx context.Context, job storageClassJob) error {
	repo := s.repositories.get(job.Repository)
	if repo == nil || repo.row != job.Row {
		return nil // deleted
	}
	root, err := db.All(ctx, s.db, db.Scalar[ImageStatus], `SELECT status FROM image_manifest WHERE repository = $1 AND digest = $2`, repo.row, string(job.Digest))
	if err != nil || len(root) == 0 {
		return err
	}
	f := &following{s: s, repo: repo, root: job.Digest, rootStatus: root[0], to: Archived}
	if f.rootStatus != Archived {
		f.to = Active
	}
	if err := f.all(ctx); err != nil || f.stopped || f.rootStatus != Activating {
		return err
	}
	return f.change(ctx, func(tx *db.Tx, t *statusTx) error {
		_, err := t.set(ctx, tx, f.root, Active)
		return err
	})
}

// A following is one run of the job.
type following struct {
	s          *Service
	repo       *Repository
	root       digest.Digest
	rootStatus ImageStatus
	to         ImageStatus
	// stopped means that the status of the root has changed: whoever changed it has put the
	// job into the queue again.
	stopped bool
}

// all changes the status of everything that belongs to the root.
func (f *following) all(ctx context.Context) error {
	seen := map[digest.Digest]bool{f.root: true}
	for pending := []digest.Digest{f.root}; len(pending) > 0 && !f.stopped; {
		next := pending[0]
		pending = pending[1:]
		members, err := f.members(ctx, next)
		if err != nil {
			return err
		}
		members = slices.DeleteFunc(members, func(d digest.Digest) bool { return seen[d] })
		for batch := range slices.Chunk(members, followBatch) {
			var followed []digest.Digest
			err := f.change(ctx, func(tx *db.Tx, t *statusTx) (err error) {
				followed, err = f.follow(ctx, tx, t, batch)
				return err
			})
			if err != nil {
				return err
			}
			for _, d := range followed {
				seen[d] = true
				pending = append(pending, d)
			}
		}
	}
	return nil
}

// change runs a transaction if the root still has its status.
func (f *following) change(ctx context.Context, run func(*db.Tx, *statusTx) error) error {
	t := &statusTx{s: f.s, repo: f.repo, now: f.s.now()}
	return f.s.changeCached(ctx, func(tx *db.Tx) ([]string, error) {
		t.changed = nil
		status, err := t.status(ctx, tx, f.root)
		if f.stopped = err == nil && status != f.rootStatus; err != nil || f.stopped {
			return nil, err
		}
		err = run(tx, t)
		return t.keys(), err
	}, t.forget)
}

// members returns what belongs to an image: what it lists, and what refers to it by its
// subject or by tags.
func (f *following) members(ctx context.Context, d digest.Digest) ([]digest.Digest, error) {
	tags := referrerTags(d)
	found, err := db.All(ctx, f.s.db, db.Scalar[digest.Digest], `SELECT m.digest FROM image_reference r JOIN image_manifest m ON m.repository = r.repository AND m.digest = r.digest
			WHERE r.repository = $1 AND r.manifest = $2 AND r.digest <> $2
		UNION SELECT digest FROM image_manifest WHERE repository = $1 AND subject = $2 AND subject <> ''
		UNION SELECT digest FROM image_tag WHERE repository = $1 AND tag IN ($3, $4, $5, $6)`, f.repo.row, string(d), tags[0], tags[1], tags[2], tags[3])
	slices.Sort(found)
	return found, err
}

// follow changes the status of members, and returns those that have it now.
func (f *following) follow(ctx context.Context, tx *db.Tx, t *statusTx, members []digest.Digest) (followed []digest.Digest, err error) {
	for _, d := range members {
		if f.to == Archived {
			stays, err := f.stays(ctx, tx, d)
			if err != nil {
				return nil, err
			}
			if stays {
				continue
			}
		}
		if _, err := t.set(ctx, tx, d, f.to); err != nil {
			return nil, err
		}
		followed = append(followed, d)
	}
	return followed, nil
}

// stays reports whether a member of an archived image stays active: an active image lists
// it, or it has tags that are its own.
func (f *following) stays(ctx context.Context, tx *db.Tx, d digest.Digest) (bool, error) {
	users, err := db.All(ctx, tx, db.Scalar[int64], `SELECT 1 FROM image_reference r JOIN image_manifest m ON m.repository = r.repository AND m.digest = r.manifest
		WHERE r.repository = $1 AND r.digest = $2 AND r.manifest <> $2 AND m.status <> 'ARCHIVED' LIMIT 1`, f.repo.row, string(d))
	if err != nil || len(users) > 0 {
		return true, err
	}
	subject, err := db.All(ctx, tx, db.Scalar[digest.Digest], `SELECT subject FROM image_manifest WHERE repository = $1 AND digest = $2 AND subject <> ''`, f.repo.row, string(d))
	if err != nil || len(subject) > 0 {
		return false, err
	}
	tags, err := tagsOf(ctx, tx, f.repo.row, d)
	return len(tags) > 0 && taggedSubject(tags) == "", err
}
