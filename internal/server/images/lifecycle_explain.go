package images

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/lifecycle"
)

// maxExplained is how many images one page of an explanation evaluates.
const maxExplained = 10_000

// A LifecycleVerdict says what a policy decides about an image, and why.
type LifecycleVerdict struct {
	Digest             digest.Digest
	Tags               []string
	PushedAt, PulledAt time.Time // PulledAt is zero if no pull was recorded
	// Since is when the age of the image begins: when it was pushed, archived or restored.
	Since  time.Time
	Status ImageStatus
	// Acting is the rule that acts on the image, or nil.
	Acting *lifecycle.Rule
	// ListedBy is the manifest list that protects the image, and Follows the image with
	// which it is removed. Empty if there is none.
	ListedBy, Follows string
	// Findings has what each rule says, in the order of the rules.
	Findings []lifecycle.Finding
}

// A LifecycleCursor says where a page of an explanation begins. The zero value is the first
// page.
type LifecycleCursor struct {
	Age     int64 // see lifecyclePlace; microseconds since 1970
	Digest  string
	Younger []int // how many images each rule has identified before
}

// LifecycleExplanation is the input of [Service.ExplainLifecycle].
type LifecycleExplanation struct {
	// Document is a policy to explain; empty means the one that holds for the repository.
	Document string
	// Image is the only image to explain, by tag or digest; nil means all.
	Image *Reference
	From  LifecycleCursor
	Limit int
}

// ExplainLifecycle says what a policy decides about the images of a repository, from the
// youngest to the oldest, and changes nothing. A page may have fewer images than Limit
// though there are more pages; next is nil after the last one. Pages that were read while
// images were pushed or deleted need not fit together. Action gatehouse:ExplainLifecycle.
// Faults: AccessDenied, RepositoryNotFound, LifecyclePolicyNotFound, InvalidParameter,
// ImageNotFound.
func (s *Service) ExplainLifecycle(ctx context.Context, id RepositoryID, x LifecycleExplanation) (list []LifecycleVerdict, next *LifecycleCursor, err error) {
	repo, err := s.authorize(ctx, id, "gatehouse:ExplainLifecycle")
	if err != nil {
		return nil, nil, err
	}
	policy, err := s.explainedPolicy(ctx, repo, x.Document)
	if err != nil {
		return nil, nil, err
	}
	var only digest.Digest
	if x.Image != nil {
		if only, err = s.resolve(ctx, repo, *x.Image); err != nil {
			return nil, nil, err
		}
	}
	if err := s.Maintain(ctx); err != nil {
		return nil, nil, err
	}
	e, after := policy.Evaluate(s.now()), firstPlace
	if x.From.Digest != "" {
		after = lifecyclePlace{x.From.Age, x.From.Digest}
		e.Resume(x.From.Younger)
	}
	seen := 0
	err = s.db.Snapshot(ctx, func(q db.Querier) error {
		return s.scanImages(ctx, q, repo, after, func(img *lifecycleImage) (bool, error) {
			seen++
			acting, findings := e.Explain(&img.Image)
			if only == "" || img.digest == only {
				list = append(list, s.verdict(repo, img, acting, findings))
			}
			if img.digest == only {
				return false, nil
			}
			if len(list) >= max(x.Limit, 1) || seen >= maxExplained {
				next = &LifecycleCursor{img.age, string(img.digest), e.Younger()}
				return false, nil
			}
			return true, nil
		})
	})
	if err == nil && only != "" && next == nil && list == nil {
		err = imageNotFound(id, *x.Image)
	}
	return list, next, err
}

func (s *Service) explainedPolicy(ctx context.Context, repo *Repository, document string) (*lifecycle.Policy, error) {
	if document == "" {
		stored, err := readEffectiveLifecycle(ctx, s.db, repo)
		if err != nil {
			return nil, err
		}
		document = stored.Document
	}
	return parseLifecycle(document)
}

func (s *Service) verdict(repo *Repository, img *lifecycleImage, acting *lifecycle.Rule, findings []lifecycle.Finding) LifecycleVerdict {
	v := LifecycleVerdict{Digest: img.digest, Tags: img.Tags, PushedAt: db.Time(img.pushed), Since: db.Time(img.age), Status: img.status, Acting: acting, ListedBy: img.ListedBy, Follows: img.Follows, Findings: findings}
	if pulled := s.lastPull(digestKey{repo.row, img.digest}, img.pulled); pulled > 0 {
		v.PulledAt = db.Time(pulled)
	}
	return v
}
