package images

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/lifecycle"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// A preview evaluates a policy in the background and keeps the result for a day. A
// repository has one preview at a time.

// A PreviewState is the state of a preview, as in ECR's LifecyclePolicyPreviewStatus.
type PreviewState string

// The states.
const (
	PreviewInProgress PreviewState = "IN_PROGRESS"
	PreviewComplete   PreviewState = "COMPLETE"
	PreviewExpired    PreviewState = "EXPIRED"
	PreviewFailed     PreviewState = "FAILED"
)

const (
	// keepPreview is how long the result of a preview is kept.
	keepPreview = 24 * time.Hour
	// previewTimeout is when a preview that has not ended has failed: its work was lost.
	previewTimeout  = 2 * time.Hour
	previewAttempts = 3
)

// A LifecyclePreview says what a policy would do.
type LifecyclePreview struct {
	Document string
	State    PreviewState
	// Expiring is the number of images that the policy would remove.
	Expiring int64
	// Transitioning is the number of images that it would archive.
	Transitioning int64

	id                string
	started, finished int64
}

// A PreviewImage is an image on which the policy would act.
type PreviewImage struct {
	Digest   digest.Digest
	Tags     []string
	PushedAt time.Time
	Priority int // of the rule
	Action   lifecycle.Action
	// Class is where the image was at the time of the preview.
	Class lifecycle.StorageClass

	number int64
}

// StartLifecyclePreview begins to preview a policy, and returns its text: document or, if
// it is nil, the one that holds for the repository. Action ecr:StartLifecyclePolicyPreview.
// Faults: AccessDenied, RepositoryNotFound, InvalidParameter, LifecyclePolicyNotFound,
// LifecyclePolicyPreviewInProgress.
func (s *Service) StartLifecyclePreview(ctx context.Context, id RepositoryID, document *string) (text string, err error) {
	repo, err := s.authorize(ctx, id, "ecr:StartLifecyclePolicyPreview")
	if err != nil {
		return "", err
	}
	if document != nil {
		if _, err := parseLifecycle(*document); err != nil {
			return "", err
		}
	}
	err = s.db.Tx(ctx, func(tx *db.Tx) error {
		if err := checkExists(ctx, tx, repo); err != nil {
			return err
		}
		if document != nil {
			text = *document
		} else {
			stored, err := readEffectiveLifecycle(ctx, tx, repo)
			if err != nil {
				return err
			}
			text = stored.Document
		}
		last, err := s.readPreview(ctx, tx, repo)
		if err == nil && last.State == PreviewInProgress {
			return fault.New(fault.Conflict, "LifecyclePolicyPreviewInProgress", "The lifecycle policy preview of the repository with name '%s' in the registry with id '%s' is in progress. Wait for it before you start another one.", id.Name, id.Account)
		}
		if err != nil && !fault.Is(err, "LifecyclePolicyPreviewNotFound") {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM image_preview WHERE repository = $1`, repo.row); err != nil {
			return err
		}
		preview := randid.Text()
		_, err = tx.Exec(ctx, `INSERT INTO image_preview (repository, id, document, state, started, finished, expiring, message) VALUES ($1, $2, $3, $4, $5, 0, 0, '')`,
			repo.row, preview, text, string(PreviewInProgress), db.Micros(s.now()))
		if err != nil {
			return err
		}
		return s.work.Enqueue(ctx, tx, work.Job{Kind: kindLifecyclePreview, Key: preview, Payload: lifecycleJob{repo.ID, repo.row, preview}})
	})
	return text, err
}

// readPreview reads the preview of a repository, with its state as of now.
func (s *Service) readPreview(ctx context.Context, q db.Querier, repo *Repository) (LifecyclePreview, error) {
	p, err := db.One(ctx, q, func(r db.Row) (p LifecyclePreview, err error) {
		err = r.Scan(&p.id, &p.Document, &p.State, &p.started, &p.finished, &p.Expiring, &p.Transitioning)
		return p, err
	}, `SELECT id, document, state, started, finished, expiring, transitioning FROM image_preview WHERE repository = $1`, repo.row)
	if errors.Is(err, db.ErrNoRows) {
		return p, fault.New(fault.NotFound, "LifecyclePolicyPreviewNotFound", "Lifecycle policy preview does not exist for the repository with name '%s' in the registry with id '%s'", repo.ID.Name, repo.ID.Account)
	}
	now := s.now()
	switch {
	case err != nil:
	case p.State == PreviewInProgress && now.Sub(db.Time(p.started)).Abs() > previewTimeout:
		p.State = PreviewFailed
	case p.State == PreviewComplete && now.Sub(db.Time(p.finished)) > keepPreview:
		p.State, p.Expiring, p.Transitioning = PreviewExpired, 0, 0
	}
	return p, err
}

// A PreviewQuery says which images of a preview to return.
type PreviewQuery struct {
	Tags TagStatus
	// Images are the images to return; nil means a page of all.
	Images []Reference
	// After is the number of the last image of the previous page.
	After int64
	Limit int
}

// LifecyclePreview returns the preview of a repository and a page of its images, from the
// youngest to the oldest. next is After of the next page, and 0 after the last one. Action
// ecr:GetLifecyclePolicyPreview. Faults: AccessDenied, RepositoryNotFound,
// LifecyclePolicyPreviewNotFound.
func (s *Service) LifecyclePreview(ctx context.Context, id RepositoryID, query PreviewQuery) (p LifecyclePreview, page []PreviewImage, next int64, err error) {
	repo, err := s.authorize(ctx, id, "ecr:GetLifecyclePolicyPreview")
	if err != nil {
		return p, nil, 0, err
	}
	if p, err = s.readPreview(ctx, s.db, repo); err != nil || p.State != PreviewComplete {
		return p, nil, 0, err
	}
	if query.Images != nil {
		page, err = s.previewOf(ctx, repo, query)
		return p, page, 0, err
	}
	limit := max(query.Limit, 1)
	page, err = db.All(ctx, s.db, scanPreviewImage, `SELECT number, digest, tags, pushed, priority, action, class FROM image_preview_image
		WHERE repository = $1 AND number > $2 AND ($3 = 'ANY' OR ($3 = 'TAGGED') = (tags <> '[]')) ORDER BY number LIMIT $4`, repo.row, query.After, string(query.Tags), limit+1)
	if len(page) > limit {
		page = page[:limit]
		next = page[limit-1].number
	}
	return p, page, next, err
}

// previewOf returns those of the named images that are in the preview.
func (s *Service) previewOf(ctx context.Context, repo *Repository, query PreviewQuery) ([]PreviewImage, error) {
	var list []PreviewImage
	for _, ref := range query.Images {
		d, err := s.resolve(ctx, repo, ref)
		if fault.Is(err, "ImageNotFound") || fault.Is(err, "ImageTagDoesNotMatchDigest") {
			continue
		}
		if err != nil {
			return nil, err
		}
		found, err := db.All(ctx, s.db, scanPreviewImage, `SELECT number, digest, tags, pushed, priority, action, class FROM image_preview_image WHERE repository = $1 AND digest = $2`, repo.row, string(d))
		if err != nil {
			return nil, err
		}
		for _, img := range found {
			fits := query.Tags == AnyTagStatus || (query.Tags == Tagged) == (len(img.Tags) > 0)
			if fits && !slices.ContainsFunc(list, func(i PreviewImage) bool { return i.Digest == img.Digest }) {
				list = append(list, img)
			}
		}
	}
	return list, nil
}

func scanPreviewImage(r db.Row) (img PreviewImage, err error) {
	var tags []byte
	var pushed int64
	if err := r.Scan(&img.number, &img.Digest, &tags, &pushed, &img.Priority, &img.Action, &img.Class); err != nil {
		return img, err
	}
	img.PushedAt = db.Time(pushed)
	return img, json.Unmarshal(tags, &img.Tags)
}

// doPreview does the work of a preview. After the last attempt the preview has failed.
func (s *Service) doPreview(ctx context.Context, run work.Run) error {
	return work.JSON(func(ctx context.Context, job lifecycleJob) error {
		repo := s.repositoryOf(job)
		if repo == nil {
			return nil
		}
		p, err := s.readPreview(ctx, s.db, repo)
		if fault.Is(err, "LifecyclePolicyPreviewNotFound") || err == nil && (p.id != job.Run || p.State != PreviewInProgress) {
			return nil // another one was started
		}
		if err != nil {
			return err
		}
		err = s.preview(ctx, repo, &p)
		if err != nil && run.Attempt >= previewAttempts {
			err = errors.Join(err, s.endPreview(ctx, repo, &p, PreviewFailed, previewCounts{}))
		}
		return err
	})(ctx, run)
}

// preview evaluates the policy, and writes the result as it comes, so that it is never in
// memory as a whole.
func (s *Service) preview(ctx context.Context, repo *Repository, p *LifecyclePreview) error {
	policy, err := parseLifecycle(p.Document)
	if err != nil {
		return err
	}
	if err := s.Maintain(ctx); err != nil {
		return err
	}
	err = s.db.Tx(ctx, func(tx *db.Tx) error { // of an attempt that was interrupted
		_, err := tx.Exec(ctx, `DELETE FROM image_preview_image WHERE repository = $1`, repo.row)
		return err
	})
	if err != nil {
		return err
	}
	w := &previewWriter{s: s, repo: repo, id: p.id}
	_, err = s.evaluateAll(ctx, repo, policy, s.now(), func(img planned) error { return w.add(ctx, img) }, func(planned, string) error { return nil })
	if err == nil {
		err = w.flush(ctx)
	}
	if err == nil {
		err = s.recordDryRun(ctx, repo, p, policy)
	}
	if err == nil {
		err = s.endPreview(ctx, repo, p, PreviewComplete, w.counts)
	}
	if errors.Is(err, errOtherPreview) {
		return nil
	}
	return err
}

// errOtherPreview means that another preview of the repository was started.
var errOtherPreview = errors.New("images: another preview was started")

// A previewWriter writes images of a preview, some at a time.
type previewWriter struct {
	s       *Service
	repo    *Repository
	id      string
	pending []planned
	written int64
	counts  previewCounts
}

// previewCounts are how many images a policy would remove and archive.
type previewCounts struct{ expiring, transitioning int64 }

func (w *previewWriter) add(ctx context.Context, img planned) error {
	if img.rule.Action == lifecycle.Transition {
		w.counts.transitioning++
	} else {
		w.counts.expiring++
	}
	if w.pending = append(w.pending, img); len(w.pending) < maxParameters {
		return nil
	}
	return w.flush(ctx)
}

func (w *previewWriter) flush(ctx context.Context) error {
	if len(w.pending) == 0 {
		return nil
	}
	args := make([]any, 0, 8*len(w.pending))
	for i := range w.pending {
		img := &w.pending[i]
		tags, err := json.Marshal(append([]string{}, img.tags...))
		if err != nil {
			return err
		}
		args = append(args, w.repo.row, w.written+int64(i)+1, string(img.digest), string(tags), img.pushed, img.rule.Priority, string(img.rule.Action), string(img.rule.Selection.StorageClass))
	}
	err := w.s.db.Tx(ctx, func(tx *db.Tx) error {
		if err := checkPreview(ctx, tx, w.repo, w.id); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO image_preview_image (repository, number, digest, tags, pushed, priority, action, class) VALUES `+placeholders(1, len(w.pending), 8), args...)
		return err
	})
	w.written += int64(len(w.pending))
	w.pending = w.pending[:0]
	return err
}

func checkPreview(ctx context.Context, tx *db.Tx, repo *Repository, id string) error {
	n, err := db.One(ctx, tx, db.Scalar[int64], `SELECT count(*) FROM image_preview WHERE repository = $1 AND id = $2`, repo.row, id)
	if err == nil && n == 0 {
		err = errOtherPreview
	}
	return err
}

func (s *Service) endPreview(ctx context.Context, repo *Repository, p *LifecyclePreview, state PreviewState, counts previewCounts) error {
	return s.db.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE image_preview SET state = $3, finished = $4, expiring = $5, transitioning = $6 WHERE repository = $1 AND id = $2`, repo.row, p.id, string(state), db.Micros(s.now()), counts.expiring, counts.transitioning)
		return err
	})
}

// recordDryRun writes the audit record of a preview.
func (s *Service) recordDryRun(ctx context.Context, repo *Repository, p *LifecyclePreview, policy *lifecycle.Policy) error {
	return s.recordDetails(ctx, dryRunEvent, repo, lifecycleDetails{
		RepositoryName: repo.ID.Name, Policy: logOf(&LifecyclePolicy{Revision: p.id}, policy), Actions: []lifecycleAction{}, Failures: []lifecycleAction{},
	})
}

// expirePreviews removes the results of previews that are not kept any longer.
func (s *Service) expirePreviews(ctx context.Context) error {
	return s.db.Tx(ctx, func(tx *db.Tx) error {
		before := db.Micros(s.now().Add(-keepPreview))
		if _, err := tx.Exec(ctx, `DELETE FROM image_preview_image WHERE repository IN (SELECT repository FROM image_preview WHERE state = $1 AND finished < $2)`, string(PreviewComplete), before); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE image_preview SET state = $1, expiring = 0, transitioning = 0 WHERE state = $2 AND finished < $3`, string(PreviewExpired), string(PreviewComplete), before)
		return err
	})
}
