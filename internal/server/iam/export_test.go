package iam

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// Describe returns everything in the snapshot of s as text, so that two can be
// compared.
func Describe(s *Service) map[string]string { return describe(s.current.Load()) }

// DescribeStored is Describe of what is loaded from the database anew.
func DescribeStored(ctx context.Context, s *Service) (map[string]string, error) {
	loaded, err := load(ctx, s.db, s.awsManaged)
	if err != nil {
		return nil, err
	}
	return describe(loaded), nil
}

func describe(s *Snapshot) map[string]string {
	out := map[string]string{"seq": fmt.Sprint(s.seq)}
	for it := s.byID.Iterator(); !it.Done(); {
		id, e, _ := it.Next()
		body, err := json.Marshal(e, json.Deterministic(true))
		if err != nil {
			panic(err)
		}
		out["entity "+id] = fmt.Sprintf("%s %s %s", e.Kind(), keyOf(e), body)
		switch e := e.(type) {
		case *User:
			out["principal "+id] = principalText(s.user(e))
		case *Role:
			out["principal "+id] = principalText(s.role(e)) + e.trust.Document()
		}
	}
	for it := s.byName.Iterator(); !it.Done(); {
		k, e, _ := it.Next()
		out[fmt.Sprintf("name %s", k)] = e.Base().ID
	}
	for it := s.keys.Iterator(); !it.Done(); {
		k, e, _ := it.Next()
		out["key "+k] = e.Base().ID
	}
	for it := s.used.Iterator(); !it.Done(); {
		k, n, _ := it.Next()
		out["used "+k] = fmt.Sprint(n)
	}
	return out
}

func principalText(p *authn.Principal) string {
	text := fmt.Sprint(p.ARN, p.UserID, p.Name, len(p.Policies))
	for _, doc := range p.Policies {
		text += sourceText(doc)
	}
	if p.Boundary != nil {
		text += " boundary" + sourceText(p.Boundary)
	}
	for _, k := range slices.Sorted(maps.Keys(p.Tags)) {
		text += " " + k + "=" + p.Tags[k]
	}
	return text
}

func sourceText(p *policy.Policy) string { return fmt.Sprintf(" %v %s", p.Source(), p.Document()) }

// LoseAnswer makes a change whose commit succeeds and is answered with an error,
// which is cause. With commit false it fails instead.
func LoseAnswer(ctx context.Context, s *Service, e Entity, commit bool, cause error) error {
	d := &Draft{Snapshot: s.current.Load(), base: s.current.Load(), id: "lost"}
	d.set(e)
	if commit {
		if err := s.db.Tx(ctx, func(tx *db.Tx) error { return d.save(ctx, tx) }); err != nil {
			return err
		}
	}
	_, err := s.resolve(ctx, d, cause)
	return err
}

// A Line is a server's way to hear of the others, for tests to disturb.
type Line struct {
	replicaLog
	// Crossing is called before and after everything that goes over the line, with
	// its name. Its error is the line's.
	Crossing func(name string) error
}

// Disturb puts a line in the way of s, before it is used.
func Disturb(s *Service, crossing func(name string) error) {
	s.replica.log = &Line{s.replica.log, crossing}
}

func over[T any](l *Line, name string, do func() (T, error)) (T, error) {
	var none T
	if err := l.Crossing(name); err != nil {
		return none, err
	}
	v, err := do()
	if err != nil {
		return none, err
	}
	return v, l.Crossing(name + " answered")
}

func (l *Line) report(ctx context.Context, id string, n, applied int64) error {
	_, err := over(l, "report", func() (struct{}, error) { return struct{}{}, l.replicaLog.report(ctx, id, n, applied) })
	return err
}

func (l *Line) newest(ctx context.Context) (int64, error) {
	return over(l, "newest", func() (int64, error) { return l.replicaLog.newest(ctx) })
}

func (l *Line) without(ctx context.Context, change int64, id string) ([]report, error) {
	return over(l, "without", func() ([]report, error) { return l.replicaLog.without(ctx, change, id) })
}

func (l *Line) forget(ctx context.Context, r report) error {
	_, err := over(l, "forget", func() (struct{}, error) { return struct{}{}, l.replicaLog.forget(ctx, r) })
	return err
}

// Renewed and SetRenewed are the lease of s, which ends with its goroutine, but
// not with that of a process that was killed in the middle of an answer.
func Renewed(s *Service) *time.Time { return s.replica.renewed.Load() }

// SetRenewed is described at [Renewed].
func SetRenewed(s *Service, t *time.Time) { s.replica.renewed.Store(t) }

// Replicas returns how many servers are known to the database of s.
func Replicas(ctx context.Context, s *Service) (int, error) {
	return db.One(ctx, s.db, db.Scalar[int], `SELECT count(*) FROM iam_replica`)
}

// Fill writes n users with an inline policy and an access key each, as so many
// calls of CreateUser would have.
func Fill(t testing.TB, d *db.DB, account string, n int) {
	t.Helper()
	const allow = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ecr:*","Resource":"*"}}`
	err := d.Tx(t.Context(), func(tx *db.Tx) error {
		for i := range n {
			name := fmt.Sprintf("user-%d", i)
			u := &User{
				Common:      Common{ID: token.NewID(token.UserID), Account: account, Path: "/", Name: name},
				Permissions: Permissions{Inline: []InlinePolicy{{Name: "p", Document: allow}}, Attached: []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"}},
				Keys:        []AccessKey{{ID: token.NewID(token.LongTermKey), KeyringID: "00000000", Active: true}},
			}
			if err := saveEntity(t.Context(), tx, u); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
