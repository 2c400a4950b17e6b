package images_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// results returns the results of a backfill, page by page: "REPOSITORY TAG STATUS CODE".
func (s *store) results(t *testing.T, id, status string) (out []string) {
	t.Helper()
	var last images.BackfillResult
	for more := true; more; {
		var page []images.BackfillResult
		var err error
		if _, page, more, err = s.ReplicationBackfillResults(t.Context(), home, id, status, last, 2); err != nil {
			t.Fatal(err)
		}
		for _, r := range page {
			out = append(out, strings.TrimSpace(r.Repository+" "+r.Tag+" "+r.Status+" "+r.Code))
			last = r
		}
	}
	slices.Sort(out)
	return out
}

func (s *store) startBackfill(t *testing.T, to images.RegistryID) images.Backfill {
	t.Helper()
	b, err := s.StartReplicationBackfill(t.Context(), home, to)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *store) backfill(t *testing.T, id string) images.Backfill {
	t.Helper()
	b, _, _, err := s.ReplicationBackfillResults(t.Context(), home, id, "", images.BackfillResult{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A backfill copies what was there before the rule, and each tag is a result.
func TestReplicationBackfill(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.create(t, named("other"))
	s.pushImage(t, app, "one", "v1", "latest")
	bad := s.pushImage(t, app, "bad", "bad")
	s.damageObject(t, "layer of bad", damages["missing"])
	s.pushImage(t, app, "untagged")
	s.pushImage(t, named("other"), "two", "v2")
	s.setReplication(t, images.ReplicationRule{Destinations: []images.RegistryID{west, guest}, Prefixes: []string{"team/"}})
	_, err := s.StartReplicationBackfill(t.Context(), home, images.RegistryID{Account: app.Account, Region: "eu-west-1"})
	wantFault(t, err, "InvalidParameter")
	b := s.startBackfill(t, west)
	if b.Status != images.BackfillPreparing || b.Prepared {
		t.Errorf("%+v", b)
	}
	_, err = s.StartReplicationBackfill(t.Context(), home, west)
	wantFault(t, err, "ReplicationBackfillInProgress")
	s.startBackfill(t, guest)
	if got := s.results(t, b.ID, ""); got != nil {
		t.Errorf("results before the end: %q", got)
	}
	s.runDue(t)
	b = s.backfill(t, b.ID)
	if b.Status != images.BackfillComplete || b.Total != 4 || b.Completed != 3 || b.Failed != 1 || fmt.Sprint(b.Codes) != "[SourceImageUnavailable]" || b.Ended.IsZero() {
		t.Errorf("%+v", b)
	}
	if got, want := s.results(t, b.ID, ""), []string{"team/app  COMPLETE", "team/app bad FAILED SourceImageUnavailable", "team/app latest COMPLETE", "team/app v1 COMPLETE"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := s.results(t, b.ID, "FAILED"); len(got) != 1 {
		t.Errorf("%q", got)
	}
	if err := s.DeleteImage(t.Context(), app, images.Reference{Digest: bad}); err != nil {
		t.Fatal(err)
	}
	s.wantReplica(t, app, west)
	s.wantReplica(t, app, guest)
	if _, err := s.StopReplicationBackfill(t.Context(), home, b.ID); err == nil {
		t.Error("it was stopped after its end")
	} else {
		wantFault(t, err, "ReplicationBackfillInvalidStatus")
	}
	list, more, err := s.ReplicationBackfills(t.Context(), home, images.Backfill{}, 1)
	if err != nil || len(list) != 1 || !more {
		t.Fatal(list, more, err)
	}
	if rest, more, err := s.ReplicationBackfills(t.Context(), home, list[0], 1); err != nil || len(rest) != 1 || more || rest[0].ID == list[0].ID {
		t.Error(rest, more, err)
	}
	s.clock.advance(91 * day)
	s.runDue(t)
	if list, _, err := s.ReplicationBackfills(t.Context(), home, images.Backfill{}, 10); err != nil || len(list) != 0 {
		t.Error(list, err)
	}
	_, err = s.StopReplicationBackfill(t.Context(), home, b.ID)
	wantFault(t, err, "ReplicationBackfillNotFound")
}

// A backfill that is stopped while it prepares copies nothing, and another one can begin.
func TestReplicationBackfill_Stop(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.pushImage(t, app, "one", "v1")
	s.setReplication(t, rule(west))
	b := s.startBackfill(t, west)
	if stopped, err := s.StopReplicationBackfill(t.Context(), home, b.ID); err != nil || stopped.Status != images.BackfillStopped {
		t.Fatal(stopped, err)
	}
	s.runDue(t)
	if _, err := s.DescribeRepository(t.Context(), copyOf(app, west)); err == nil {
		t.Error("it copied an image")
	}
	again := s.startBackfill(t, west)
	s.runDue(t)
	s.wantReplica(t, app, west)
	if got := s.backfill(t, again.ID); got.Status != images.BackfillComplete || got.Completed != 1 {
		t.Errorf("%+v", got)
	}
}

// The process is killed at each step of a backfill, which goes on after the restart.
func TestReplicationBackfill_KilledAtAnyStep(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	for step, survived := 1, false; !survived; step++ {
		s.setReplication(t)
		s.pushImage(t, app, fmt.Sprint("a", step), fmt.Sprint("a", step))
		s.pushImage(t, app, fmt.Sprint("b", step))
		s.setReplication(t, rule(west))
		b := s.startBackfill(t, west)
		m := &killableStore{left: step}
		dying := openStore(t, s.dir, s.clock, func(b blob.Store) blob.Store { m.Store = b; return m })
		dying.onAudit = m.step
		payload, err := db.One(t.Context(), s.db, db.Scalar[[]byte], `SELECT payload FROM work WHERE kind = 'images/replication-backfill'`)
		if err != nil {
			t.Fatal(err)
		}
		survived = live(func() {
			for _, k := range dying.ReplicationWork() {
				if k.Name != "images/replication-backfill" {
					continue
				}
				if err := k.Run(t.Context(), work.Run{Payload: payload, Attempt: 1}); err != nil {
					t.Fatal(err)
				}
			}
		})
		s = openStore(t, s.dir, s.clock, same)
		s.runDue(t)
		s.wantReplica(t, app, west)
		if got := s.backfill(t, b.ID); got.Status != images.BackfillComplete || got.Total != int64(2*step) || got.Completed != got.Total || got.Failed != 0 {
			t.Errorf("step %d: %+v", step, got)
		}
		s.clock.advance(1)
		if step > 100 {
			t.Fatal("it is never done")
		}
	}
}

// An image that cannot be copied now does not hold up the others.
func TestReplicationBackfill_FailingImage(t *testing.T) {
	s := newStore(t)
	large, small := named("a/large"), named("b/small") // in the order of the copies
	s.create(t, large)
	s.create(t, small)
	s.put(t, large, manifest("config", s.push(t, large, strings.Repeat("l", 300)), "layers", []any{}))
	d := s.put(t, small, manifest("config", s.push(t, small, "small"), "layers", []any{}))
	s.setReplication(t, rule(west))
	b := s.startBackfill(t, west)
	payload, err := db.One(t.Context(), s.db, db.Scalar[[]byte], `SELECT payload FROM work WHERE kind = 'images/replication-backfill'`)
	if err != nil {
		t.Fatal(err)
	}
	run := func() error {
		for _, k := range s.ReplicationWork() {
			if k.Name == "images/replication-backfill" {
				return k.Run(t.Context(), work.Run{Payload: payload, Attempt: 1})
			}
		}
		return nil
	}
	s.withQuotas(t, images.Quotas{RepositoryBytes: 200})
	wantFault(t, run(), "RepositoryFull")
	if _, err := s.Manifest(t.Context(), copyOf(small, west), images.Reference{Digest: d}); err != nil {
		t.Error("the image after the one that does not fit:", err)
	}
	s.withQuotas(t, images.Quotas{})
	if err := run(); err != nil {
		t.Fatal(err)
	}
	if got := s.backfill(t, b.ID); got.Status != images.BackfillComplete || got.Completed != 2 {
		t.Errorf("%+v", got)
	}
}
