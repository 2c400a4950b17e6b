package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/inventory"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/vulnerability"
	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
)

// A ScanResult is the result of the scan of an image, as the advisories are now.
type ScanResult struct {
	Image Reference
	// Status is one of ECR's.
	Status, Description string
	// CompletedAt is when the scan ended; zero if none did.
	CompletedAt time.Time
	// SourceUpdatedAt is when the advisories were last changed.
	SourceUpdatedAt time.Time
	// Counts are how many findings there are of each severity; nil if the findings are not
	// known.
	Counts map[string]int32
	// Enhanced is true if the registry has the scan type ENHANCED.
	Enhanced bool

	// The rest has the findings of one page, for [Service.ImageScanFindings].
	Findings []vulnerability.Finding
	// FirstSeen is when each was seen first, by its key.
	FirstSeen map[string]time.Time
	More      bool
	// Tags and PushedAt are those of the image.
	Tags     []string
	PushedAt time.Time
}

// A FindingPosition is the place of a finding among those of an image. The zero value is
// before all.
type FindingPosition struct {
	Severity vulnerability.Severity
	Key      string
}

// PositionOf returns the position of a finding.
func PositionOf(f *vulnerability.Finding) FindingPosition {
	return FindingPosition{f.Severity(), f.Key()}
}

// FindingARN names a finding by its key, the same in every answer and event.
func FindingARN(id RepositoryID, d digest.Digest, key string) string {
	sum := sha256.Sum256([]byte(id.ARN() + "\n" + string(d) + "\n" + key))
	return fmt.Sprintf("arn:aws:inspector2:%s:%s:finding/%s", id.Region, id.Account, hex.EncodeToString(sum[:16]))
}

func (p FindingPosition) before(f *vulnerability.Finding) bool {
	if p.Key == "" {
		return true
	}
	if f.Severity() != p.Severity {
		return f.Severity() < p.Severity
	}
	return strings.Compare(f.Key(), p.Key) > 0
}

// ImageScanFindings returns the result of the scan of an image with its findings, the worst
// first: those after a position, at most limit of them. Action
// ecr:DescribeImageScanFindings. Faults: AccessDenied, RepositoryNotFound, ImageNotFound,
// ImageTagDoesNotMatchDigest, InvalidParameter, ScanNotFound.
func (s *Service) ImageScanFindings(ctx context.Context, id RepositoryID, ref Reference, after FindingPosition, limit int) (ScanResult, error) {
	repo, m, err := s.scannedImage(ctx, id, ref, "ecr:DescribeImageScanFindings")
	if fault.Is(err, "ImageArchived") {
		ref.Digest, err = s.identify(ctx, repo, ref)
		return ScanResult{Image: ref, Status: ScanImageArchived, Description: "The image is archived. It is scanned again after it was restored, if the rules say so."}, err
	}
	if err != nil {
		return ScanResult{}, err
	}
	row, err := db.One(ctx, s.db, readStoredScan, `SELECT `+scanColumns+` FROM image_scan WHERE repository = $1 AND digest = $2`, repo.row, string(m.Digest))
	if errors.Is(err, db.ErrNoRows) {
		return ScanResult{}, scanNotFound(id, Reference{ref.Tag, m.Digest})
	}
	if err != nil {
		return ScanResult{}, err
	}
	out := s.scanResult(repo, row)
	out.Image, out.PushedAt = Reference{ref.Tag, m.Digest}, m.PushedAt
	if out.Counts == nil {
		return out, nil
	}
	found, err := s.findingsOf(ctx, repo, row)
	if err != nil {
		return ScanResult{}, err
	}
	out.Counts, out.FirstSeen = found.counts, map[string]time.Time{}
	if out.Status == ScanComplete || out.Status == ScanActive {
		out.Description = found.description
	}
	start, _ := slices.BinarySearchFunc(found.findings, after, func(f vulnerability.Finding, p FindingPosition) int {
		if p.before(&f) {
			return 1
		}
		return -1
	})
	page := found.findings[start:]
	if out.More = len(page) > max(limit, 1); out.More {
		page = page[:max(limit, 1)]
	}
	out.Findings = page
	for i := range page {
		if at, ok := found.seen[page[i].Key()]; ok {
			out.FirstSeen[page[i].Key()] = db.Time(at)
		}
	}
	out.Tags, err = s.scanTags(ctx, s.db, repo, m.Digest)
	return out, err
}

// A storedScan is a row of image_scan without what is large.
type storedScan struct {
	digest             digest.Digest
	state, reason      string
	completed, version int64
	counts             string
}

const scanColumns = `digest, state, reason, completed, version, counts`

func readStoredScan(r db.Row) (row storedScan, err error) {
	err = r.Scan(&row.digest, &row.state, &row.reason, &row.completed, &row.version, &row.counts)
	return row, err
}

// scanResult returns what a row says, with the counts that were stored.
func (s *Service) scanResult(repo *Repository, row storedScan) ScanResult {
	enhanced := s.registries.get(repo.ID.registry()).scanning().Type == ScanEnhanced
	out := ScanResult{Description: row.reason, Enhanced: enhanced}
	switch {
	case row.state == scanWaiting && enhanced:
		out.Status = ScanPending
		return out
	case row.state == scanWaiting:
		out.Status = ScanInProgress
		return out
	case row.state == scanFailed:
		out.Status = ScanFailed
		return out
	case row.state == scanUnsupported:
		out.Status = ScanUnsupported
		return out
	}
	out.CompletedAt = db.Time(row.completed)
	out.SourceUpdatedAt = s.scanner.Advisories.Changed()
	switch {
	case out.SourceUpdatedAt.IsZero():
		out.Status, out.Description = ScanFindingsUnavailable, "This server has no advisories to compare the packages of the image with. The operator can import some with gatehouse advisories import."
		return out
	case enhanced && !s.scanFrequency(repo).ScanOnPush:
		out.Status, out.Description = ScanExpired, "No scanning rule of the registry matches the repository. The findings are those of an earlier scan."
	case enhanced:
		out.Status, out.Description = ScanActive, "The findings follow the advisories of this server."
	default:
		out.Status, out.Description = ScanComplete, scanCompleted
	}
	out.Counts = map[string]int32{}
	_ = json.Unmarshal([]byte(row.counts), &out.Counts) // was written by countsText
	return out
}

const scanCompleted = "The scan was completed successfully."

// foundInImage are the findings of an image.
type foundInImage struct {
	findings    []vulnerability.Finding
	counts      map[string]int32
	seen        map[string]int64
	rating      vulnerability.Rating
	description string
}

// A findingsKey names the findings of a scan with a revision of the advisories.
type findingsKey struct {
	digestKey
	version, completed int64
	advisories         uint64
}

// cachedFindings is the size of the findings in memory, in bytes.
const cachedFindings = 32 << 20

// findingsOf returns the findings of an image, from the cache if they were computed since
// the advisories were changed.
func (s *Service) findingsOf(ctx context.Context, repo *Repository, row storedScan) (*foundInImage, error) {
	key := findingsKey{digestKey{repo.row, row.digest}, row.version, row.completed, s.scanner.Advisories.Revision()}
	return s.findings.Load(key, func() (*foundInImage, error) {
		inv, seen, err := s.readInventory(ctx, s.db, repo, row.digest)
		if err != nil {
			return nil, err
		}
		findings := vulnerability.Match(inv, s.scanner.Advisories)
		return &foundInImage{findings, vulnerability.Counts(findings), seen, vulnerability.Rate(inv, findings, s.scanner.Advisories), describeScan(inv, s.scanner.Advisories)}, nil
	})
}

// openScanning sets what scans need.
func (s *Service) openScanning(c Scanning) {
	if c.Advisories == nil {
		c.Advisories = noAdvisories{}
	}
	s.scanner = c
	s.findings = lru.New[findingsKey](lru.Config[*foundInImage]{MaxCost: cachedFindings, Shards: 1, Cost: (*foundInImage).size})
}

func (f *foundInImage) size() int64 {
	n := int64(512 + 100*len(f.seen))
	for i := range f.findings {
		n += 400 + 300*int64(len(f.findings[i].Installed))
	}
	return n
}

// readInventory reads what a scan has stored.
func (s *Service) readInventory(ctx context.Context, q db.Querier, repo *Repository, d digest.Digest) (*inventory.Inventory, map[string]int64, error) {
	type packed struct{ inventory, seen []byte }
	row, err := db.One(ctx, q, func(r db.Row) (p packed, err error) {
		err = r.Scan(&p.inventory, &p.seen)
		return p, err
	}, `SELECT inventory, seen FROM image_scan WHERE repository = $1 AND digest = $2`, repo.row, string(d))
	if err != nil {
		return nil, nil, err
	}
	inv, seen := new(inventory.Inventory), map[string]int64{}
	return inv, seen, errors.Join(unpack(row.inventory, inv), unpack(row.seen, &seen))
}

// describeScan says what the findings do not cover, so that few findings are not taken for
// few vulnerabilities.
func describeScan(inv *inventory.Inventory, known vulnerability.Advisories) string {
	text := scanCompleted
	if unknown := vulnerability.Unknown(inv, known); len(unknown) > 0 {
		text += " This server has no advisories about packages of " + strings.Join(unknown, ", ") + "."
	}
	if len(inv.Unread) > 0 {
		text += " Not read: " + strings.Join(inv.Unread, "; ") + "."
	}
	return text
}

// addScans adds the results of scans to images of a repository, with the stored counts. The
// images are the first ones after the digest after, in their order.
func (s *Service) addScans(ctx context.Context, repo *Repository, list []*ImageDetail, after digest.Digest) error {
	rows, err := db.All(ctx, s.db, readStoredScan, `SELECT `+scanColumns+` FROM image_scan WHERE repository = $1 AND digest > $2 AND digest <= $3`,
		repo.row, string(after), string(list[len(list)-1].Digest))
	s.distributeScans(repo, rows, list)
	return err
}

// addScansOfAny is addScans for images in any order.
func (s *Service) addScansOfAny(ctx context.Context, repo *Repository, list []*ImageDetail) error {
	for _, d := range list {
		rows, err := db.All(ctx, s.db, readStoredScan, `SELECT `+scanColumns+` FROM image_scan WHERE repository = $1 AND digest = $2`, repo.row, string(d.Digest))
		if err != nil {
			return err
		}
		s.distributeScans(repo, rows, []*ImageDetail{d})
	}
	return nil
}

func (s *Service) distributeScans(repo *Repository, rows []storedScan, list []*ImageDetail) {
	byDigest := make(map[digest.Digest]storedScan, len(rows))
	for _, row := range rows {
		byDigest[row.digest] = row
	}
	for _, d := range list {
		if row, ok := byDigest[d.Digest]; ok {
			result := s.scanResult(repo, row)
			d.Scan = &result
		}
	}
}
