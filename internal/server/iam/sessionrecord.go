package iam

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
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
		session.Policies = append([]*policy.Policy{}, l.inline...) // not nil: nil is no limit
		session.Policies = append(session.Policies, s.compiled(l.record.PolicyARNs)...)
	}
	l.resolved.Store(&resolvedSession{s.generation, session})
	return session
}

// sessions are the records that this server has seen, by their id: the access
// key id of the session.
type sessions struct{ byID sync.Map } // string → *liveSession

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
	c.byID.Store(id, newLiveSession(r, until))
	return nil
}

func newLiveSession(r SessionRecord, expires time.Time) *liveSession {
	l := &liveSession{record: r, expires: expires}
	if r.Policy != "" {
		l.inline = []*policy.Policy{newCompiler().policy(r.Policy, policy.Session, policy.Source{Name: "session policy"})}
	}
	return l
}

// get returns a record, which only the first time is read from the database.
func (c *sessions) get(ctx context.Context, d *db.DB, id string) (*liveSession, error) {
	if l, ok := c.byID.Load(id); ok {
		return l.(*liveSession), nil
	}
	type row struct {
		expires int64
		body    string
	}
	found, err := db.One(ctx, d, func(r db.Row) (v row, err error) {
		err = r.Scan(&v.expires, &v.body)
		return v, err
	}, `SELECT expires, body FROM iam_session WHERE id = $1`, id)
	if errors.Is(err, db.ErrNoRows) {
		return nil, fault.New(fault.Unauthenticated, "InvalidToken", "The token is not valid: its session does not exist.")
	}
	if err != nil {
		return nil, fmt.Errorf("iam: read session %s: %w", id, err)
	}
	var r SessionRecord
	if err := json.Unmarshal([]byte(found.body), &r); err != nil {
		return nil, fmt.Errorf("iam: session %s: %w", id, err)
	}
	l, _ := c.byID.LoadOrStore(id, newLiveSession(r, db.Time(found.expires)))
	return l.(*liveSession), nil
}

// sweep forgets the records that no live token can name.
func (c *sessions) sweep(ctx context.Context, d *db.DB, now time.Time) error {
	if err := d.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM iam_session WHERE expires <= $1`, db.Micros(now))
		return err
	}); err != nil {
		return fmt.Errorf("iam: sweep sessions: %w", err)
	}
	c.byID.Range(func(id, l any) bool {
		if !l.(*liveSession).expires.After(now) {
			c.byID.Delete(id)
		}
		return true
	})
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
