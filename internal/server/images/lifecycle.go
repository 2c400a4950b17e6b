package images

import (
	"context"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/lifecycle"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// Lifecycle policies remove images that nobody needs any more. Package lifecycle decides
// which. A policy is applied once a day, and soon after it was changed (lifecycle_run.go).
// A removal has two steps. First an image is set aside (lifecycle_aside.go): for clients it
// does not exist, but its rows and blobs are kept, and an undo brings it back as it was.
// When the undo window has passed, background work deletes it.
//
// The default policy of a registry holds for its repositories that have no policy.

// A LifecyclePolicy is the lifecycle policy of a repository.
type LifecyclePolicy struct {
	// Document is the text as it was given.
	Document string
	Revision string
	// Evaluated is when the policy was last applied, and zero if it never was.
	Evaluated time.Time
}

// PutLifecyclePolicy sets the lifecycle policy of a repository. It is applied in the
// background. Action ecr:PutLifecyclePolicy. Faults: AccessDenied, RepositoryNotFound,
// InvalidParameter.
func (s *Service) PutLifecyclePolicy(ctx context.Context, id RepositoryID, document string) error {
	repo, err := s.authorize(ctx, id, "ecr:PutLifecyclePolicy")
	if err != nil {
		return err
	}
	if _, err := parseLifecycle(document); err != nil {
		return err
	}
	return s.db.Tx(ctx, func(tx *db.Tx) error {
		if err := checkExists(ctx, tx, repo); err != nil {
			return err
		}
		return s.setLifecycle(ctx, tx, repo, document)
	})
}

// setLifecycle sets the policy of a repository, and puts its first run into the queue.
func (s *Service) setLifecycle(ctx context.Context, tx *db.Tx, repo *Repository, document string) error {
	now := s.now()
	_, err := tx.Exec(ctx, `INSERT INTO image_lifecycle (repository, document, revision, evaluated, scheduled) VALUES ($1, $2, $3, 0, $4)
		ON CONFLICT (repository) DO UPDATE SET document = excluded.document, revision = excluded.revision, evaluated = 0, scheduled = excluded.scheduled`,
		repo.row, document, randid.Text(), db.Micros(now))
	if err != nil {
		return err
	}
	return s.enqueueLifecycle(ctx, tx, repo, now.Add(lifecycleDelay))
}

// lifecycleDelay is how long after its change a policy is applied: time to look at the
// preview of a mistake.
const lifecycleDelay = 10 * time.Minute

// enqueueLifecycle puts the next scheduled run of a repository into the queue.
func (s *Service) enqueueLifecycle(ctx context.Context, tx *db.Tx, repo *Repository, at time.Time) error {
	return s.work.Enqueue(ctx, tx, work.Job{Kind: kindLifecycleRun, Key: repo.key(), RunAt: at, Payload: lifecycleJob{Repository: repo.ID, Row: repo.row, Run: randid.Text()}})
}

// postpone puts a scheduled run into the queue again if the policy was changed less than
// lifecycleDelay ago: the run may have been in the queue before the change.
func (s *Service) postpone(ctx context.Context, repo *Repository) (postponed bool, err error) {
	found, err := db.All(ctx, s.db, db.Scalar[int64], `SELECT CASE WHEN l.document = '' THEN COALESCE(d.changed, 0) WHEN l.evaluated = 0 THEN l.scheduled ELSE 0 END
		FROM image_lifecycle l LEFT JOIN image_lifecycle_default d ON d.account = $2 AND d.region = $3 WHERE l.repository = $1`, repo.row, repo.ID.Account, repo.ID.Region)
	if err != nil || len(found) == 0 {
		return false, err
	}
	changed := db.Time(found[0])
	if age := s.now().Sub(changed); age < 0 || age >= lifecycleDelay {
		return false, nil
	}
	return true, s.db.Tx(ctx, func(tx *db.Tx) error { return s.enqueueLifecycle(ctx, tx, repo, changed.Add(lifecycleDelay)) })
}

// key names a repository in the work queue.
func (r *Repository) key() string { return rowKey("repository", r.row, "") }

// LifecyclePolicy returns the lifecycle policy of a repository. Action
// ecr:GetLifecyclePolicy. Faults: AccessDenied, RepositoryNotFound,
// LifecyclePolicyNotFound.
func (s *Service) LifecyclePolicy(ctx context.Context, id RepositoryID) (LifecyclePolicy, error) {
	repo, err := s.authorize(ctx, id, "ecr:GetLifecyclePolicy")
	if err != nil {
		return LifecyclePolicy{}, err
	}
	return readLifecycle(ctx, s.db, repo)
}

// DeleteLifecyclePolicy removes the lifecycle policy of a repository, and returns it. What
// it removed can still be brought back. Action ecr:DeleteLifecyclePolicy. Faults: as
// [Service.LifecyclePolicy].
func (s *Service) DeleteLifecyclePolicy(ctx context.Context, id RepositoryID) (old LifecyclePolicy, err error) {
	repo, err := s.authorize(ctx, id, "ecr:DeleteLifecyclePolicy")
	if err != nil {
		return old, err
	}
	err = s.db.Tx(ctx, func(tx *db.Tx) (err error) {
		if old, err = readLifecycle(ctx, tx, repo); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM image_lifecycle WHERE repository = $1`, repo.row)
		return err
	})
	return old, err
}

func lifecycleNotFound(id RepositoryID) error {
	return fault.New(fault.NotFound, "LifecyclePolicyNotFound", "Lifecycle policy does not exist for the repository with name '%s' in the registry with id '%s'", id.Name, id.Account)
}

// readLifecycle returns the policy that the repository itself has.
func readLifecycle(ctx context.Context, q db.Querier, repo *Repository) (LifecyclePolicy, error) {
	p, err := db.One(ctx, q, scanLifecycle, `SELECT document, revision, evaluated FROM image_lifecycle WHERE repository = $1 AND document <> ''`, repo.row)
	if errors.Is(err, db.ErrNoRows) {
		return p, lifecycleNotFound(repo.ID)
	}
	return p, err
}

func scanLifecycle(r db.Row) (p LifecyclePolicy, err error) {
	var evaluated int64
	err = r.Scan(&p.Document, &p.Revision, &evaluated)
	p.Evaluated = timeOrZero(evaluated)
	return p, err
}

// timeOrZero returns the zero time for 0.
func timeOrZero(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return db.Time(micros)
}

// readEffectiveLifecycle returns the policy that holds for a repository: its own, or the
// default of its registry. Fault LifecyclePolicyNotFound: there is none.
func readEffectiveLifecycle(ctx context.Context, q db.Querier, repo *Repository) (LifecyclePolicy, error) {
	p, err := readLifecycle(ctx, q, repo)
	if !fault.Is(err, "LifecyclePolicyNotFound") {
		return p, err
	}
	p, defaultErr := db.One(ctx, q, scanLifecycle, `SELECT document, revision, 0 FROM image_lifecycle_default WHERE account = $1 AND region = $2`, repo.ID.Account, repo.ID.Region)
	if errors.Is(defaultErr, db.ErrNoRows) {
		return p, err
	}
	return p, defaultErr
}

// parseLifecycle parses a policy. The messages are ECR's.
func parseLifecycle(document string) (*lifecycle.Policy, error) {
	const parameter = "LifecyclePolicyText"
	switch n := utf8.RuneCountInString(document); {
	case n < lifecycle.MinText:
		return nil, invalidParameter(parameter, "Member must have length greater than or equal to 100")
	case n > lifecycle.MaxText:
		return nil, invalidParameter(parameter, "Member must have length less than or equal to 30720")
	}
	p, err := lifecycle.Parse(document)
	if err != nil {
		return nil, invalidParameter(parameter, "Lifecycle policy validation failure: "+err.Error())
	}
	return p, nil
}

// A DefaultLifecyclePolicy is the lifecycle policy of a registry's repositories that have
// none of their own.
type DefaultLifecyclePolicy struct {
	Document  string
	Changed   time.Time
	ChangedBy string // the ARN of the caller
}

// authorizeRegistry authorizes what is about all repositories of a registry.
func (s *Service) authorizeRegistry(ctx context.Context, action, account, region string) error {
	return s.authorizeRequest(ctx, RepositoryID{account, region, "*"}, nil, authz.Request{Action: action})
}

// PutDefaultLifecyclePolicy sets the default lifecycle policy of a registry. Action
// gatehouse:PutDefaultLifecyclePolicy on all the registry's repositories,
// arn:aws:ecr:REGION:ACCOUNT:repository/*. Faults: AccessDenied, InvalidParameter.
func (s *Service) PutDefaultLifecyclePolicy(ctx context.Context, account, region, document string) (DefaultLifecyclePolicy, error) {
	if err := s.authorizeRegistry(ctx, "gatehouse:PutDefaultLifecyclePolicy", account, region); err != nil {
		return DefaultLifecyclePolicy{}, err
	}
	if _, err := parseLifecycle(document); err != nil {
		return DefaultLifecyclePolicy{}, err
	}
	p := DefaultLifecyclePolicy{Document: document, Changed: s.now(), ChangedBy: callerARN(ctx)}
	return p, s.db.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO image_lifecycle_default (account, region, document, revision, changed, changed_by) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (account, region) DO UPDATE SET document = excluded.document, revision = excluded.revision, changed = excluded.changed, changed_by = excluded.changed_by`,
			account, region, p.Document, randid.Text(), db.Micros(p.Changed), p.ChangedBy)
		return err
	})
}

// DefaultLifecyclePolicy returns the default lifecycle policy of a registry. Action
// gatehouse:GetDefaultLifecyclePolicy, as for [Service.PutDefaultLifecyclePolicy]. Faults:
// AccessDenied, LifecyclePolicyNotFound.
func (s *Service) DefaultLifecyclePolicy(ctx context.Context, account, region string) (DefaultLifecyclePolicy, error) {
	if err := s.authorizeRegistry(ctx, "gatehouse:GetDefaultLifecyclePolicy", account, region); err != nil {
		return DefaultLifecyclePolicy{}, err
	}
	p, err := db.One(ctx, s.db, func(r db.Row) (p DefaultLifecyclePolicy, err error) {
		var changed int64
		err = r.Scan(&p.Document, &changed, &p.ChangedBy)
		p.Changed = db.Time(changed)
		return p, err
	}, `SELECT document, changed, changed_by FROM image_lifecycle_default WHERE account = $1 AND region = $2`, account, region)
	if errors.Is(err, db.ErrNoRows) {
		err = noDefaultLifecycle(account, region)
	}
	return p, err
}

// DeleteDefaultLifecyclePolicy removes the default lifecycle policy of a registry. Action
// gatehouse:DeleteDefaultLifecyclePolicy. Faults: as [Service.DefaultLifecyclePolicy].
func (s *Service) DeleteDefaultLifecyclePolicy(ctx context.Context, account, region string) error {
	if err := s.authorizeRegistry(ctx, "gatehouse:DeleteDefaultLifecyclePolicy", account, region); err != nil {
		return err
	}
	return s.db.Tx(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `DELETE FROM image_lifecycle_default WHERE account = $1 AND region = $2`, account, region)
		if err == nil && n == 0 {
			err = noDefaultLifecycle(account, region)
		}
		return err
	})
}

func noDefaultLifecycle(account, region string) error {
	return fault.New(fault.NotFound, "LifecyclePolicyNotFound", "The registry with id '%s' has no default lifecycle policy in the region %s.", account, region)
}

// callerARN is the ARN of the caller.
func callerARN(ctx context.Context) string {
	if c := authn.FromContext(ctx); c != nil && c.Principal != nil {
		return c.ARN
	}
	return ""
}
