package iam_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
)

// TestSnapshot_EqualsDatabase makes changes of every kind, through two
// servers, and compares what both hold in memory with a fresh load.
func TestSnapshot_EqualsDatabase(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newMachine(t)
		rt.Repeat(map[string]func(*rapid.T){
			"entity":      m.entity,
			"rename":      m.rename,
			"permissions": m.permissions,
			"policy":      m.policy,
			"membership":  m.membership,
			"keys":        m.keys,
			"compare":     m.compare,
		})
		m.compare(rt)
	})
}

type machine struct {
	t       *testing.T
	ctx     context.Context
	servers []*iam.Service
}

func newMachine(t *testing.T) *machine {
	w := iamtest.New(t)
	return &machine{t, w.AsAdmin(), []*iam.Service{w.IAM, w.Start()}}
}

// must fails for every error that is not a rule's.
func (m *machine) must(rt *rapid.T, err error) {
	var f *fault.Error
	if err != nil && (!errors.As(err, &f) || f.Kind == fault.Internal || f.Kind == fault.Denied) {
		rt.Fatal(err)
	}
}

func (m *machine) server(rt *rapid.T) *iam.Service {
	return rapid.SampledFrom(m.servers).Draw(rt, "server")
}

var (
	names     = rapid.SampledFrom([]string{"a", "b", "B", "c"})
	holders   = rapid.SampledFrom([]iam.Kind{iam.KindUser, iam.KindGroup, iam.KindRole})
	documents = rapid.SampledFrom([]string{
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ecr:*","Resource":"*"}}`,
		`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"s3:*","Resource":"*"}}`,
		`{`,
	})
	policyARNs = rapid.SampledFrom([]string{
		"arn:aws:iam::aws:policy/ReadOnlyAccess",
		"arn:aws:iam::" + iamtest.Account + ":policy/a",
		"arn:aws:iam::" + iamtest.Account + ":policy/p/b",
		"arn:aws:iam::" + iamtest.Other + ":policy/a",
	})
	trusts = rapid.SampledFrom([]string{
		trusting("arn:aws:iam::" + iamtest.Account + ":user/a"),
		trusting("arn:aws:iam::" + iamtest.Account + ":role/p/b"),
		trusting("*"),
	})
)

func trusting(principal string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":[%q]},"Action":"sts:AssumeRole"}]}`, principal)
}

// entity creates or deletes one.
func (m *machine) entity(rt *rapid.T) {
	s, name, kind := m.server(rt), names.Draw(rt, "name"), holders.Draw(rt, "kind")
	path := rapid.SampledFrom([]string{"", "/p/"}).Draw(rt, "path")
	var err error
	if rapid.Bool().Draw(rt, "create") {
		n := iam.NewEntity{Path: path, Name: name, Tags: []iam.Tag{{Key: "k", Value: name}}}
		switch kind {
		case iam.KindUser:
			_, err = s.CreateUser(m.ctx, n)
		case iam.KindGroup:
			_, err = s.CreateGroup(m.ctx, path, name)
		default:
			_, err = s.CreateRole(m.ctx, n, "", trusts.Draw(rt, "trust"), 0)
		}
	} else {
		switch kind {
		case iam.KindUser:
			err = s.DeleteUser(m.ctx, name)
		case iam.KindGroup:
			err = s.DeleteGroup(m.ctx, name)
		default:
			err = s.DeleteRole(m.ctx, name)
		}
	}
	m.must(rt, err)
}

func (m *machine) rename(rt *rapid.T) {
	from, to := names.Draw(rt, "from"), names.Draw(rt, "to")
	if rapid.Bool().Draw(rt, "group") {
		m.must(rt, m.server(rt).UpdateGroup(m.ctx, from, "/p/", to))
	} else {
		m.must(rt, m.server(rt).UpdateUser(m.ctx, from, "", to))
	}
}

func (m *machine) permissions(rt *rapid.T) {
	s, kind, name := m.server(rt), holders.Draw(rt, "kind"), names.Draw(rt, "name")
	arn, policyName := policyARNs.Draw(rt, "arn"), names.Draw(rt, "policy name")
	var err error
	switch rapid.IntRange(0, 6).Draw(rt, "what") {
	case 0:
		err = s.PutInlinePolicy(m.ctx, kind, name, policyName, documents.Draw(rt, "document"))
	case 1:
		err = s.DeleteInlinePolicy(m.ctx, kind, name, policyName)
	case 2:
		err = s.AttachPolicy(m.ctx, kind, name, arn)
	case 3:
		err = s.DetachPolicy(m.ctx, kind, name, arn)
	case 4:
		if kind != iam.KindGroup {
			err = s.PutBoundary(m.ctx, kind, name, arn)
		}
	case 5:
		if kind != iam.KindGroup {
			err = s.DeleteBoundary(m.ctx, kind, name)
		}
	case 6:
		err = s.TagEntity(m.ctx, kind, name, []iam.Tag{{Key: policyName, Value: name}})
	}
	m.must(rt, err)
}

func (m *machine) policy(rt *rapid.T) {
	s, arn, document := m.server(rt), policyARNs.Draw(rt, "arn"), documents.Draw(rt, "document")
	version := rapid.IntRange(1, 4).Draw(rt, "version")
	var err error
	switch rapid.IntRange(0, 4).Draw(rt, "what") {
	case 0:
		_, err = s.CreatePolicy(m.ctx, iam.NewEntity{Path: rapid.SampledFrom([]string{"", "/p/"}).Draw(rt, "path"), Name: names.Draw(rt, "name")}, "", document)
	case 1:
		err = s.DeletePolicy(m.ctx, arn)
	case 2:
		_, _, err = s.CreatePolicyVersion(m.ctx, arn, document, rapid.Bool().Draw(rt, "default"))
	case 3:
		err = s.SetDefaultPolicyVersion(m.ctx, arn, version)
	case 4:
		err = s.DeletePolicyVersion(m.ctx, arn, version)
	}
	if !fault.Is(err, "AccessDenied") { // AWS's own policies
		m.must(rt, err)
	}
}

func (m *machine) membership(rt *rapid.T) {
	s, group, user := m.server(rt), names.Draw(rt, "group"), names.Draw(rt, "user")
	if rapid.Bool().Draw(rt, "add") {
		m.must(rt, s.AddUserToGroup(m.ctx, group, user))
	} else {
		m.must(rt, s.RemoveUserFromGroup(m.ctx, group, user))
	}
}

func (m *machine) keys(rt *rapid.T) {
	s, user := m.server(rt), names.Draw(rt, "user")
	_, keys, err := s.AccessKeys(m.ctx, user)
	m.must(rt, err)
	if len(keys) == 0 || rapid.Bool().Draw(rt, "create") {
		_, _, _, err = s.CreateAccessKey(m.ctx, user)
	} else if rapid.Bool().Draw(rt, "delete") {
		err = s.DeleteAccessKey(m.ctx, user, keys[0].ID)
	} else {
		err = s.SetAccessKeyActive(m.ctx, user, keys[0].ID, !keys[0].Active)
	}
	m.must(rt, err)
}

func (m *machine) compare(rt *rapid.T) {
	want, err := iam.DescribeStored(m.t.Context(), m.servers[0])
	if err != nil {
		rt.Fatal(err)
	}
	for i, s := range m.servers {
		if err := iam.Follow(m.t.Context(), s); err != nil {
			rt.Fatal(err)
		}
		if got := iam.Describe(s); !maps.Equal(got, want) {
			rt.Fatalf("server %d holds what a fresh load does not:%s", i, difference(got, want))
		}
	}
}

func difference(got, want map[string]string) string {
	text := ""
	for k, v := range got {
		if want[k] != v {
			text += fmt.Sprintf("\n%s: in memory %q, loaded %q", k, v, want[k])
		}
	}
	for k, v := range want {
		if _, ok := got[k]; !ok {
			text += fmt.Sprintf("\n%s: not in memory, loaded %q", k, v)
		}
	}
	return text
}
