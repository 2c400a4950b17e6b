package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/gatehouse-registry/gatehouse/internal/server/consistency"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/inventory"
)

// scans checks that what scans have stored can be read.
func (c *checker) scans() error {
	type row struct {
		key             digestKey
		id              RepositoryID
		counts          string
		inventory, seen []byte
	}
	for last := (digestKey{repository: -1 << 63}); ; {
		page, err := db.All(c.ctx, c.q, func(r db.Row) (v row, err error) {
			err = r.Scan(&v.key.repository, &v.key.digest, &v.id.Account, &v.id.Region, &v.id.Name, &v.counts, &v.inventory, &v.seen)
			return v, err
		}, `SELECT s.repository, s.digest, r.account, r.region, r.name, s.counts, s.inventory, s.seen FROM image_scan s JOIN image_repository r ON r.id = s.repository
			WHERE (s.repository, s.digest) > ($1, $2) ORDER BY s.repository, s.digest LIMIT $3`, last.repository, string(last.digest), checkManifests)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, v := range page {
			last = v.key
			err := errors.Join(unpack(v.inventory, new(inventory.Inventory)), unpack(v.seen, new(map[string]int64)))
			if v.counts != "" {
				err = errors.Join(err, json.Unmarshal([]byte(v.counts), new(map[string]int32)))
			}
			if err == nil {
				continue
			}
			f := consistency.Finding{
				Severity: consistency.Problem, Kind: "bad-scan", Subject: v.id.ARN() + "@" + string(v.key.digest),
				Message: fmt.Sprintf("The result of the scan of the image cannot be read: %v.", err),
				Advice:  "Run gatehouse verify --repair while the server is stopped, and scan the image again.",
			}
			key := v.key
			f.Fix = &consistency.Fix{Name: "forget the scan", Run: func(ctx context.Context, d *db.DB) error {
				return d.Tx(ctx, func(tx *db.Tx) error {
					_, err := tx.Exec(ctx, `DELETE FROM image_scan WHERE repository = $1 AND digest = $2`, key.repository, string(key.digest))
					return err
				})
			}}
			if err := c.Report(f); err != nil {
				return err
			}
		}
	}
}
