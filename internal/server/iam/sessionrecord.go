package iam

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
	"github.com/gatehouse-registry/gatehouse/internal/server/resourcetags"
)

// longestBearer is how long a bearer token can outlive the session that obtained
// it, and so how long the session's record is kept after its end.
const longestBearer = 12 * time.Hour

// A SessionRecord is what a session has that does not fit into its token. It
// never changes. A session without any of it has no record.
type SessionRecord struct {
	// Limited says that the session has session policies, even if none is left.
	Limited bool `json:"limited,omitzero"`
	// Policy is the inline session policy.
	Policy string `json:"policy,omitzero"`
	// PolicyARNs are the managed ones; their text is the one in force.
	PolicyARNs     []string `json:"policy_arns,omitempty"`
	Tags           []Tag    `json:"tags,omitempty"`
	TransitiveKeys []string `json:"transitive_keys,omitempty"`
	SourceIdentity string   `json:"source_identity,omitzero"`
	// Federation is the web identity that began the session; nil for others.
	Federation *SessionFederation `json:"federation,omitzero"`
}

// SessionFederation is an [authn.Federation] as the record keeps it.
type SessionFederation struct {
	Provider string              `json:"provider"`
	Keys     map[string][]string `json:"keys"`
}

// Empty reports whether the session needs no record.
func (r *SessionRecord) Empty() bool {
	return !r.Limited && len(r.Tags) == 0 && r.SourceIdentity == "" && r.Federation == nil
}

// A liveSession is a record, ready for use.
type liveSession struct {
	record   SessionRecord
	expires  time.Time
	size     int // of the stored record, in bytes
	inline   []*policy.Policy
	resolved atomic.Pointer[resolvedSession]
}

// resolvedSession is for a session what resolution is for a user.
type resolvedSession struct {
	generation int64
	session    *authn.Session
}

func (l *liveSession) resolve(s *Snapshot) *authn.Session {
	if r := l.resolved.Load(); r != nil && r.generation == s.generation {
		return r.session
	}
	session := &authn.Session{Tags: resourcetags.Map(l.record.Tags), TransitiveTagKeys: l.record.TransitiveKeys, SourceIdentity: l.record.SourceIdentity}
	if f := l.record.Federation; f != nil {
		session.Federation = &authn.Federation{Provider: f.Provider, Keys: f.Keys}
	}
	if l.record.Limited {
		session.Policies = append([]*policy.Policy{}, l.inline...) // not nil: nil would mean no limit
		session.Policies = append(session.Policies, s.compiled(l.record.PolicyARNs)...)
	}
	l.resolved.Store(&resolvedSession{s.generation, session})
	return session
}

// sessions are the records of sessions, by their id: the access key id of the
// session. The ones that were used last are in memory, up to a bound: a caller who
// may assume a role can begin any number of sessions.
type sessions struct {
	cache *lru.Cache[string, *liveSession]
}

// DefaultSessionMemory is about how many bytes the sessions in memory take at most.
const DefaultSessionMemory = 64 << 20

func newSessions(bytes int64) sessions {
	return sessions{lru.New[string](lru.Config[*liveSession]{MaxCost: cmp.Or(bytes, DefaultSessionMemory), Shards: 16, Cost: (*liveSession).cost})}
}

// SessionCache says how well the sessions in memory serve.
func (s *Service) SessionCache() lru.Stats { return s.sessions.cache.Stats() }

// save makes a record durable. expires is the end of the session.
func (c *sessions) save(ctx context.Context, d *db.DB, id string, r SessionRecord, expires time.Time) error {
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	until := expires.Add(longestBearer)
	if err := d.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO iam_session (id, expires, body) VALUES ($1, $2, $3)`, id, db.Micros(until), string(body))
		return err
	}); err != nil {
		return fmt.Errorf("iam: save session: %w", err)
	}
	c.cache.Store(id, newLiveSession(r, until, len(body)), c.cache.Lookup(id))
	return nil
}

// newLiveSession takes the size of the stored record, from which its cost in
// memory follows.
func newLiveSession(r SessionRecord, expires time.Time, size int) *liveSession {
	l := &liveSession{record: r, expires: expires, size: size}
	if r.Policy != "" {
		l.inline = []*policy.Policy{newCompiler().policy(r.Policy, policy.Session, policy.Source{Name: "session policy"})}
	}
	return l
}

// cost is about what a session takes in memory: the record, its tags as a map, and
// its policy compiled.
func (l *liveSession) cost() int64 { return 1024 + 8*int64(l.size) }

// get returns a record. It is read from the database only if it is not in memory.
func (c *sessions) get(ctx context.Context, d *db.DB, id string) (*liveSession, error) {
	if l := c.cache.Lookup(id); l.State == lru.Fresh {
		return l.Value, nil
	}
	return c.cache.Load(id, func() (*liveSession, error) { return readSession(ctx, d, id) })
}

func readSession(ctx context.Context, d *db.DB, id string) (*liveSession, error) {
	type row struct {
		expires int64
		body    string
	}
	found, err := db.One(ctx, d, func(r db.Row) (v row, err error) {
		err = r.Scan(&v.expires, &v.body)
		return v, err
	}, `SELECT expires, body FROM iam_session WHERE id = $1`, id)
	if errors.Is(err, db.ErrNoRows) {
		return nil, errNoSession()
	}
	if err != nil {
		return nil, fmt.Errorf("iam: read session %s: %w", id, err)
	}
	var r SessionRecord
	if err := json.Unmarshal([]byte(found.body), &r); err != nil {
		return nil, fmt.Errorf("iam: session %s: %w", id, err)
	}
	return newLiveSession(r, db.Time(found.expires), len(found.body)), nil
}

func errNoSession() error {
	return fault.New(fault.Unauthenticated, "InvalidToken", "The token is not valid: its session does not exist.")
}

// sweep forgets the records that no live token can name.
func (c *sessions) sweep(ctx context.Context, d *db.DB, now time.Time) error {
	if err := d.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM iam_session WHERE expires <= $1`, db.Micros(now))
		return err
	}); err != nil {
		return fmt.Errorf("iam: sweep sessions: %w", err)
	}
	return nil
}

// Maintain writes down when access keys and roles were used last, and deletes the records
// of sessions that are over. Call it every minute or so, and before the end.
func (s *Service) Maintain(ctx context.Context) error {
	return errors.Join(
		s.uses.save(ctx, s.db, s.current.Load().isUsed),
		s.sessions.sweep(ctx, s.db, s.now()),
	)
}
