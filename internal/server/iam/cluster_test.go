package iam_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

const lease = iam.DefaultLease

// A cluster is a database with several servers on it, with synthetic time: it passes
// if a test lets it pass, and then everything that is due has happened.
type cluster struct {
	t       testing.TB
	db      *db.DB
	keyring *token.Keyring
	replicas
}

type replicas []*server

// A server is a replica with a line to the others that can be disturbed.
type server struct {
	*iam.Service
	authn *authn.Authenticator
	ctx   context.Context // of its first admin
	stop  context.CancelFunc
	ended chan struct{}

	mu   sync.Mutex
	cut  bool          // the line is
	hold chan struct{} // whoever crosses the line waits until it is closed; nil: no one
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

// withCluster runs a test with n replicas.
func withCluster(t *testing.T, n int, test func(*testing.T, *cluster)) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{t: t}
		var err error
		c.keyring, err = token.CreateKeyring(filepath.Join(t.TempDir(), "keyring"), time.Now)
		ok(t, err)
		c.db = dbtest.Open(t)
		for range n {
			c.replicas = append(c.replicas, c.start())
		}
		test(t, c)
		for _, s := range c.replicas {
			s.stop()
			<-s.ended
		}
	})
}

// start starts another server.
func (c *cluster) start() *server {
	c.t.Helper()
	// All have one handle: the driver waits for a busy database by the test's synthetic clock,
	// which stands still while another goroutine waits for a mutex.
	s := &server{}
	var err error
	s.Service, err = iam.New(c.t.Context(), iam.Config{DB: c.db, Keyring: c.keyring, Authz: &authz.PolicyAuthorizer{}, Now: time.Now, Lease: lease})
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

// kill ends a server as kill -9 does: it renews nothing, and no one hears of it.
// What it still serves is the worst that could be left of it.
func (s *server) kill() {
	s.setCut(true)
	renewed := iam.Renewed(s.Service)
	s.stop()
	<-s.ended
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

// open is the answer to a token: "" if it is accepted.
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
