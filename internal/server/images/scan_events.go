package images

import (
	"context"
	"maps"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/events"
)

// maxScanTags is how many tags an event of a scan names. The rest would make it too large.
const maxScanTags = 100

// A scanEvent is the detail of an event "ECR Image Scan" (Amazon ECR User Guide, "Amazon ECR
// events and EventBridge").
type scanEvent struct {
	Status     string           `json:"scan-status"`
	Repository string           `json:"repository-name"`
	Counts     map[string]int32 `json:"finding-severity-counts"`
	Digest     digest.Digest    `json:"image-digest"`
	Tags       []string         `json:"image-tags"`
}

// announceScan writes the event of a scan that has ended: that of ECR, or with the scan type
// ENHANCED that of Amazon Inspector (Amazon Inspector User Guide, "EventBridge schema for
// Amazon Inspector events").
func (s *Service) announceScan(ctx context.Context, tx *db.Tx, repo *Repository, d digest.Digest, state string, counts map[string]int32, at time.Time) error {
	status := map[string]string{scanComplete: ScanComplete, scanFailed: ScanFailed, scanUnsupported: ScanUnsupported}[state]
	detail := scanEvent{Status: status, Repository: repo.ID.Name, Counts: counts, Digest: d}
	e := events.Event{
		Source: "aws.ecr", DetailType: "ECR Image Scan", Account: repo.ID.Account, Region: repo.ID.Region, Time: at,
		Resources: []string{repo.arn}, Repository: repo.ID.Name,
	}
	if s.registries.get(repo.ID.registry()).scanning().Type == ScanEnhanced {
		e.Source, e.DetailType = "aws.inspector2", "Inspector2 Scan"
		detail.Repository, detail.Counts = repo.arn, maps.Clone(counts)
		for _, n := range counts {
			detail.Counts["TOTAL"] += n
		}
		if state == scanComplete {
			detail.Status = "INITIAL_SCAN_COMPLETE"
		}
	}
	var err error
	if detail.Tags, err = s.scanTags(ctx, tx, repo, d); err != nil {
		return err
	}
	e.Detail = detail
	return s.events.Write(ctx, tx, e)
}

// scanTags returns the tags of an image for an event.
func (s *Service) scanTags(ctx context.Context, q db.Querier, repo *Repository, d digest.Digest) ([]string, error) {
	tags, err := db.All(ctx, q, db.Scalar[string], `SELECT tag FROM image_tag WHERE repository = $1 AND digest = $2 ORDER BY tag LIMIT $3`, repo.row, string(d), maxScanTags)
	if tags == nil {
		tags = []string{}
	}
	return tags, err
}
