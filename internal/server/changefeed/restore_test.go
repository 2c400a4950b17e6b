package changefeed_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed/changefeedtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A cluster is what a restore changes about a database besides its rows.
// The servers read it while the test changes it.
type cluster struct{ state atomic.Pointer[clusterState] }

type clusterState struct {
	ahead       int64 // how much higher positions are than those of the test's database
	incarnation string
}

func (c *cluster) ahead() int64 { return c.state.Load().ahead }

// onCluster is the store of a server on a cluster.
type onCluster struct {
	*changefeedtest.Line
	*cluster
}

func (s onCluster) Finished(ctx context.Context) (db.Finished, error) {
	f, err := s.Line.Finished(ctx)
	f.Below += s.ahead()
	return f, err
}

func (s onCluster) Incarnation(context.Context) (string, error) {
	return s.state.Load().incarnation, nil
}

func (s onCluster) Record(ctx context.Context, tx *db.Tx, e changefeed.Entry) (int64, error) {
	n, err := s.Line.Record(ctx, tx, e)
	n += s.ahead()
	if err == nil {
		_, err = tx.Exec(ctx, `UPDATE change_feed SET position = $1 WHERE id = $2`, n, e.ID)
	}
	return n, err
}

// onClusters returns two servers on a cluster whose positions are high.
func onClusters(t *testing.T, d *db.DB) (*cluster, []*server) {
	c, bus := new(cluster), new(changefeedtest.Bus)
	c.state.Store(&clusterState{ahead: 1_000_000, incarnation: "first"})
	var all []*server
	for range 2 {
		l := changefeedtest.NewLine(d, bus)
		f, err := changefeed.New(t.Context(), changefeed.Config{DB: d, Store: onCluster{l, c}})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, start(t, d, f, l))
	}
	pass(3 * time.Second)
	return c, all
}

// lost undoes a change behind the servers' backs, as a restore does.
func lost(t *testing.T, d *db.DB, statements ...string) {
	t.Helper()
	err := d.Tx(t.Context(), func(tx *db.Tx) (err error) {
		for _, s := range statements {
			_, e := tx.Exec(t.Context(), s)
			err = errors.Join(err, e)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// check makes a change and expects that every server has it and nothing that was lost.
func (s *server) check(t *testing.T, all []*server) {
	t.Helper()
	s.ok(s.write("new", 7))
	for i, other := range all {
		if got := other.get("new"); other.Ready() == nil && got != 7 {
			t.Errorf("server %d decides with %d, want 7", i, got)
		}
	}
	pass(3 * time.Second)
	for i, other := range all {
		s.ok(other.Ready())
		if got, old := other.get("new"), other.get("lost"); got != 7 || old != 0 {
			t.Errorf("server %d has %d and %d, want 7 and 0", i, got, old)
		}
		other.stop()
	}
}

// A backup is restored to another PostgreSQL, whose transactions have lower numbers
// than the rows of the feed and the horizons of the readers.
func TestFeed_RestoredToNewCluster(t *testing.T) {
	withTime(t, func(t *testing.T, d *db.DB) {
		c, all := onClusters(t, d)
		all[0].ok(all[0].write("lost", 1))
		pass(3 * time.Second)
		c.state.Store(&clusterState{incarnation: "second"})
		lost(t, d, `DELETE FROM number`)
		all[0].check(t, all)
	})
}

// A standby takes over that lacks the last change, and goes on with higher positions.
func TestFeed_LaggingStandby(t *testing.T) {
	withTime(t, func(t *testing.T, d *db.DB) {
		c, all := onClusters(t, d)
		all[0].ok(all[0].write("lost", 1))
		c.state.Store(&clusterState{ahead: c.ahead() + 1000, incarnation: "standby"})
		lost(t, d, `DELETE FROM number`)
		pass(3 * time.Second)
		all[0].check(t, all)
	})
}

// An older state is restored in place: only the numbers of the reports tell.
func TestFeed_RestoredInPlace(t *testing.T) {
	withTime(t, func(t *testing.T, d *db.DB) {
		_, all := onClusters(t, d)
		all[0].ok(all[0].write("lost", 1))
		pass(3 * time.Second)
		lost(t, d, `DELETE FROM number`, `UPDATE change_reader SET report = report - 1`)
		pass(3 * time.Second)
		all[0].check(t, all)
	})
}
