package iam_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed/changefeedtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/sqlite"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

const lease = changefeed.DefaultLease

// A cluster is a database with several servers on it, with synthetic time: it passes
// if a test lets it pass, and then everything that is due has happened.
type cluster struct {
	t       testing.TB
	db      *db.DB
	keyring *token.Keyring
	bus     *changefeedtest.Bus
	replicas
}

type replicas []*server

// A server is a replica with a line to the others that can be disturbed.
type server struct {
	*iam.Service
	*changefeedtest.Line
	authn *authn.Authenticator
	ctx   context.Context // of its first admin
	stop  func()
}

// withCluster runs a test with n replicas.
func withCluster(t *testing.T, n int, test func(*testing.T, *cluster)) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{t: t, bus: new(changefeedtest.Bus)}
		var err error
		c.keyring, err = token.CreateKeyring(filepath.Join(t.TempDir(), "keyring"), time.Now)
		ok(t, err)
		// PostgreSQL would stop the synthetic clock: its connection always waits for something.
		c.db, err = sqlite.OpenScratch(t.Context(), filepath.Join(t.TempDir(), "gatehouse.db"))
		ok(t, err)
		for range n {
			c.replicas = append(c.replicas, c.start())
		}
		test(t, c)
		for _, s := range c.replicas {
			s.stop()
		}
		ok(t, c.db.Close())
	})
}

// start starts another server.
func (c *cluster) start() *server {
	c.t.Helper()
	// All have one handle: the driver waits for a busy database by the test's synthetic clock,
	// which stands still while another goroutine waits for a mutex.
	s := &server{Line: changefeedtest.NewLine(c.db, c.bus)}
	feed, err := changefeed.New(c.t.Context(), changefeed.Config{DB: c.db, Store: s.Line})
	ok(c.t, err)
	s.Service, err = iam.New(c.t.Context(), iam.Config{DB: c.db, Keyring: c.keyring, Authz: &authz.PolicyAuthorizer{}, Now: time.Now, Feed: feed})
	ok(c.t, err)
	s.stop = changefeedtest.Run(c.t, feed)
	keys, err := s.Bootstrap(c.t.Context(), []string{account})
	ok(c.t, err)
	_, id, _ := s.KeyOwner(keys[0].AccessKeyID)
	s.ctx = authn.WithCaller(c.t.Context(), &authn.Caller{Principal: s.Identity(account, id), Region: iamtest.Region, Time: time.Now()})
	s.authn = authn.New(authn.Config{Directory: s, Keyring: c.keyring, Serves: func(string) bool { return true }, Now: time.Now})
	return s
}

// kill ends a server as kill -9 does: it renews nothing, and no other hears of it.
// It goes on serving as long as it thinks that it may, which is the worst that could
// be left of it.
func (s *server) kill() { s.SetCut(true) }

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

// waitedFor returns the number of servers that a change would wait for.
func (c *cluster) waitedFor() (n int) {
	c.t.Helper()
	readers, err := changefeed.NewStore(c.db).Readers(c.t.Context())
	ok(c.t, err)
	for _, r := range readers {
		if r.Live {
			n++
		}
	}
	return n
}
