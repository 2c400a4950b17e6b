package iam_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed/changefeedtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
)

func TestReplica_ChangeWaitsForAll(t *testing.T) {
	withCluster(t, 3, func(t *testing.T, c *cluster) {
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
func TestReplica_ConcurrentChanges(t *testing.T) {
	withCluster(t, 2, func(t *testing.T, c *cluster) {
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

func TestReplica_DeadServer(t *testing.T) {
	withCluster(t, 3, func(t *testing.T, c *cluster) {
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
		if n := c.waitedFor(); n != 2 {
			t.Errorf("%d servers are waited for, want 2", n)
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

func TestReplica_LostDatabase(t *testing.T) {
	withCluster(t, 2, func(t *testing.T, c *cluster) {
		k, revoked := c.key("alice")
		_, other := c.key("bob")
		alone := c.replicas[1]
		alone.SetCut(true)
		pass(lease)
		for name, err := range map[string]error{
			"live":     alone.Ready(),
			"signed":   second(alone.authn.Signed(httptest.NewRequest(http.MethodPost, "/", nil), "ecr", nil)),
			"admit":    alone.authn.PrecheckSigned(httptest.NewRequest(http.MethodPost, "/", nil), "ecr"),
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
		alone.SetCut(false)
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
func TestReplica_SlowServer(t *testing.T) {
	withCluster(t, 2, func(t *testing.T, c *cluster) {
		k, text := c.key("alice")
		slow := c.replicas[1]
		slow.Stall(0)
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
		slow.Flow()
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

// A server that no one knows of any more is not waited for. When it is back, it
// may hear of a change between looking for changes and being known again.
func TestReplica_ForgottenServer(t *testing.T) {
	withCluster(t, 2, func(t *testing.T, c *cluster) {
		k, text := c.key("alice")
		back := c.replicas[1]
		back.SetCut(true)
		pass(lease)
		c.key("bob") // waits for it, and forgets it
		back.Stall(toReport)
		back.SetCut(false)
		pass(time.Second)
		began := time.Now()
		ok(t, <-c.revoke(c.replicas[0], "alice", k))
		if took := time.Since(began); took > 0 {
			t.Fatalf("nobody knows of it, and the change took %v", took)
		}
		back.Stall(toNextLook)
		synctest.Wait()
		if got := back.open(text); got != "InvalidToken" {
			t.Errorf("back again it answers %q", got)
		}
		back.Flow()
	})
}

// The crossings of a server that looks for changes, and then renews its lease:
// finished, since, report, finished, since, each of them twice.
const (
	toReport   = 4 // stands still before report
	toNextLook = 6 // from there to the end, and no further
)

// A lease is counted from before the question whose answer it rests on.
func TestReplica_LateAnswer(t *testing.T) {
	withCluster(t, 2, func(t *testing.T, c *cluster) {
		k, text := c.key("alice")
		late := c.replicas[1]
		answer, look, crossings := make(chan struct{}), make(chan struct{}), 0
		late.On(func(name string) error {
			if name == "report" || crossings > 0 {
				crossings++
			}
			switch crossings {
			case 6: // since answered
				<-answer
			case 7: // the next look for changes
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

// What could not be reported makes no lease, as no one waits for it.
func TestReplica_CannotReport(t *testing.T) {
	withCluster(t, 2, func(t *testing.T, c *cluster) {
		c.replicas[1].On(func(name string) error {
			if name == "report" {
				return changefeedtest.ErrCut
			}
			return nil
		})
		pass(lease)
		if c.replicas[1].Ready() == nil {
			t.Error("it goes on without having reported")
		}
	})
}

// A server that leaves in order is not waited for, and serves nothing.
func TestReplica_Stop(t *testing.T) {
	withCluster(t, 2, func(t *testing.T, c *cluster) {
		k, text := c.key("alice")
		gone := c.replicas[1]
		gone.stop()
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
func TestReplica_CanceledWait(t *testing.T) {
	withCluster(t, 2, func(t *testing.T, c *cluster) {
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

// A change that was made a moment ago, and is not everywhere yet, is not a reason to
// answer that there is nothing to do.
func TestReplica_NoChangeWaits(t *testing.T) {
	withCluster(t, 2, func(t *testing.T, c *cluster) {
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

// One server alone has no lease and waits for nothing.
func TestReplica_SingleServer(t *testing.T) {
	w := iamtest.New(t)
	ok(t, w.IAM.Ready())
	if allocs := testing.AllocsPerRun(100, func() { _ = w.IAM.Ready() }); allocs != 0 {
		t.Errorf("asking takes %v allocations", allocs)
	}
}

func BenchmarkReady(b *testing.B) {
	w := iamtest.New(b)
	shared, _ := changefeedtest.Servers(b, w.DB, 1)
	for name, feed := range map[string]*changefeed.Feed{"alone": nil, "shared": shared[0]} {
		b.Run(name, func(b *testing.B) {
			s, err := iam.New(b.Context(), iam.Config{DB: w.DB, Keyring: w.Keyring, Authz: &authz.PolicyAuthorizer{}, Now: time.Now, Feed: feed})
			ok(b, err)
			if feed != nil {
				ok(b, feed.Begin(b.Context()))
				defer changefeedtest.Run(b, feed)()
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Ready(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
