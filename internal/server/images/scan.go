package images

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/inventory"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/scanworker"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/vulnerability"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// A scan finds what is installed in an image, once, and stores that as a row of image_scan.
// What is vulnerable is computed when somebody asks, from the stored inventory and the
// advisories in memory (scan_findings.go). So new advisories count at once, and no image is
// read again. The row has the counts of findings, too, for lists of images and for events;
// work updates them when the advisories have changed (scan_follow.go).
//
// The transaction that stores an image also writes the row and puts the scan into the work
// queue, if the configuration of the registry or of the repository says so.

// Scanning is what a [Service] needs to scan images.
type Scanning struct {
	// Reader reads layers; nil means that this server scans nothing.
	Reader LayerReader
	// Advisories are what inventories are compared with.
	Advisories vulnerability.Advisories
}

// noAdvisories are those of a server that has none.
type noAdvisories struct{}

func (noAdvisories) Affecting(_, _, _ string) []vulnerability.Advisory { return nil }
func (noAdvisories) Knows(string) bool                                 { return false }
func (noAdvisories) Revision() uint64                                  { return 0 }
func (noAdvisories) Changed() time.Time                                { return time.Time{} }

// A LayerReader finds what is installed in an image. It is scanworker.Runner.
type LayerReader interface {
	// Read returns an error that is a *scanworker.ImageError if the image cannot be
	// scanned, whatever is done.
	Read(ctx context.Context, layers []scanworker.Layer) (*inventory.Inventory, error)
}

// The states of a row of image_scan.
const (
	scanWaiting     = "waiting"
	scanComplete    = "complete"
	scanFailed      = "failed"
	scanUnsupported = "unsupported"
)

// ECR's statuses of a scan.
const (
	ScanInProgress          = "IN_PROGRESS"
	ScanPending             = "PENDING"
	ScanComplete            = "COMPLETE"
	ScanActive              = "ACTIVE"
	ScanFailed              = "FAILED"
	ScanUnsupported         = "UNSUPPORTED_IMAGE"
	ScanExpired             = "SCAN_ELIGIBILITY_EXPIRED"
	ScanImageArchived       = "IMAGE_ARCHIVED"
	ScanFindingsUnavailable = "FINDINGS_UNAVAILABLE"
)

// The quotas of scans (Amazon ECR User Guide, "Amazon ECR service quotas").
const (
	scanQuotaTime        = 24 * time.Hour
	maxScansOfRegistry   = 100_000
	scanQuotaMessage     = "The scan quota per image has been exceeded. Wait and try again."
	scanRegistryQuotaMsg = "The scan quota per registry has been exceeded. Wait and try again."
)

// StartImageScan puts a scan of an image into the queue, whatever the configuration says. It
// returns the status, and the image as it was named with its digest. Action
// ecr:StartImageScan. Faults: AccessDenied, RepositoryNotFound, ImageNotFound,
// ImageTagDoesNotMatchDigest, InvalidParameter, UnsupportedImageType, ScanTypeEnhanced,
// ScanQuota.
func (s *Service) StartImageScan(ctx context.Context, id RepositoryID, ref Reference) (ScanResult, error) {
	repo, m, err := s.scannedImage(ctx, id, ref, "ecr:StartImageScan")
	if err != nil {
		return ScanResult{}, err
	}
	if s.registries.get(id.registry()).scanning().Type == ScanEnhanced {
		return ScanResult{}, fault.New(fault.Invalid, "ScanTypeEnhanced", "The scan type of the registry with id '%s' is ENHANCED: images are scanned when they are pushed, and not by request", id.Account)
	}
	if s.scanner.Reader == nil {
		return ScanResult{}, fault.New(fault.Unavailable, "ScanningUnavailable", "This server scans no images.")
	}
	if _, ok := scannedLayers(m); !ok {
		return ScanResult{}, fault.New(fault.Invalid, "UnsupportedImageType", "The image with digest '%s' in the repository with name '%s' has a type that cannot be scanned: only images with layers of files can", m.Digest, id.Name)
	}
	err = s.db.Tx(ctx, func(tx *db.Tx) error {
		now := s.now()
		since := db.Micros(now.Add(-scanQuotaTime))
		last, err := db.All(ctx, tx, db.Scalar[int64], `SELECT requested FROM image_scan WHERE repository = $1 AND digest = $2`, repo.row, string(m.Digest))
		if err != nil {
			return err
		}
		if len(last) > 0 && last[0] > since {
			return fault.New(fault.Limit, "ScanQuota", scanQuotaMessage)
		}
		n, err := db.One(ctx, tx, db.Scalar[int64], `SELECT count(*) FROM (SELECT 1 FROM image_scan WHERE account = $1 AND region = $2 AND requested > $3 LIMIT $4) AS some_scans`, id.Account, id.Region, since, maxScansOfRegistry)
		if err != nil {
			return err
		}
		if n >= maxScansOfRegistry {
			return fault.New(fault.Limit, "ScanQuota", scanRegistryQuotaMsg)
		}
		return s.enqueueScan(ctx, tx, repo, m.Digest, now)
	})
	return ScanResult{Image: Reference{ref.Tag, m.Digest}, Status: ScanInProgress}, err
}

// scannedImage returns the image that ref names if the caller is allowed the action.
func (s *Service) scannedImage(ctx context.Context, id RepositoryID, ref Reference, action string) (*Repository, *Manifest, error) {
	repo, err := s.authorize(ctx, id, action)
	if err != nil {
		return nil, nil, err
	}
	if err := ref.check(); err != nil {
		return nil, nil, invalidParameter("imageId", fault.From(err).Message)
	}
	m, err := s.manifest(ctx, repo, ref)
	return repo, m, err
}

// A scanJob is the payload of the work that scans an image.
type scanJob struct {
	Repository RepositoryID
	Row        int64
	Digest     digest.Digest
}

// enqueueScan writes the row of a scan and puts it into the queue.
func (s *Service) enqueueScan(ctx context.Context, tx *db.Tx, repo *Repository, d digest.Digest, at time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO image_scan (repository, digest, account, region, state, reason, requested, completed, version, counts) VALUES ($1, $2, $3, $4, $5, '', $6, 0, 1, '')
		ON CONFLICT (repository, digest) DO UPDATE SET state = excluded.state, reason = '', requested = excluded.requested, version = image_scan.version + 1`,
		repo.row, string(d), repo.ID.Account, repo.ID.Region, scanWaiting, db.Micros(at))
	if err != nil {
		return err
	}
	return s.work.Enqueue(ctx, tx, work.Job{Kind: kindScan, Key: strconv.FormatInt(repo.row, 10) + "/" + string(d), Payload: scanJob{repo.ID, repo.row, d}})
}

// scanOnPush puts the scan of a new image into the queue, if images of the repository are
// scanned when they are pushed.
func (s *Service) scanOnPush(ctx context.Context, tx *db.Tx, repo *Repository, m *Manifest) error {
	if s.scanner.Reader == nil || !s.scanFrequency(repo).ScanOnPush {
		return nil
	}
	if _, ok := scannedLayers(m); !ok {
		return nil
	}
	return s.enqueueScan(ctx, tx, repo, m.Digest, s.now())
}

// scanRestored does the same for an image that was set aside and is here again.
func (s *Service) scanRestored(ctx context.Context, tx *db.Tx, repo *Repository, d digest.Digest) error {
	if s.scanner.Reader == nil || !s.scanFrequency(repo).ScanOnPush {
		return nil
	}
	m, err := db.One(ctx, tx, scanManifest, `SELECT `+manifestColumns+` FROM image_manifest WHERE repository = $1 AND digest = $2`, repo.row, string(d))
	if err != nil {
		return err
	}
	return s.scanOnPush(ctx, tx, repo, m)
}

// A scannedLayer is a layer of an image that can be scanned.
type scannedLayer struct {
	digest  digest.Digest
	foreign bool // may be stored elsewhere
}

// scannedLayers returns the layers of an image, the lowest first. ok is false for what is
// not an image of files: indexes, charts, signatures, attestations and other artifacts.
func scannedLayers(m *Manifest) (layers []scannedLayer, ok bool) {
	if m.Subject != "" || m.MediaType != ocispec.MediaTypeImageManifest && m.MediaType != mediaTypeDockerManifest {
		return nil, false
	}
	var doc manifestDocument
	if err := jsonv2.Unmarshal(m.Body, &doc); err != nil || doc.Config == nil {
		return nil, false
	}
	if doc.Config.MediaType != ocispec.MediaTypeImageConfig && doc.Config.MediaType != "application/vnd.docker.container.image.v1+json" {
		return nil, false
	}
	for i := range doc.Layers {
		l := &doc.Layers[i]
		if !isLayerType(l.MediaType) {
			return nil, false
		}
		layers = append(layers, scannedLayer{l.Digest, l.foreign()})
	}
	return layers, len(layers) > 0
}

// isLayerType reports whether a media type is that of an archive of files. Compressions may
// follow after a "+" or a ".".
func isLayerType(mediaType string) bool {
	for _, prefix := range []string{"application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.nondistributable.v1.tar", "application/vnd.docker.image.rootfs.diff.tar", "application/vnd.docker.image.rootfs.foreign.diff.tar"} {
		if strings.HasPrefix(mediaType, prefix) {
			return true
		}
	}
	return false
}

// scanFrequency returns how a repository is scanned by the configurations of its registry
// and its own. With the scan type ENHANCED, only the registry's counts.
func (s *Service) scanFrequency(repo *Repository) RepositoryScanning {
	configuration := s.registries.get(repo.ID.registry()).scanning()
	out := RepositoryScanning{Frequency: ScanManually}
	if repo.ScanOnPush && configuration.Type != ScanEnhanced {
		out = RepositoryScanning{Frequency: ScanOnPushFrequency, ScanOnPush: true}
	}
	for _, frequency := range []string{ScanOnPushFrequency, ScanContinuously} { // the later one wins
		for _, rule := range configuration.Rules {
			if rule.Frequency != frequency {
				continue
			}
			if matched := matchingFilters(rule.Filters, repo.ID.Name); matched != nil {
				out = RepositoryScanning{Frequency: frequency, ScanOnPush: true, Filters: matched}
			}
		}
	}
	return out
}

// scanNotFound is the fault of an image that was never scanned.
func scanNotFound(id RepositoryID, ref Reference) error {
	return fault.New(fault.NotFound, "ScanNotFound", "Image scan does not exist for the image with '{imageDigest:'%s', imageTag:'%s'}' in the repository with name '%s' in the registry with id '%s'",
		ref.Digest, orNull(ref.Tag), id.Name, id.Account)
}

// isImageError returns the reason if an image cannot be scanned, whatever is done.
func isImageError(err error) (reason string, ok bool) {
	if e, is := errors.AsType[*scanworker.ImageError](err); is {
		return e.Reason, true
	}
	return "", false
}
