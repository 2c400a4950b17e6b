package iam

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

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

// Follow takes over what other services on the database have changed.
func Follow(ctx context.Context, s *Service) error { return s.feed.CatchUp(ctx) }

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

// ServiceUses has the uses of services by a user or a role.
func (s *Service) ServiceUses(ctx context.Context, uniqueID string) (map[string]KeyUse, error) {
	return s.uses.services(ctx, s.db, uniqueID)
}
