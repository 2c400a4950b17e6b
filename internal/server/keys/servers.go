package keys

import (
	"context"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A report says which revision of the keyring a server has loaded.
type report struct {
	id, host string
	revision int64
	n        int64 // grows with each report of the server
	seen     time.Time
}

// servers is the table in which the servers of a database report.
type servers struct{ db *db.DB }

func (s servers) report(ctx context.Context, r report) error {
	return s.db.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO keyring_server (id, host, revision, report, seen) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, report = excluded.report, seen = excluded.seen`,
			r.id, r.host, r.revision, r.n, db.Micros(r.seen))
		return err
	})
}

func (s servers) all(ctx context.Context) ([]report, error) {
	return db.All(ctx, s.db, func(row db.Row) (r report, err error) {
		var seen int64
		err = row.Scan(&r.id, &r.host, &r.revision, &r.n, &seen)
		r.seen = db.Time(seen)
		return r, err
	}, `SELECT id, host, revision, report, seen FROM keyring_server ORDER BY host, id`)
}

// forget takes a server out, unless it has reported anew.
func (s servers) forget(ctx context.Context, r report) error {
	return s.db.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM keyring_server WHERE id = $1 AND report = $2`, r.id, r.n)
		return err
	})
}

// settle waits until every other server has loaded a revision, and returns those that
// have not when ctx ends. A server that did not report for a whole lease, measured
// here, is taken out: it has stopped, or refuses every request until it has loaded the
// newest revision. An error of the database changes nothing: leases end all the same,
// and who is there is read again.
func (s servers) settle(ctx context.Context, revision int64, self string, lease, every time.Duration) []report {
	type sighting struct {
		n  int64
		at time.Time
	}
	first := map[string]sighting{}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var behind []report
	for {
		all, err := s.all(ctx)
		if err == nil {
			behind = nil
			for _, r := range all {
				if r.id == self || r.revision >= revision {
					continue
				}
				seen, ok := first[r.id]
				if !ok || seen.n != r.n {
					seen = sighting{r.n, time.Now()}
					first[r.id] = seen
				}
				if time.Since(seen.at) >= lease && s.forget(ctx, r) == nil {
					continue
				}
				behind = append(behind, r)
			}
			if len(behind) == 0 {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if err != nil && behind == nil {
				return []report{{host: "unknown, since the database does not answer"}}
			}
			return behind
		}
	}
}
