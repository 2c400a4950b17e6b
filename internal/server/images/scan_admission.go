package images

import (
	"context"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/vulnerability"
)

// The value of gatehouse:ScanSeverity is kept with the manifest in the cache, for one revision
// of the advisories. A scan that ends drops the manifest from the cache, and the indexes that
// list it.

// A scanSeverity is the value for one image.
type scanSeverity struct {
	advisories uint64 // the revision
	value      vulnerability.Rating
}

// maxRatedImages is of how many scanned images of an index the ratings are compared.
const maxRatedImages = 100

// ratingOf returns how bad the findings of an image are. An index has the rating of its least
// severe image: it holds no packages itself, and whoever pulls one of its images is decided
// about again.
func (s *Service) ratingOf(ctx context.Context, repo *Repository, m *Manifest) (vulnerability.Rating, error) {
	revision := s.scanner.Advisories.Revision()
	if known := m.severity.Load(); known != nil && known.advisories == revision {
		return known.value, nil
	}
	which := `digest = $2`
	if m.MediaType == ocispec.MediaTypeImageIndex || m.MediaType == mediaTypeDockerList {
		which = `digest IN (SELECT digest FROM image_reference WHERE repository = $1 AND manifest = $2)`
	}
	rows, err := db.All(ctx, s.db, readStoredScan, `SELECT `+scanColumns+` FROM image_scan WHERE repository = $1 AND completed > 0 AND `+which+` ORDER BY digest LIMIT $3`, repo.row, string(m.Digest), maxRatedImages)
	if err != nil {
		return vulnerability.Unrated, err
	}
	least := vulnerability.Unrated
	for _, row := range rows {
		found, err := s.findingsOf(ctx, repo, row)
		if err != nil {
			return vulnerability.Unrated, err
		}
		if least == vulnerability.Unrated || found.rating != vulnerability.Unrated && found.rating < least {
			least = found.rating
		}
	}
	m.severity.Store(&scanSeverity{revision, least})
	return least, nil
}

// forgetScanned runs a transaction that stores the outcome of a scan, and drops from the
// caches what is decided by it.
func (s *Service) forgetScanned(ctx context.Context, repo *Repository, d digest.Digest, run func(*db.Tx) error) error {
	var manifests []digest.Digest
	return s.changeCached(ctx, func(tx *db.Tx) ([]string, error) {
		if err := run(tx); err != nil {
			return nil, err
		}
		indexes, err := db.All(ctx, tx, db.Scalar[digest.Digest], `SELECT manifest FROM image_reference WHERE repository = $1 AND digest = $2`, repo.row, string(d))
		manifests = append(indexes, d)
		var keys []string
		for _, d := range manifests {
			keys = append(keys, rowKey(manifestKey, repo.row, string(d)))
		}
		return keys, err
	}, func() {
		for _, d := range manifests {
			s.manifests.Drop(digestKey{repo.row, d})
		}
	})
}
