package iam_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/authn"
	"github.com/gatehouse-registry/gatehouse/internal/authz"
	"github.com/gatehouse-registry/gatehouse/internal/db"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/iam"
	"github.com/gatehouse-registry/gatehouse/internal/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/token"
)

const lease = iam.DefaultLease

// A cluster is a database with several servers on it, in a bubble: time passes
// where a test lets it pass, and then everything that is due has happened.
type cluster struct {
	t       testing.TB
	file    string
	keyring *token.Keyring
	replicas
}

type replicas []*server

// A server is a replica with a line to the others that can be disturbed.
type server struct {
	*iam.Service
	authn *authn.Authenticator
	db    *db.DB
	ctx   context.Context // of its first admin
	stop  context.CancelFunc
	ended chan struct{}

	mu   sync.Mutex
	cut  bool          // the line is
	hold chan struct{} // whoever crosses the line waits until it is closed; nil: nobody
	free int           // crossings before that
	at   func(crossing string) error
}

var errCut = errors.New("no route to the database")

// cross is what happens at both ends of the line.
func (s *server) cross(name string) error {
	s.mu.Lock()
	hold, at := s.hold, s.at
	if s.free > 0 {
		s.free--
		hold = nil
	}
	s.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if at != nil {
		return at(name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut {
		return errCut
	}
	return nil
}

func (s *server) setCut(cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = cut
}

// on calls at for each crossing of the line; nil ends that.
func (s *server) on(at func(crossing string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = at
}

// stall makes the line stand still after some more crossings, and lets whoever
// waits there from an earlier call go on.
func (s *server) stall(after int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hold != nil {
		close(s.hold)
	}
	s.hold, s.free = make(chan struct{}), after
}

// flow ends stall.
func (s *server) flow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hold != nil {
		close(s.hold)
	}
	s.hold = nil
}

// bubble runs a test with n replicas.
func bubble(t *testing.T, n int, test func(*testing.T, *cluster)) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{t: t, file: filepath.Join(t.TempDir(), "gatehouse.db")}
		var err error
		c.keyring, err = token.CreateKeyring(filepath.Join(t.TempDir(), "keyring"), time.Now)
		ok(t, err)
		for range n {
			c.replicas = append(c.replicas, c.start())
		}
		test(t, c)
		for _, s := range c.replicas {
			s.stop()
			<-s.ended
			ok(t, s.db.Close())
		}
	})
}

// start starts another server.
func (c *cluster) start() *server {
	c.t.Helper()
	d, err := db.OpenSQLite(c.t.Context(), c.file)
	ok(c.t, err)
	s := &server{db: d}
	s.Service, err = iam.New(c.t.Context(), iam.Config{DB: d, Keyring: c.keyring, Authz: &authz.Authorizer{}, Now: time.Now, Lease: lease})
	ok(c.t, err)
	iam.Disturb(s.Service, s.cross)
	keys, err := s.Bootstrap(c.t.Context(), []string{account})
	ok(c.t, err)
	_, id, _ := s.KeyOwner(keys[0].AccessKeyID)
	s.ctx = authn.WithCaller(c.t.Context(), &authn.Caller{Principal: s.Identity(account, id), Region: iamtest.Region, Time: time.Now()})
	s.authn = authn.New(authn.Config{Directory: s, Keyring: c.keyring, Serves: func(string) bool { return true }, Now: time.Now})
	s.run()
	return s
}

// run lets a server hold its lease, until its stop is called.
func (s *server) run() {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	s.stop, s.ended = stop, ended
	go func() {
		defer close(ended)
		s.Replicate(ctx, slog.New(slog.DiscardHandler))
	}()
}

// kill ends a server as kill -9 does: it renews nothing, and nobody hears of it.
// What it still serves is the worst that could be left of it.
func (s *server) kill() {
	s.setCut(true)
	renewed := iam.Renewed(s.Service)
	s.stop()
	<-s.ended
	s.db.Close() // whatever was going on
	iam.SetRenewed(s.Service, renewed)
}

// pass lets time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// key gives a new user an access key, and returns a token for each of a request's
// ways in.
func (c *cluster) key(name string) (k iam.AccessKey, text string) {
	c.t.Helper()
	s := c.replicas[0]
	u, err := s.CreateUser(s.ctx, iam.NewEntity{Name: name})
	ok(c.t, err)
	_, k, _, err = s.CreateAccessKey(s.ctx, name)
	ok(c.t, err)
	now := time.Now()
	text, err = c.keyring.Mint(token.ECR, token.Claims{
		ID: token.NewID(token.BearerToken), Account: account, PrincipalID: u.ID, AccessKeyID: k.ID, Issued: now, Expires: now.Add(12 * time.Hour), Region: iamtest.Region,
	})
	ok(c.t, err)
	return k, text
}

// open is the answer to a token: "" where it is accepted.
func (s *server) open(text string) string {
	r := httptest.NewRequest(http.MethodGet, "http://registry.example/v2/", nil)
	r.Header.Set("Authorization", "Bearer "+text)
	if _, err := s.authn.Bearer(r, token.ECR); err != nil {
		return code(err)
	}
	return ""
}

// begin makes a change in the background, and returns what it ends with.
func begin(change func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- change() }()
	return done
}

func (c *cluster) revoke(s *server, name string, k iam.AccessKey) <-chan error {
	return begin(func() error { return s.SetAccessKeyActive(s.ctx, name, k.ID, false) })
}

func pending(done <-chan error) bool {
	synctest.Wait()
	return len(done) == 0
}

func TestAChangeIsAnsweredWhenAllHaveIt(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		k, text := c.key("alice")
		for i, s := range c.replicas {
			if got := s.open(text); got != "" {
				t.Fatalf("server %d answers %s to a good token", i, got)
			}
		}
		began := time.Now()
		ok(t, c.replicas[1].SetAccessKeyActive(c.replicas[1].ctx, "alice", k.ID, false))
		if took := time.Since(began); took > time.Second {
			t.Errorf("with everybody there the change took %v", took)
		}
		for i, s := range c.replicas {
			if got := s.open(text); got != "InvalidToken" {
				t.Errorf("after the change was answered, server %d answers %q", i, got)
			}
		}
		ok(t, c.replicas[2].SetAccessKeyActive(c.replicas[2].ctx, "alice", k.ID, true))
		for i, s := range c.replicas {
			if got := s.open(text); got != "" {
				t.Errorf("the key is active again, and server %d answers %q", i, got)
			}
		}
	})
}

// Of servers that make changes at once none waits for the other's end.
func TestChangesDoNotWaitForEachOther(t *testing.T) {
	bubble(t, 2, func(t *testing.T, c *cluster) {
		began := time.Now()
		var all []<-chan error
		for i := range 10 {
			s := c.replicas[i%2]
			all = append(all, begin(func() error {
				_, err := s.CreateUser(s.ctx, iam.NewEntity{Name: fmt.Sprint("user-", i)})
				return err
			}))
		}
		for _, done := range all {
			ok(t, <-done)
		}
		if took := time.Since(began); took >= lease {
			t.Errorf("ten changes at two servers took %v", took)
		}
	})
}

func TestADeadServerDelaysAChangeByALease(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		k, text := c.key("alice")
		dead := c.replicas[2]
		dead.kill()
		began := time.Now()
		done := c.revoke(c.replicas[0], "alice", k)
		pass(lease / 2)
		if !pending(done) {
			t.Fatal("the change did not wait for a server that may still serve")
		}
		if got := dead.open(text); got != "" {
			t.Errorf("within its lease the cut off server answers %q", got)
		}
		if got := c.replicas[1].open(text); got != "InvalidToken" {
			t.Errorf("a server that has the change answers %q", got)
		}
		ok(t, <-done)
		if took := time.Since(began); took > lease+settling {
			t.Errorf("the change took %v, a lease is %v", took, lease)
		}
		if got := dead.open(text); got != "ServiceUnavailable" {
			t.Errorf("after its lease it answers %q", got)
		}
		if n, err := iam.Replicas(t.Context(), c.replicas[0].Service); err != nil || n != 2 {
			t.Errorf("%d servers are waited for, %v, want 2", n, err)
		}
		began = time.Now()
		ok(t, c.replicas[0].SetAccessKeyActive(c.replicas[0].ctx, "alice", k.ID, true))
		if took := time.Since(began); took > time.Second {
			t.Errorf("the next change waited for it again, %v", took)
		}
	})
}

// settling is what looking now and then adds.
const settling = 200 * time.Millisecond

func TestAServerWithoutDatabaseRefusesAndComesBack(t *testing.T) {
	bubble(t, 2, func(t *testing.T, c *cluster) {
		k, revoked := c.key("alice")
		_, other := c.key("bob")
		alone := c.replicas[1]
		alone.setCut(true)
		pass(lease)
		for name, err := range map[string]error{
			"live":     alone.Live(),
			"signed":   second(alone.authn.Signed(httptest.NewRequest(http.MethodPost, "/", nil), "ecr", nil)),
			"admit":    alone.authn.Admit(httptest.NewRequest(http.MethodPost, "/", nil), "ecr"),
			"unsigned": second(alone.authn.Unsigned(httptest.NewRequest(http.MethodPost, "/", nil))),
		} {
			var f *fault.Error
			if !errors.As(err, &f) || f.Kind != fault.Unavailable || f.Code != "ServiceUnavailable" {
				t.Errorf("%s: %v, want a fault ServiceUnavailable", name, err)
			}
		}
		if got := alone.open(other); got != "ServiceUnavailable" {
			t.Errorf("a token is answered with %q", got)
		}
		ok(t, <-c.revoke(c.replicas[0], "alice", k))
		alone.setCut(false)
		pass(time.Second)
		if got := alone.open(other); got != "" {
			t.Errorf("with the database back, a good token is answered with %q", got)
		}
		if got := alone.open(revoked); got != "InvalidToken" {
			t.Errorf("with the database back, what was revoked meanwhile is answered with %q", got)
		}
	})
}

func second(_ *authn.Caller, err error) error { return err }

// A server whose reports take longer than its lease has none, however they end.
func TestASlowServer(t *testing.T) {
	bubble(t, 2, func(t *testing.T, c *cluster) {
		k, text := c.key("alice")
		slow := c.replicas[1]
		slow.stall(0)
		pass(lease / 2)
		done := c.revoke(c.replicas[0], "alice", k)
		pass(lease/2 - lease/10)
		if got := slow.open(text); got != "ServiceUnavailable" || !pending(done) {
			t.Errorf("shortly before the lease ends it answers %q", got)
		}
		pass(lease)
		if pending(done) {
			t.Error("a server that is slow holds a change up for longer than a lease")
		}
		ok(t, <-done)
		slow.flow()
		synctest.Wait()
		if got := slow.open(text); got == "" {
			t.Error("a report that came too late made a lease")
		}
		pass(time.Second)
		if got := slow.open(text); got != "InvalidToken" {
			t.Errorf("caught up it answers %q", got)
		}
	})
}

// A server that nobody knows of any more is not waited for. When it is back, it
// may hear of a change between looking for changes and being known again.
func TestAServerThatWasForgottenIsBack(t *testing.T) {
	bubble(t, 2, func(t *testing.T, c *cluster) {
		k, text := c.key("alice")
		back := c.replicas[1]
		back.setCut(true)
		pass(lease)
		c.key("bob") // waits for it, and forgets it
		back.stall(toReport)
		back.setCut(false)
		pass(time.Second)
		began := time.Now()
		ok(t, <-c.revoke(c.replicas[0], "alice", k))
		if took := time.Since(began); took > 0 {
			t.Fatalf("nobody knows of it, and the change took %v", took)
		}
		back.stall(toNextLook)
		synctest.Wait()
		if got := back.open(text); got != "InvalidToken" {
			t.Errorf("back again it answers %q", got)
		}
		back.flow()
	})
}

// The crossings of a server that looks for changes, and then renews its lease:
// newest, newest answered, report, report answered, newest, newest answered.
const (
	toReport   = 2 // stands still before report
	toNextLook = 4 // from there to the end, and no further
	toAnswer   = 5 // stands still before the last
)

// A lease is counted from before the question whose answer it rests on.
func TestAnAnswerThatComesLate(t *testing.T) {
	bubble(t, 2, func(t *testing.T, c *cluster) {
		k, text := c.key("alice")
		late := c.replicas[1]
		answer, look, crossings := make(chan struct{}), make(chan struct{}), 0
		late.on(func(name string) error {
			if name == "report" || crossings > 0 {
				crossings++
			}
			switch crossings {
			case 4: // newest answered
				<-answer
			case 5: // the next look for changes
				<-look
			}
			return nil
		})
		pass(lease / 2) // and its lease was to be renewed
		done := c.revoke(c.replicas[0], "alice", k)
		pass(lease + settling)
		ok(t, <-done)
		close(answer)
		synctest.Wait()
		if got := late.open(text); got == "" {
			t.Error("an answer from before the change made a lease after it")
		}
		close(look)
	})
}

// What could not be reported makes no lease, as nobody waits for it.
func TestAServerThatCannotReport(t *testing.T) {
	bubble(t, 2, func(t *testing.T, c *cluster) {
		c.replicas[1].on(func(name string) error {
			if name == "report" {
				return errCut
			}
			return nil
		})
		pass(lease)
		if c.replicas[1].Live() == nil {
			t.Error("it goes on without having reported")
		}
	})
}

// A server that leaves in order is not waited for, and serves nothing.
func TestAServerThatEnds(t *testing.T) {
	bubble(t, 2, func(t *testing.T, c *cluster) {
		k, text := c.key("alice")
		gone := c.replicas[1]
		gone.stop()
		<-gone.ended
		if got := gone.open(text); got != "ServiceUnavailable" {
			t.Errorf("a server that ended answers %q", got)
		}
		began := time.Now()
		ok(t, <-c.revoke(c.replicas[0], "alice", k))
		if took := time.Since(began); took > 0 {
			t.Errorf("with nobody else there the change took %v", took)
		}
	})
}

// Without the others' answer a change is made, and its caller is told nothing else.
func TestWhoStopsWaitingIsNotToldThatItIsDone(t *testing.T) {
	bubble(t, 2, func(t *testing.T, c *cluster) {
		k, text := c.key("alice")
		c.replicas[1].kill()
		ctx, cancel := context.WithCancel(c.replicas[0].ctx)
		done := begin(func() error { return c.replicas[0].SetAccessKeyActive(ctx, "alice", k.ID, false) })
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the change ended with %v", err)
		}
		if got := c.replicas[0].open(text); got != "InvalidToken" {
			t.Errorf("the change was not made: %q", got)
		}
	})
}

// A change that was made a moment ago, and is not everywhere yet, is no reason to
// answer that there is nothing to do.
func TestNothingToChangeWaitsAsWell(t *testing.T) {
	bubble(t, 2, func(t *testing.T, c *cluster) {
		c.key("alice")
		c.replicas[1].kill()
		s := c.replicas[0]
		first := begin(func() error {
			_, err := s.Bootstrap(t.Context(), []string{iamtest.Other})
			return err
		})
		pass(lease / 2)
		again := begin(func() error {
			_, err := s.Bootstrap(t.Context(), []string{iamtest.Other})
			return err
		})
		if !pending(first) || !pending(again) {
			t.Error("a change that others may lack is answered")
		}
		ok(t, <-first)
		ok(t, <-again)
	})
}

// One server alone writes nothing and waits for nothing.
func TestOneServerNeedsNoLease(t *testing.T) {
	w := iamtest.New(t)
	w.IAM.Replicate(t.Context(), slog.New(slog.DiscardHandler)) // returns
	ok(t, w.IAM.Live())
	if n, err := iam.Replicas(t.Context(), w.IAM); err != nil || n != 0 {
		t.Errorf("%d rows for one server, %v", n, err)
	}
	if allocs := testing.AllocsPerRun(100, func() { _ = w.IAM.Live() }); allocs != 0 {
		t.Errorf("asking takes %v allocations", allocs)
	}
}

func BenchmarkLive(b *testing.B) {
	for _, l := range []time.Duration{0, time.Hour} {
		b.Run(fmt.Sprint(l), func(b *testing.B) {
			w := iamtest.New(b)
			s, err := iam.New(b.Context(), iam.Config{DB: w.DB, Keyring: w.Keyring, Authz: &authz.Authorizer{}, Now: time.Now, Lease: l})
			ok(b, err)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Live(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestNothingIsAcceptedAfterItWasRevoked lets servers die, start, lose their line,
// become slow, and make changes in any order: what one of them has answered as
// revoked, none of them accepts; and none of them is waited for longer than a
// lease.
func TestNothingIsAcceptedAfterItWasRevoked(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		round := 0
		rapid.Check(bubbled{t}, func(rt *rapid.T) {
			round++
			m := &revocations{cluster: c, rt: rt, round: round, stalled: map[*server]bool{}}
			defer func() {
				if rt.Failed() {
					m.mend() // for the next run
				}
			}()
			// Fewer steps than Repeat would take: each lets seconds pass on all servers.
			for range rapid.IntRange(5, 15).Draw(rt, "steps") {
				switch rapid.SampledFrom([]string{"issue", "revoke", "other", "pass", "line", "stall", "kill"}).Draw(rt, "action") {
				case "issue":
					m.issue()
				case "revoke":
					m.begin()
				case "other":
					m.other()
				case "pass":
					m.pass()
				case "line":
					m.line()
				case "stall":
					m.stall()
				case "kill":
					m.kill()
				}
				m.check()
			}
			m.end()
		})
	})
}

// bubbled has no deadline, which must not be asked for in a bubble.
type bubbled struct{ testing.TB }

// revocations are the keys of one run, and what was done to them.
type revocations struct {
	*cluster
	rt    *rapid.T
	round int
	keys  []*issued
	names int
	// stalled are those whose line stands still, or will.
	stalled map[*server]bool
	killed  []*server
}

type issued struct {
	name    string
	key     iam.AccessKey
	text    string
	began   time.Time
	done    <-chan error // nil before it is revoked
	revoked bool         // and answered
}

func (m *revocations) server() *server { return rapid.SampledFrom(m.replicas).Draw(m.rt, "server") }

func (m *revocations) issue() {
	if s := m.replicas[0]; m.stalled[s] || s.Live() != nil {
		return // it cannot answer
	}
	m.names++
	i := &issued{name: fmt.Sprintf("user-%d-%d", m.round, m.names)}
	i.key, i.text = m.key(i.name)
	m.keys = append(m.keys, i)
}

func (m *revocations) begin() {
	for _, i := range m.keys {
		if i.done != nil {
			continue
		}
		if s := m.server(); s.Live() == nil { // or else it refuses every request
			i.began, i.done = time.Now(), m.revoke(s, i.name, i.key)
		}
		return
	}
}

// other is a change that concerns nobody, and that nobody waits for here.
func (m *revocations) other() {
	s := m.server()
	begin(func() error {
		return s.TagEntity(s.ctx, iam.KindUser, iam.AdminUser, []iam.Tag{{Key: "round", Value: fmt.Sprint(m.round)}})
	})
}

func (m *revocations) pass() {
	pass(rapid.SampledFrom([]time.Duration{
		10 * time.Millisecond, pollNear, 500 * time.Millisecond, lease / 3, lease - lease/10, lease + settling,
	}).Draw(m.rt, "time"))
}

const pollNear = 101 * time.Millisecond

func (m *revocations) line() {
	m.server().setCut(rapid.Bool().Draw(m.rt, "cut"))
}

func (m *revocations) stall() {
	s := m.server()
	if after := rapid.IntRange(-1, 6).Draw(m.rt, "crossings"); after >= 0 {
		s.stall(after)
		m.stalled[s] = true
		return
	}
	s.flow()
	delete(m.stalled, s)
}

// kill ends a server, and starts another in its place. The old one goes on
// serving as long as it thinks that it may.
func (m *revocations) kill() {
	n := rapid.IntRange(0, len(m.replicas)-1).Draw(m.rt, "number")
	old := m.replicas[n]
	if m.stalled[old] {
		return // its line stands still
	}
	old.kill()
	m.replicas[n] = m.start()
	m.killed = append(m.killed, old)
}

func (m *revocations) check() {
	synctest.Wait()
	for _, i := range m.keys {
		if i.done != nil && !i.revoked && len(i.done) > 0 {
			if err := <-i.done; err != nil {
				m.rt.Fatalf("revoking %s: %v", i.name, err)
			}
			i.revoked = true
		}
		for n, s := range m.replicas {
			if got := s.open(i.text); i.revoked && got == "" {
				m.rt.Fatalf("server %d accepts %s, which is revoked", n, i.name)
			}
		}
		for _, s := range m.killed {
			if i.revoked && s.open(i.text) == "" {
				m.rt.Fatalf("a killed server accepts %s, which is revoked", i.name)
			}
		}
	}
}

func (m *revocations) mend() {
	for s := range m.stalled {
		s.flow()
		delete(m.stalled, s)
	}
	for _, s := range m.replicas {
		s.setCut(false)
	}
	pass(lease + settling)
}

// end mends everything: then all is answered, and all servers serve again.
func (m *revocations) end() {
	m.mend()
	m.check()
	for _, i := range m.keys {
		if i.done != nil && !i.revoked {
			m.rt.Fatalf("revoking %s is not answered after %v", i.name, time.Since(i.began))
		}
		want := map[bool]string{true: "InvalidToken"}[i.revoked]
		for n, s := range m.replicas {
			if got := s.open(i.text); got != want {
				m.rt.Fatalf("at the end server %d answers %q to %s, want %q", n, got, i.name, want)
			}
		}
	}
}
