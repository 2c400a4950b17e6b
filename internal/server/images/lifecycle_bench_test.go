package images_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// The memory of an evaluation does not depend on the number of images. The statements that
// insert the images are SQLite's.
func BenchmarkLifecyclePreview(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := newStore(b)
			s.create(b, app)
			s.insertImages(b, n)
			s.clock.advance(time.Hour)
			s.setLifecycle(b, keepNewest("v*", n-10))
			b.ResetTimer()
			for range b.N {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				if _, err := s.StartLifecyclePreview(b.Context(), app, nil); err != nil {
					b.Fatal(err)
				}
				s.runDue(b)
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(int64(after.HeapSys)-int64(before.HeapSys))/(1<<20), "MiB-more-heap")
				p, _, _, err := s.LifecyclePreview(b.Context(), app, images.PreviewQuery{Tags: images.AnyTagStatus, Limit: 1})
				if err != nil || p.State != images.PreviewComplete || p.Expiring != 10 {
					b.Fatalf("%+v, %v", p, err)
				}
			}
		})
	}
}

// insertImages inserts n tagged images without layers.
func (s *store) insertImages(b *testing.B, n int) {
	b.Helper()
	now := db.Micros(s.clock.now())
	for _, statement := range []string{
		`INSERT INTO image_manifest (repository, digest, media_type, artifact_type, subject, annotations, size, pushed, pulled, body)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $2)
			SELECT r.id, 'sha256:' || substr('0000000000000000000000000000000000000000000000000000000000000000' || i, -64), 'application/vnd.oci.image.manifest.v1+json', '', '', '', 1, $1 + i, 0, CAST('{}' AS BLOB) FROM image_repository r, n`,
		`INSERT INTO image_tag (repository, tag, digest) SELECT repository, 'v' || ($1 + $2 - pushed), digest FROM image_manifest`,
	} {
		if err := s.db.Tx(b.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(b.Context(), statement, now, n)
			return err
		}); err != nil {
			b.Fatal(err)
		}
	}
}
