package images

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/events"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/vulnerability"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// When the advisories have changed, work in the background compares every inventory with
// them, and stores the new counts. If the repository is scanned continuously, it writes an
// event for each finding that is new or gone.
//
// When a registry begins to be scanned with the type ENHANCED, or gets other rules, other
// work scans the images of the last days that have no scan yet.

const (
	kindScanFollow   = "images/scan-follow"
	kindScanExisting = "images/scan-existing"
	scanFollowTime   = 6 * time.Hour
	scanFollowBatch  = 100
	// scanEligible is how old images can be that are scanned because of a new configuration
	// (Amazon ECR User Guide, "Scan images for OS and programming language package
	// vulnerabilities").
	scanEligible = 14 * 24 * time.Hour
	// maxFindingEvents is how many events one image can have because of one change of the
	// advisories.
	maxFindingEvents = 100
)

// AdvisoriesChanged puts the comparison of all inventories into the queue, as part of the
// transaction that changed advisories. It begins when every server has them.
func (s *Service) AdvisoriesChanged(ctx context.Context, tx *db.Tx) error {
	// Changes that come together share a job. Its time is after the delay of each of them.
	delay := s.changeDelay()
	at := s.now().Truncate(delay).Add(2 * delay)
	return s.work.Enqueue(ctx, tx, work.Job{Kind: kindScanFollow, Key: strconv.FormatInt(db.Micros(at), 10), RunAt: at})
}

// changeDelay is how long after the commit of a change work begins that must see it in the
// memory of its server.
func (s *Service) changeDelay() time.Duration {
	if s.db.Shared() {
		return 10 * time.Second // longer than a server decides without news
	}
	return time.Second
}

// doScanFollow compares every inventory with the advisories.
func (s *Service) doScanFollow(ctx context.Context, _ work.Run) error {
	type place struct {
		row int64
		storedScan
		name, account, region string
	}
	after := place{}
	for {
		page, err := db.All(ctx, s.db, func(r db.Row) (p place, err error) {
			err = r.Scan(&p.row, &p.digest, &p.completed, &p.version, &p.counts, &p.name, &p.account, &p.region)
			return p, err
		}, `SELECT c.repository, c.digest, c.completed, c.version, c.counts, r.name, r.account, r.region FROM image_scan c JOIN image_repository r ON r.id = c.repository
			WHERE (c.repository, c.digest) > ($1, $2) AND c.state = '`+scanComplete+`' ORDER BY c.repository, c.digest LIMIT $3`, after.row, string(after.digest), scanFollowBatch)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, p := range page {
			after = p
			repo := s.repositories.get(RepositoryID{p.account, p.region, p.name})
			if repo == nil || repo.row != p.row {
				continue // deleted
			}
			if err := s.compareAgain(ctx, repo, p.storedScan); err != nil {
				return err
			}
		}
	}
}

// compareAgain stores the counts of an image and when its findings were seen, and tells what
// has changed.
func (s *Service) compareAgain(ctx context.Context, repo *Repository, row storedScan) error {
	inv, before, err := s.readInventory(ctx, s.db, repo, row.digest)
	if err != nil {
		return err
	}
	now := s.now().UTC().Truncate(time.Microsecond)
	findings := vulnerability.Match(inv, s.scanner.Advisories)
	seen, counts := observe(findings, before, now), countsText(vulnerability.Counts(findings))
	if counts == row.counts && maps.Equal(seen, before) {
		return nil
	}
	packed, err := pack(seen)
	if err != nil {
		return err
	}
	changes := findingChanges(findings, before)
	return s.db.Tx(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE image_scan SET counts = $5, seen = $6 WHERE repository = $1 AND digest = $2 AND version = $3 AND completed = $4 AND state = '`+scanComplete+`'`,
			repo.row, string(row.digest), row.version, row.completed, counts, packed)
		if err != nil || n == 0 || s.scanFrequency(repo).Frequency != ScanContinuously {
			return err
		}
		return s.announceFindings(ctx, tx, repo, row.digest, changes, now)
	})
}

// A findingChange is a finding that is new or gone.
type findingChange struct {
	key     string
	finding *vulnerability.Finding // nil if it is gone
}

// findingChanges compares findings with the keys of those of before: new ones come first, the
// worst of them at the beginning.
func findingChanges(findings []vulnerability.Finding, before map[string]int64) (out []findingChange) {
	now := make(map[string]bool, len(findings))
	for i := range findings {
		key := findings[i].Key()
		now[key] = true
		if _, ok := before[key]; !ok {
			out = append(out, findingChange{key, &findings[i]})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if !now[key] {
			out = append(out, findingChange{key: key})
		}
	}
	return out[:min(len(out), maxFindingEvents)]
}

// A findingEvent is the detail of an event "Inspector2 Finding" (Amazon Inspector User Guide,
// "EventBridge schema for Amazon Inspector events"), with those members that are known.
type findingEvent struct {
	ARN         string               `json:"findingArn"`
	Account     string               `json:"awsAccountId"`
	Type        string               `json:"type"`
	Status      string               `json:"status"` // ACTIVE or CLOSED
	Severity    string               `json:"severity,omitempty"`
	Title       string               `json:"title"`
	Description string               `json:"description,omitempty"`
	Updated     string               `json:"updatedAt"`
	Details     findingEventDetails  `json:"packageVulnerabilityDetails"`
	Resources   []findingEventImages `json:"resources"`
}

type findingEventDetails struct {
	ID       string                `json:"vulnerabilityId"`
	Packages []findingEventPackage `json:"vulnerablePackages"`
}

type findingEventPackage struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Fixed   string `json:"fixedInVersion,omitempty"`
}

type findingEventImages struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Details struct {
		Image struct {
			Repository string        `json:"repositoryName"`
			Registry   string        `json:"registry"`
			Hash       digest.Digest `json:"imageHash"`
			Tags       []string      `json:"imageTags"`
		} `json:"awsEcrContainerImage"`
	} `json:"details"`
}

// announceFindings writes an event for each change of the findings of an image.
func (s *Service) announceFindings(ctx context.Context, tx *db.Tx, repo *Repository, d digest.Digest, changes []findingChange, at time.Time) error {
	tags, err := s.scanTags(ctx, tx, repo, d)
	if err != nil {
		return err
	}
	resource := findingEventImages{ID: repo.arn + "/" + string(d), Type: "AWS_ECR_CONTAINER_IMAGE"}
	image := &resource.Details.Image
	image.Repository, image.Registry, image.Hash, image.Tags = repo.ID.Name, repo.ID.Account, d, tags
	var all []events.Event
	for _, c := range changes {
		parts := strings.Split(c.key, "\t") // see vulnerability.Finding.Key
		detail := findingEvent{
			ARN: FindingARN(repo.ID, d, c.key), Account: repo.ID.Account, Type: "PACKAGE_VULNERABILITY", Status: "CLOSED",
			Title: parts[0] + " - " + parts[2], Updated: at.Format(time.RFC3339), Resources: []findingEventImages{resource},
			Details: findingEventDetails{parts[0], []findingEventPackage{{Name: parts[2], Version: parts[3]}}},
		}
		if f := c.finding; f != nil {
			detail.Status, detail.Severity, detail.Description = "ACTIVE", f.Severity().String(), f.Advisory.Summary
			detail.Details.Packages[0].Fixed = f.Advisory.Fixed
		}
		all = append(all, events.Event{
			Source: "aws.inspector2", DetailType: "Inspector2 Finding", Account: repo.ID.Account, Region: repo.ID.Region, Time: at,
			Resources: []string{resource.ID}, Repository: repo.ID.Name, Detail: detail,
		})
	}
	return s.events.Write(ctx, tx, all...)
}

// doScanExisting scans the images of a registry that were pushed in the last days and have no
// scan.
func (s *Service) doScanExisting(ctx context.Context, run work.Run) error {
	return work.JSON(func(ctx context.Context, id RegistryID) error {
		for after := ""; ; {
			page, more := s.repositories.list(id.Account, id.Region, after, scanFollowBatch)
			for _, repo := range page {
				after = repo.ID.Name
				if !s.scanFrequency(repo).ScanOnPush {
					continue
				}
				if err := s.scanRepository(ctx, repo); err != nil {
					return err
				}
			}
			if !more {
				return nil
			}
		}
	})(ctx, run)
}

// scanRepository puts scans of the images of a repository into the queue.
func (s *Service) scanRepository(ctx context.Context, repo *Repository) error {
	since := db.Micros(s.now().Add(-scanEligible))
	for after := ""; ; {
		page, err := db.All(ctx, s.db, scanManifest, `SELECT `+manifestColumns+` FROM image_manifest m WHERE repository = $1 AND digest > $2 AND pushed > $3 AND status = 'ACTIVE'
			AND NOT EXISTS (SELECT 1 FROM image_scan c WHERE c.repository = m.repository AND c.digest = m.digest) ORDER BY digest LIMIT $4`, repo.row, after, since, scanFollowBatch)
		if err != nil || len(page) == 0 {
			return err
		}
		after = string(page[len(page)-1].Digest)
		err = s.db.Tx(ctx, func(tx *db.Tx) error {
			if err := checkExists(ctx, tx, repo); err != nil {
				return err
			}
			for _, m := range page {
				exists, err := db.All(ctx, tx, db.Scalar[int64], `SELECT 1 FROM image_manifest WHERE repository = $1 AND digest = $2`, repo.row, string(m.Digest))
				if err == nil && len(exists) > 0 {
					err = s.scanOnPush(ctx, tx, repo, m)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}
