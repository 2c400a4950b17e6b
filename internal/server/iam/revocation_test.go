package iam_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed/changefeedtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
)

// TestReplica_Revocation lets servers die, start, lose their line,
// become slow, and make changes in any order: what one of them has answered as
// revoked, none of them accepts; and none of them is waited for longer than a
// lease.
func TestReplica_Revocation(t *testing.T) {
	withCluster(t, 3, func(t *testing.T, c *cluster) {
		round := 0
		rapid.Check(bubbled{t}, func(rt *rapid.T) {
			round++
			m := &revocations{cluster: c, rt: rt, round: round, stalled: map[*server]bool{}}
			defer func() {
				if rt.Failed() {
					m.repair() // for the next run
				}
				for _, s := range m.killed { // hundreds of them would slow the later runs down
					s.stop()
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

// bubbled has no deadline, which must not be asked for under synctest.
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
	if s := m.replicas[0]; m.stalled[s] || s.IsCut() || s.Ready() != nil {
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
		if s := m.server(); s.Ready() == nil { // or else it refuses every request
			i.began, i.done = time.Now(), m.revoke(s, i.name, i.key)
		}
		return
	}
}

// other is a change that concerns no one, and that no one waits for here.
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
	m.server().SetCut(rapid.Bool().Draw(m.rt, "cut"))
}

func (m *revocations) stall() {
	s := m.server()
	if after := rapid.IntRange(-1, 6).Draw(m.rt, "crossings"); after >= 0 {
		s.Stall(after)
		m.stalled[s] = true
		return
	}
	s.Flow()
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
			err := <-i.done
			if errors.Is(err, changefeedtest.ErrCut) { // it could not learn what to decide by
				i.done = nil
				continue
			}
			if err != nil {
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

func (m *revocations) repair() {
	for s := range m.stalled {
		s.Flow()
		delete(m.stalled, s)
	}
	for _, s := range m.replicas {
		s.SetCut(false)
	}
	pass(lease + settling)
}

// end repairs everything: then all is answered, and all servers serve again.
func (m *revocations) end() {
	m.repair()
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
