package images

import (
	"context"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/lifecycle"
)

// A ServiceEvent is something that the service did by itself, for the audit log.
type ServiceEvent struct {
	// Name has the form of an operation's name.
	Name string
	// Repository is the ARN of the repository.
	Repository string
	// Params are the parameters of an action of Gatehouse's own; nil if Details are given.
	Params map[string]any
	// Details are what ECR has in serviceEventDetails of its own events.
	Details any
}

// The events of ECR (Amazon ECR User Guide, "Logging Amazon ECR actions with AWS
// CloudTrail").
const (
	policyExecutionEvent = "PolicyExecutionEvent"
	dryRunEvent          = "DryRunEvent"
)

const (
	// maxEventImages and maxEventTags bound a record, as ECR does.
	maxEventImages = 10
	maxEventTags   = 100
	// maxLifecycleFailures is how many protected images a run tells about.
	maxLifecycleFailures = 100
)

// A lifecycleFailure is an image that a rule would have removed.
type lifecycleFailure struct {
	planned
	listedBy string
}

// The members of serviceEventDetails.
type lifecycleDetails struct {
	RepositoryName string             `json:"repositoryName"`
	Policy         lifecyclePolicyLog `json:"lifecycleEventPolicy"`
	Actions        []lifecycleAction  `json:"lifecycleEventImageActions"`
	Failures       []lifecycleAction  `json:"lifecycleEventFailureDetails"`
}

type lifecyclePolicyLog struct {
	Rules         []lifecycleRuleLog `json:"lifecycleEventRules"`
	LastEvaluated int64              `json:"lastEvaluatedAt"` // milliseconds since 1970
	Version       int                `json:"policyVersion"`
	ID            string             `json:"policyId"`
}

type lifecycleRuleLog struct {
	Priority    int                   `json:"rulePriority"`
	Description string                `json:"description,omitempty"`
	Selection   lifecycleSelectionLog `json:"lifecycleEventSelection"`
	Action      string                `json:"action"`
}

type lifecycleSelectionLog struct {
	TagStatus   string   `json:"tagStatus"`
	Prefixes    []string `json:"tagPrefixList"`
	Patterns    []string `json:"tagPatternList,omitempty"`
	CountType   string   `json:"countType"`
	CountUnit   string   `json:"countUnit,omitempty"`
	CountNumber int      `json:"countNumber"`
}

type lifecycleAction struct {
	Image    lifecycleImageLog `json:"lifecycleEventImage"`
	Priority int               `json:"rulePriority"`
	Code     string            `json:"failureCode,omitempty"`
	Reason   string            `json:"failureReason,omitempty"`
}

type lifecycleImageLog struct {
	Digest    digest.Digest `json:"digest"`
	TagStatus string        `json:"tagStatus"`
	Tags      []string      `json:"tagList"`
	Pushed    int64         `json:"pushedAt"` // milliseconds since 1970
}

// The words that ECR uses in its events.
var (
	loggedTagStatus = map[lifecycle.TagStatus]string{lifecycle.Any: "Any", lifecycle.Tagged: "Tagged", lifecycle.Untagged: "Untagged"}
	loggedCountType = map[lifecycle.CountType]string{
		lifecycle.ImageCountMoreThan: "Image count more than", lifecycle.SinceImagePushed: "Since image pushed",
		lifecycle.SinceImagePulled: "Since image pulled", lifecycle.SinceImageTransitioned: "Since image transitioned",
	}
)

// logOf returns what an event says about a policy.
func logOf(stored *LifecyclePolicy, p *lifecycle.Policy) lifecyclePolicyLog {
	l := lifecyclePolicyLog{Version: 1, ID: stored.Revision}
	if !stored.Evaluated.IsZero() {
		l.LastEvaluated = stored.Evaluated.UnixMilli()
	}
	for i := range p.Rules {
		r := &p.Rules[i]
		s := lifecycleSelectionLog{
			TagStatus: loggedTagStatus[r.Selection.TagStatus], Prefixes: append([]string{}, r.Selection.Prefixes...), Patterns: r.Selection.Patterns,
			CountType: loggedCountType[r.Selection.CountType], CountNumber: r.Selection.Count,
		}
		if r.Selection.CountType != lifecycle.ImageCountMoreThan {
			s.CountUnit = "Days"
		}
		l.Rules = append(l.Rules, lifecycleRuleLog{r.Priority, r.Description, s, string(r.Action)})
	}
	return l
}

func imageLog(d digest.Digest, tags []string, pushed time.Time) lifecycleImageLog {
	l := lifecycleImageLog{d, "Untagged", append([]string{}, tags[:min(len(tags), maxEventTags)]...), pushed.UnixMilli()}
	if len(tags) > 0 {
		l.TagStatus = "Tagged"
	}
	return l
}

// record writes the audit records of removed images.
func (a *application) record(ctx context.Context, gone []asideImage) error {
	var actions []lifecycleAction
	for i := range gone {
		img := &gone[i]
		priority := 0
		if img.rule != nil {
			priority = img.rule.Priority
		}
		actions = append(actions, lifecycleAction{Image: imageLog(img.digest, img.tags, db.Time(img.pushed)), Priority: priority})
	}
	for batch := range slices.Chunk(actions, maxEventImages) {
		if err := a.recordDetails(ctx, batch, []lifecycleAction{}); err != nil {
			return err
		}
	}
	return nil
}

// recordFailures writes the audit records of images that a manifest list protects.
func (a *application) recordFailures(ctx context.Context, failures []lifecycleFailure) error {
	var all []lifecycleAction
	for i := range failures {
		f := &failures[i]
		all = append(all, lifecycleAction{
			Image: imageLog(f.digest, f.tags, db.Time(f.pushed)), Priority: f.rule.Priority,
			Code: "ImageReferencedByManifestList", Reason: "Requested image referenced by manifest list: [" + f.listedBy + "]",
		})
	}
	for batch := range slices.Chunk(all, maxEventImages) {
		if err := a.recordDetails(ctx, []lifecycleAction{}, batch); err != nil {
			return err
		}
	}
	return nil
}

func (a *application) recordDetails(ctx context.Context, actions, failures []lifecycleAction) error {
	return a.service.recordDetails(ctx, policyExecutionEvent, a.repo, lifecycleDetails{a.repo.ID.Name, logOf(&a.stored, a.policy), actions, failures})
}

// recordDetails writes the audit record of something that the service did by itself, with the
// details that AWS documents for it.
func (s *Service) recordDetails(ctx context.Context, name string, repo *Repository, details any) error {
	if s.audit == nil {
		return nil
	}
	return s.audit(ctx, ServiceEvent{Name: name, Repository: repo.arn, Details: details})
}

// recordService writes the audit record of an action of Gatehouse's own.
func (s *Service) recordService(ctx context.Context, name string, repo *Repository, params map[string]any) error {
	if s.audit == nil {
		return nil
	}
	return s.audit(ctx, ServiceEvent{Name: name, Repository: repo.arn, Params: params})
}
