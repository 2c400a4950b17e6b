//go:build stores

package changefeed_test

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed/changefeedtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/postgres"
)

// onPostgres returns n servers as processes have them: each with connections of its
// own, and with nothing else in common.
func onPostgres(t testing.TB, n int) (all []*server, url string) {
	t.Helper()
	url = dbtest.Schema(t)
	for range n {
		d, err := postgres.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		f, err := changefeed.New(t.Context(), changefeed.Config{DB: d})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, start(t, d, f, new(changefeedtest.Line)))
	}
	return all, url
}

func (s *server) wants(name string, n int64) {
	s.t.Helper()
	if got := s.get(name); got != n {
		s.t.Errorf("%s is %d, want %d", name, got, n)
	}
}

// A change of three idle servers takes a few milliseconds.
func TestPostgres_Settle(t *testing.T) {
	all, _ := onPostgres(t, 3)
	var times []time.Duration
	for i := range int64(100) {
		times = append(times, took(t, func() error { return all[i%3].write("a", i) }))
		for _, s := range all {
			s.wants("a", i)
		}
	}
	slices.Sort(times)
	t.Logf("median %v, 90%% %v, longest %v", times[50], times[90], times[99])
	// The machine of the tests may be loaded. Without wake-ups it would be 100 ms.
	if times[50] > 80*time.Millisecond {
		t.Errorf("the median is %v", times[50])
	}
}

// A transaction may be committed after one with a higher position that was read already.
func TestPostgres_LateCommit(t *testing.T) {
	all, _ := onPostgres(t, 3)
	hold, positioned, done := make(chan struct{}), make(chan struct{}, 20), make(chan error, 1)
	late := all[0].change("late", 1, func(tx *db.Tx) error {
		_, err := tx.Position(t.Context())
		positioned <- struct{}{}
		<-hold
		return err
	})
	late.Turn = nil // with it, the server could not apply the changes of others meanwhile
	go func() { done <- all[0].Make(t.Context(), late) }()
	<-positioned
	for i := range int64(10) {
		if took := took(t, func() error { return all[1].write("early", i) }); took > time.Second {
			t.Errorf("a change takes %v while another transaction is open", took)
		}
		all[2].wants("early", i)
	}
	close(hold)
	all[0].ok(<-done)
	for _, s := range all {
		s.wants("late", 1)
	}
}

// A transaction of someone else on the same PostgreSQL must not make changes slow.
func TestPostgres_HorizonHeldBack(t *testing.T) {
	all, url := onPostgres(t, 2)
	other, err := pgx.Connect(t.Context(), url)
	all[0].ok(err)
	defer other.Close(t.Context())
	for _, statement := range []string{`BEGIN`, `SELECT pg_current_xact_id()`} {
		_, err := other.Exec(t.Context(), statement)
		all[0].ok(err)
	}
	for i := range int64(10) {
		if took := took(t, func() error { return all[i%2].write("a", i) }); took > time.Second {
			t.Errorf("a change takes %v", took)
		}
		for _, s := range all {
			s.wants("a", i)
		}
	}
}

// Servers find each other again after all their connections were lost.
func TestPostgres_ConnectionsLost(t *testing.T) {
	all, url := onPostgres(t, 2)
	other, err := pgx.Connect(t.Context(), url)
	all[0].ok(err)
	defer other.Close(t.Context())
	for i := range int64(5) {
		_, err := other.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%change_%' OR query LIKE 'LISTEN%'`)
		all[0].ok(err)
		for all[i%2].write("a", i) != nil {
			if t.Context().Err() != nil {
				t.Fatal("no change succeeds any more")
			}
		}
		for _, s := range all {
			s.wants("a", i)
		}
	}
}
