package images

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/events"
)

// Each push and each deletion of an image writes an event in its transaction (Amazon ECR
// User Guide, "Amazon ECR events and EventBridge"): one for each tag that was set or
// removed, or one without a tag. A push that changes nothing writes none, and neither
// does the deletion of a whole repository.

// The actions of an event.
const (
	actionPush   = "PUSH"
	actionDelete = "DELETE"
	// actionStorageClass is of [statusTx.announce].
	actionStorageClass = "UPDATE_STORAGE_CLASS"
)

// The kinds of events: about images, and about what refers to an image by its subject.
const (
	imageAction    = "ECR Image Action"
	referrerAction = "ECR Referrer Action"
)

// An imageEvent is what an event says. Its members are those of AWS.
type imageEvent struct {
	Result     string        `json:"result"`
	Repository string        `json:"repository-name"`
	Digest     digest.Digest `json:"image-digest"`
	Action     string        `json:"action-type"`
	Tag        string        `json:"image-tag,omitempty"`
}

// announce writes one event for each of refs. subject is that of their manifest.
func announce(ctx context.Context, tx *db.Tx, log *events.Log, repo *Repository, at time.Time, action string, subject digest.Digest, refs ...Reference) error {
	kind := imageAction
	if subject != "" {
		kind = referrerAction
	}
	var all []events.Event
	for _, ref := range refs {
		all = append(all, events.Event{
			Source: "aws.ecr", DetailType: kind, Account: repo.ID.Account, Region: repo.ID.Region, Time: at,
			Detail:     imageEvent{"SUCCESS", repo.ID.Name, ref.Digest, action, ref.Tag},
			Repository: repo.ID.Name,
		})
	}
	return log.Write(ctx, tx, all...)
}

// announce tells what a push changed.
func (p *manifestTx) announce(ctx context.Context, tx *db.Tx, fresh bool) error {
	var refs []Reference
	for _, tag := range p.moved {
		refs = append(refs, Reference{tag, p.digest})
	}
	if fresh && len(refs) == 0 {
		refs = []Reference{{Digest: p.digest}}
	}
	if len(refs) > 0 {
		if err := p.s.events.Write(ctx, tx, p.also...); err != nil {
			return err
		}
	}
	return announce(ctx, tx, p.s.events, p.repo, p.now, actionPush, p.parsed.subject, refs...)
}
