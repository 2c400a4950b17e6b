package iam_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed/changefeedtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/sts"
)

// An edit that changes nothing writes nothing: no row, and no change that every
// other server would have to follow.
func TestEdit_WithoutChangeWritesNothing(t *testing.T) {
	w := iamtest.New(t)
	ctx := w.AsAdmin()
	tags := []iam.Tag{{Key: "team", Value: "web"}}
	u, err := w.IAM.CreateUser(ctx, iam.NewEntity{Name: "u", Tags: tags})
	ok(t, err)
	_, err = w.IAM.CreateGroup(ctx, "", "g")
	ok(t, err)
	ok(t, w.IAM.AddUserToGroup(ctx, "g", "u"))
	p, err := w.IAM.CreatePolicy(ctx, iam.NewEntity{Name: "p"}, "", allowECR)
	ok(t, err)
	_, err = w.IAM.CreateRole(ctx, iam.NewEntity{Name: "r"}, "d", trustAccount, 0)
	ok(t, err)
	_, k, _, err := w.IAM.CreateAccessKey(ctx, "u")
	ok(t, err)
	description := "d"
	edits := map[string]func(context.Context) error{
		"attach":     func(ctx context.Context) error { return w.IAM.AttachPolicy(ctx, iam.KindUser, "u", p.ARN()) },
		"inline":     func(ctx context.Context) error { return w.IAM.PutInlinePolicy(ctx, iam.KindUser, "u", "i", allowECR) },
		"boundary":   func(ctx context.Context) error { return w.IAM.PutBoundary(ctx, iam.KindUser, "u", p.ARN()) },
		"tag":        func(ctx context.Context) error { return w.IAM.TagEntity(ctx, iam.KindUser, "u", tags) },
		"untag":      func(ctx context.Context) error { return w.IAM.UntagEntity(ctx, iam.KindUser, "u", []string{"none"}) },
		"member":     func(ctx context.Context) error { return w.IAM.AddUserToGroup(ctx, "g", "u") },
		"rename":     func(ctx context.Context) error { return w.IAM.UpdateUser(ctx, "u", "/", "u") },
		"key":        func(ctx context.Context) error { return w.IAM.SetAccessKeyActive(ctx, "u", k.ID, true) },
		"default":    func(ctx context.Context) error { return w.IAM.SetDefaultPolicyVersion(ctx, p.ARN(), 1) },
		"tag policy": func(ctx context.Context) error { return w.IAM.TagPolicy(ctx, p.ARN(), tags) },
		"trust":      func(ctx context.Context) error { return w.IAM.UpdateTrustPolicy(ctx, "r", trustAccount) },
		"description": func(ctx context.Context) error {
			_, err := w.IAM.UpdateRole(ctx, "r", iam.RoleChange{Description: &description})
			return err
		},
	}
	for name, edit := range edits {
		ok(t, edit(ctx)) // the first time it may change something
		before := iam.Describe(w.IAM)["seq"]
		w.Advance(2e9)
		ok(t, edit(ctx))
		if after := iam.Describe(w.IAM)["seq"]; after != before {
			t.Errorf("%s: the same again is change %s, after %s", name, after, before)
		}
	}
	if again, err := w.IAM.User(ctx, "u"); err != nil || again.ID != u.ID {
		t.Errorf("the user: %+v, %v", again, err)
	}
}

// The change feed says what became of a change whose answer was lost.
func TestCommit_AnswerLost(t *testing.T) {
	w := iamtest.New(t)
	lost := errors.New("connection reset")
	line := changefeedtest.NewLine(w.DB, nil)
	feed, err := changefeed.New(t.Context(), changefeed.Config{DB: w.DB, Store: line})
	ok(t, err)
	s, err := iam.New(t.Context(), iam.Config{DB: w.DB, Keyring: w.Keyring, Authz: &authz.PolicyAuthorizer{}, Now: w.Now, Feed: feed})
	ok(t, err)
	changefeedtest.Run(t, feed)
	lose := func(crossing string) {
		line.On(func(name string) error {
			if name == crossing {
				return lost
			}
			return nil
		})
	}
	create := func(name string) error {
		_, err := s.CreateUser(w.AsAdmin(), iam.NewEntity{Name: name})
		return err
	}
	lose("commit answered")
	if err := create("kept"); err != nil {
		t.Errorf("a change that was committed: %v", err)
	}
	if _, err := s.User(w.AsAdmin(), "kept"); err != nil {
		t.Errorf("the change is not published: %v", err)
	}
	lose("commit")
	if err := create("gone"); !errors.Is(err, lost) || !changefeed.PerhapsMade(err) {
		t.Errorf("a change whose commit cannot be found: %v", err)
	}
	if _, err := s.User(w.AsAdmin(), "gone"); code(err) != "NoSuchEntity" {
		t.Errorf("the failed change: %v", err)
	}
	lose("")
	ok(t, create("gone"))
}

// A caller who may assume a role can begin any number of sessions. The server
// keeps some of them in memory and reads the others again.
func TestSessions_BoundedMemory(t *testing.T) {
	w := iamtest.New(t)
	_, err := w.IAM.CreateRole(w.AsAdmin(), iam.NewEntity{Name: "r"}, "", strings.Replace(trustAccount, `"sts:AssumeRole"`, `["sts:AssumeRole","sts:TagSession"]`, 1), 0)
	ok(t, err)
	const memory = 16 * 8 << 10 // 16 shards
	s, err := iam.New(t.Context(), iam.Config{DB: w.DB, Keyring: w.Keyring, Authz: &authz.PolicyAuthorizer{}, Now: w.Now, SessionMemory: memory})
	ok(t, err)
	var ids []string
	for i := range 300 {
		c, err := sts.New(s).AssumeRole(w.AsAdmin(), sts.AssumeRole{
			RoleARN: "arn:aws:iam::" + account + ":role/r", SessionName: fmt.Sprint("s-", i), Tags: []iam.Tag{{Key: "n", Value: fmt.Sprint(i)}},
		})
		ok(t, err)
		ids = append(ids, c.AccessKeyID)
	}
	if stats := s.SessionCache(); stats.Cost > memory {
		t.Errorf("the sessions take %d bytes, want at most %d", stats.Cost, memory)
	}
	for i, id := range ids {
		session, err := s.Session(t.Context(), id)
		if err != nil || session.Tags["n"] != fmt.Sprint(i) {
			t.Fatalf("session %d: %+v, %v", i, session, err)
		}
	}
	if stats := s.SessionCache(); stats.Cost > memory || stats.Misses == 0 {
		t.Errorf("after reading all: %+v", stats)
	}
}
