package images

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/inventory"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/scanworker"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/vulnerability"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

const (
	kindScan = "images/scan"
	// scanConcurrency is how many images a server scans at once.
	scanConcurrency = 2
	scanTimeout     = 15 * time.Minute
	// scanAttempts is how often a scan is tried that failed for a reason which is not the
	// image's: for about an hour.
	scanAttempts = 9
)

// ScanWork returns the kinds of background work of scanning.
func (s *Service) ScanWork() []work.Kind {
	return []work.Kind{
		{Name: kindScan, Concurrency: scanConcurrency, Timeout: scanTimeout, MaxAttempts: scanAttempts, Run: s.doScan},
		{Name: kindScanFollow, Timeout: scanFollowTime, Run: s.doScanFollow},
		{Name: kindScanExisting, Timeout: scanFollowTime, Run: s.doScanExisting},
	}
}

// doScan scans one image.
func (s *Service) doScan(ctx context.Context, run work.Run) error {
	return work.JSON(func(ctx context.Context, job scanJob) error {
		repo := s.repositories.get(job.Repository)
		if repo == nil || repo.row != job.Row {
			return nil // deleted
		}
		version, err := db.All(ctx, s.db, db.Scalar[int64], `SELECT version FROM image_scan WHERE repository = $1 AND digest = $2 AND state = '`+scanWaiting+`'`, repo.row, string(job.Digest))
		if err != nil || len(version) == 0 {
			return err // deleted, or done by a run that was interrupted after its end
		}
		m, err := s.manifest(ctx, repo, Reference{Digest: job.Digest})
		if fault.Is(err, "ImageNotFound") || fault.Is(err, "ImageArchived") {
			return nil
		}
		if err != nil {
			return err
		}
		out := scanOutcome{repo: repo, digest: m.Digest, version: version[0]}
		if err := s.readImage(ctx, repo, m, &out); err != nil {
			if run.Attempt < scanAttempts || ctx.Err() != nil {
				return fmt.Errorf("scan %s@%s: %w", repo.ID.Name, m.Digest, err)
			}
			out.state, out.reason = scanFailed, "The scan failed for a reason that is not the image's. Ask the operator of this server to look at the failed work, or push the image again."
			return errors.Join(err, s.finishScan(ctx, out))
		}
		return s.finishScan(ctx, out)
	})(ctx, run)
}

// A scanOutcome is the result of a scan.
type scanOutcome struct {
	repo      *Repository
	digest    digest.Digest
	version   int64
	state     string
	reason    string
	inventory *inventory.Inventory // nil if it failed
}

// readImage finds what is installed in an image.
func (s *Service) readImage(ctx context.Context, repo *Repository, m *Manifest, out *scanOutcome) error {
	layers, ok := scannedLayers(m)
	if !ok {
		out.state, out.reason = scanUnsupported, "The image has no layers of files."
		return nil
	}
	if s.scanner.Reader == nil {
		return errors.New("this server scans no images")
	}
	var list []scanworker.Layer
	var elsewhere []string
	for _, l := range layers {
		location, err := s.locate(ctx, repo, l.digest)
		if fault.Is(err, "BlobNotFound") && l.foreign {
			elsewhere = append(elsewhere, "the layer "+string(l.digest)+" is not stored here")
			continue
		}
		if fault.Is(err, "BlobNotFound") {
			out.state, out.reason = scanFailed, "The layer "+string(l.digest)+" is lost or damaged. Push the image again."
			return nil
		}
		if err != nil {
			return err
		}
		list = append(list, scanworker.Layer{Digest: string(l.digest), Size: location.size, Open: func(ctx context.Context) (io.ReadCloser, error) {
			_, o, err := s.openIntact(ctx, repo, l.digest)
			return o, err
		}})
	}
	found, err := s.scanner.Reader.Read(ctx, list)
	if reason, ok := isImageError(err); ok {
		out.state, out.reason = scanFailed, reason
		return nil
	}
	if err != nil {
		return err
	}
	found.Unread = append(elsewhere, found.Unread...)
	out.inventory, out.state = found, scanComplete
	if len(found.Packages) == 0 {
		out.state, out.reason = scanUnsupported, unsupported(found)
	}
	return nil
}

// unsupported says why nothing was found in an image.
func unsupported(found *inventory.Inventory) string {
	text := "No packages were found that this server can compare with advisories."
	if found.System.Name != "" {
		text += " The image's operating system is " + found.System.Name + "."
	}
	for _, unread := range found.Unread {
		text += " Not read: " + unread + "."
	}
	return text
}

// finishScan stores the outcome of a scan, unless another one was requested meanwhile, and
// tells about it.
func (s *Service) finishScan(ctx context.Context, out scanOutcome) error {
	var stored []byte
	var findings []vulnerability.Finding
	if out.inventory != nil {
		var err error
		if stored, err = pack(out.inventory); err != nil {
			return err
		}
		findings = vulnerability.Match(out.inventory, s.scanner.Advisories)
	}
	counts := vulnerability.Counts(findings)
	now := s.now().UTC().Truncate(time.Microsecond)
	seen, err := pack(observe(findings, nil, now))
	if err != nil {
		return err
	}
	if err := s.recordService(ctx, "ImageScanned", out.repo, map[string]any{"imageDigest": string(out.digest), "result": out.state, "reason": out.reason, "findingSeverityCounts": counts}); err != nil {
		return err
	}
	return s.forgetScanned(ctx, out.repo, out.digest, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE image_scan SET state = $4, reason = $5, completed = $6, counts = $7, seen = $8, inventory = $9 WHERE repository = $1 AND digest = $2 AND version = $3`,
			out.repo.row, string(out.digest), out.version, out.state, out.reason, db.Micros(now), countsText(counts), seen, stored)
		if err != nil || n == 0 {
			return err
		}
		return s.announceScan(ctx, tx, out.repo, out.digest, out.state, counts, now)
	})
}

// pack makes compressed JSON.
func pack(v any) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := json.NewEncoder(z).Encode(v); err != nil {
		return nil, err
	}
	err := z.Close()
	return b.Bytes(), err
}

// maxPacked is the size of the largest text that unpack returns: more than a scan answers.
const maxPacked = 64 << 20

func unpack(b []byte, v any) error {
	if len(b) == 0 {
		return nil
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return err
	}
	return json.NewDecoder(io.LimitReader(z, maxPacked)).Decode(v)
}

// observe returns when each of the findings was seen first, by its key: now, unless it was
// among those of before.
func observe(findings []vulnerability.Finding, before map[string]int64, now time.Time) map[string]int64 {
	seen := make(map[string]int64, len(findings))
	for i := range findings {
		key := findings[i].Key()
		if at, ok := before[key]; ok {
			seen[key] = at
		} else {
			seen[key] = db.Micros(now)
		}
	}
	return seen
}

func countsText(counts map[string]int32) string {
	text, err := json.Marshal(counts)
	if err != nil {
		panic(err) // a map of numbers
	}
	return string(text)
}
