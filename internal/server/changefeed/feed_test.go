package changefeed_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed/changefeedtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
)

// A server is a domain that keeps named numbers in a table, and all of them in memory.
type server struct {
	*changefeed.Feed
	*changefeedtest.Line
	t       testing.TB
	db      *db.DB
	turn    changefeed.Turn
	stop    func()
	mu      sync.Mutex
	numbers map[string]int64
	reloads int
}

const scope = "numbers"

var migration = db.Migration{Name: "numbers/001", SQL: `CREATE TABLE number (name {text} NOT NULL PRIMARY KEY, n {int} NOT NULL)`}

// start returns a server that uses its feed.
func start(t testing.TB, d *db.DB, f *changefeed.Feed, l *changefeedtest.Line) *server {
	t.Helper()
	s := &server{Feed: f, Line: l, t: t, db: d, turn: changefeed.NewTurn()}
	s.ok(d.Migrate(t.Context(), migration))
	f.Follow(scope, s)
	s.ok(s.Reload(t.Context()))
	s.stop = changefeedtest.Run(t, f)
	return s
}

// servers returns n servers on a database.
func servers(t testing.TB, d *db.DB, n int) (all []*server) {
	t.Helper()
	feeds, lines := changefeedtest.Servers(t, d, n)
	for i := range feeds {
		all = append(all, start(t, d, feeds[i], lines[i]))
	}
	return all
}

func (s *server) ok(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) Apply(ctx context.Context, keys []string) error {
	s.ok(s.turn.Lock(ctx))
	defer s.turn.Unlock()
	for _, name := range keys {
		n, err := db.One(ctx, s.db, db.Scalar[int64], `SELECT n FROM number WHERE name = $1`, name)
		if err != nil && !errors.Is(err, db.ErrNoRows) {
			return err
		}
		s.set(name, n)
	}
	return nil
}

func (s *server) Reload(ctx context.Context) error {
	type row struct {
		name string
		n    int64
	}
	rows, err := db.All(ctx, s.db, func(r db.Row) (v row, err error) {
		err = r.Scan(&v.name, &v.n)
		return v, err
	}, `SELECT name, n FROM number`)
	s.mu.Lock()
	s.numbers = map[string]int64{}
	s.reloads++
	s.mu.Unlock()
	for _, r := range rows {
		s.set(r.name, r.n)
	}
	return err
}

func (s *server) set(name string, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.numbers[name] = n
}

func (s *server) get(name string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.numbers[name]
}

func (s *server) all() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.numbers)
}

// write sets a number, at this server.
func (s *server) write(name string, n int64) error {
	return s.Make(s.t.Context(), s.change(name, n, nil))
}

// change is a change of a number. during, which may be nil, runs in its transaction.
func (s *server) change(name string, n int64, during func(*db.Tx) error) changefeed.Change {
	ctx := s.t.Context()
	return changefeed.Change{
		Scope: scope, Turn: &s.turn,
		Run: func(tx *db.Tx) ([]string, error) {
			_, err := tx.Exec(ctx, `INSERT INTO number (name, n) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET n = excluded.n`, name, n)
			if err == nil && during != nil {
				err = during(tx)
			}
			return []string{name}, err
		},
		Publish: func() { s.set(name, n) },
	}
}

// After the answer of a change, every server has it.
func TestMake_Property(t *testing.T) {
	all := servers(t, dbtest.Open(t), 3)
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom(all).Draw(t, "server")
		name, n := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name"), rapid.Int64().Draw(t, "number")
		if err := s.write(name, n); err != nil {
			t.Fatal(err)
		}
		for i, other := range all {
			if got := other.get(name); got != n {
				t.Fatalf("server %d has %d, want %d", i, got, n)
			}
		}
	})
}

// Changes that are made at the same time end in the same state on every server.
func TestMake_Concurrent(t *testing.T) {
	all := servers(t, dbtest.Open(t), 3)
	var writers sync.WaitGroup
	for i := range 60 {
		writers.Go(func() {
			if err := all[i%3].write(fmt.Sprint("number-", i%7), int64(i)); err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	want := all[0].all()
	fresh := map[string]int64{}
	rows, err := db.All(t.Context(), all[0].db, db.Scalar[string], `SELECT name FROM number`)
	all[0].ok(err)
	for _, name := range rows {
		n, err := db.One(t.Context(), all[0].db, db.Scalar[int64], `SELECT n FROM number WHERE name = $1`, name)
		all[0].ok(err)
		fresh[name] = n
	}
	if !maps.Equal(want, fresh) {
		t.Errorf("server 0 has %v, the database %v", want, fresh)
	}
	for i, s := range all[1:] {
		if got := s.all(); !maps.Equal(got, want) {
			t.Errorf("server %d has %v, server 0 has %v", i+1, got, want)
		}
	}
}

// What the transaction refuses changes nothing, and is not waited for.
func TestMake_Refused(t *testing.T) {
	s := servers(t, dbtest.Open(t), 2)[0]
	refusal := errors.New("refused")
	err := s.Make(t.Context(), s.change("a", 1, func(*db.Tx) error { return refusal }))
	if !errors.Is(err, refusal) || changefeed.PerhapsMade(err) {
		t.Errorf("the error is %v, PerhapsMade %v", err, changefeed.PerhapsMade(err))
	}
	if got := s.get("a"); got != 0 {
		t.Errorf("the number is %d", got)
	}
}

var errLost = errors.New("connection reset")

// lose makes a crossing fail.
func (s *server) lose(crossings ...string) {
	s.On(func(name string) error {
		for _, c := range crossings {
			if c == name {
				return errLost
			}
		}
		return nil
	})
}

// The feed says what became of a commit whose answer was lost.
func TestMake_AnswerLost(t *testing.T) {
	all := servers(t, dbtest.Open(t), 2)
	a, b := all[0], all[1]
	a.lose("commit answered")
	if err := a.write("a", 1); err != nil {
		t.Errorf("a change that was committed: %v", err)
	}
	if a.get("a") != 1 || b.get("a") != 1 {
		t.Errorf("the servers have %d and %d, want 1", a.get("a"), b.get("a"))
	}
	a.lose("commit")
	if err := a.write("a", 2); !errors.Is(err, errLost) || !changefeed.PerhapsMade(err) {
		t.Errorf("a change that was not committed: %v", err)
	}
	if a.get("a") != 1 || b.get("a") != 1 {
		t.Errorf("the servers have %d and %d, want 1", a.get("a"), b.get("a"))
	}
}

// A server that is alone decides nothing while it does not know what became of its
// own change.
func TestMake_AnswerLostAlone(t *testing.T) {
	d := dbtest.Open(t)
	l := changefeedtest.NewLine(d, nil)
	f, err := changefeed.New(t.Context(), changefeed.Config{DB: d, Store: l, Alone: true})
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, d, f, l)
	s.ok(s.Ready())
	s.lose("commit answered", "finished")
	if err := s.write("a", 1); !errors.Is(err, errLost) || !changefeed.PerhapsMade(err) {
		t.Errorf("the error is %v", err)
	}
	if s.Ready() == nil {
		t.Error("the server decides by what may be out of date")
	}
	s.lose()
	for s.Ready() != nil {
		if t.Context().Err() != nil {
			t.Fatal("it never decides again")
		}
	}
	if got := s.get("a"); got != 1 {
		t.Errorf("the number is %d, want 1", got)
	}
}
