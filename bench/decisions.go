package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/sqlite"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/declare"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

const (
	benchAccount = "000000000001"
	// perPolicy is the number of statements of a policy.
	perPolicy = 10
)

// errDenied means that a decision was wrong.
var errDenied = errors.New("a request that the policies allow was denied")

// decisionJobs decide whether an image may be pushed, on one processor. Only the
// last statement of the last policy allows it. The baseline compares the first
// action of every statement once, and nothing else.
func (b *testbed) decisionJobs() []job {
	var jobs []job
	for _, n := range []int{1, 10, 100} {
		jobs = append(jobs, job{fmt.Sprintf("decision, policies=%d", n), seconds, func(context.Context) (*comparison, error) {
			caller := &authn.Caller{Principal: &authn.Principal{
				Type: authn.AssumedRole, Account: benchAccount, UniqueID: "AROAAAAAAAAAAAAAAAAAA",
				ARN: "arn:aws:sts::" + benchAccount + ":assumed-role/ci/build", PrincipalARN: "arn:aws:iam::" + benchAccount + ":role/ci",
			}}
			for i := range n {
				p, err := policy.Parse(teamPolicy(i), policy.Identity)
				if err != nil {
					return nil, err
				}
				caller.Policies = append(caller.Policies, p)
			}
			return &comparison{b.repeat(decidePush(caller, n-1)), []baseline{{"every statement once", b.repeat(scanStatements(n))}}}, nil
		}})
	}
	return jobs
}

// teamPolicy is a policy as a platform's roles have them: nine statements about
// other things, and one that allows pushing to a team's repositories.
func teamPolicy(team int) string {
	var s strings.Builder
	s.WriteString(`{"Version":"2012-10-17","Statement":[`)
	for i := range perPolicy - 1 {
		fmt.Fprintf(&s, `{"Effect":"Allow","Action":["codeartifact:Describe*","codeartifact:Get*","codeartifact:List*","codeartifact:ReadFromRepository"],
			"Resource":"arn:aws:codeartifact:us-east-1:%s:package/acme/team-%d-%d/*"},`, benchAccount, team, i)
	}
	fmt.Fprintf(&s, `{"Effect":"Allow","Action":["ecr:BatchCheckLayerAvailability","ecr:InitiateLayerUpload","ecr:UploadLayerPart","ecr:CompleteLayerUpload","ecr:PutImage"],
		"Resource":"arn:aws:ecr:*:%s:repository/team-%d/*"}]}`, benchAccount, team)
	return s.String()
}

// decidePush returns a function that decides whether the caller may push to a
// team's repository.
func decidePush(caller *authn.Caller, team int) func() error {
	req := &authz.Request{Action: "ecr:PutImage", Resource: fmt.Sprintf("arn:aws:ecr:us-east-1:%s:repository/team-%d/app", benchAccount, team)}
	return func() error {
		if !authz.Decide(caller, req).Allowed() {
			return errDenied
		}
		return nil
	}
}

// scanStatements returns the baseline of a decision.
func scanStatements(policies int) func() error {
	statements := make([]string, policies*perPolicy)
	for i := range statements {
		statements[i] = "codeartifact:Describe"
	}
	statements[len(statements)-1] = "ecr:PutImage"
	return func() error {
		for _, s := range statements {
			if strings.HasPrefix("ecr:PutImage", s) {
				return nil
			}
		}
		return errDenied
	}
}

// The size of a large organisation.
const (
	manyUsers = 100_000
	manyRoles = 10_000
)

// longJobs measure IAM with many identities: load time, memory, and a decision
// among them. They run only if -run names them.
func (b *testbed) longJobs() []job {
	name := func(what string) string { return fmt.Sprintf("%s, %d users, %d roles", what, manyUsers, manyRoles) }
	return []job{
		{name("identities load"), seconds, func(ctx context.Context) (*comparison, error) {
			m, err := b.many(ctx)
			if err != nil {
				return nil, err
			}
			return &comparison{m.loadTime, []baseline{{"read the rows", m.readTime}}}, nil
		}},
		{name("identities memory"), size, func(ctx context.Context) (*comparison, error) {
			m, err := b.many(ctx)
			if err != nil {
				return nil, err
			}
			return &comparison{m.loadMemory, []baseline{{"the rows' text", m.readMemory}}}, nil
		}},
		{name("decision"), seconds, func(ctx context.Context) (*comparison, error) {
			m, err := b.many(ctx)
			if err != nil {
				return nil, err
			}
			decide, err := m.decide(ctx)
			if err != nil {
				return nil, err
			}
			return &comparison{b.repeat(decide), []baseline{{"every statement once", b.repeat(scanStatements(1))}}}, nil
		}},
	}
}

// manyIdentities is a database with many users and roles.
type manyIdentities struct {
	db      *db.DB
	keyring *token.Keyring
}

// fillIdentities declares the identities, as a configuration file would.
func (b *testbed) fillIdentities(ctx context.Context) (*manyIdentities, error) {
	keyring, err := token.CreateKeyring(filepath.Join(b.dir, "identities.keys"), time.Now)
	if err != nil {
		return nil, err
	}
	if b.identities, err = sqlite.OpenScratch(ctx, filepath.Join(b.dir, "identities.db")); err != nil {
		return nil, err
	}
	m := &manyIdentities{b.identities, keyring}
	s, err := m.load(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := s.Bootstrap(ctx, []string{benchAccount}); err != nil {
		return nil, err
	}
	var d declare.Declaration
	for i := range manyUsers {
		d.Users = append(d.Users, declare.User{
			Entity:      declare.Entity{Account: benchAccount, Name: fmt.Sprintf("user-%d", i), Tags: []iam.Tag{{Key: "team", Value: fmt.Sprint(i % 100)}}},
			Permissions: declare.Permissions{Policies: []string{"arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"}},
		})
	}
	for i := range manyRoles {
		d.Roles = append(d.Roles, declare.Role{
			Entity:      declare.Entity{Account: benchAccount, Name: fmt.Sprintf("role-%d", i)},
			Permissions: declare.Permissions{Inline: []declare.Document{{Name: "team", Text: teamPolicy(i)}}},
			Trust:       declare.Document{Text: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + benchAccount + `"},"Action":"sts:AssumeRole"}]}`},
		})
	}
	_, err = declare.Apply(ctx, s, d)
	return m, err
}

// load does what a server does at its start. No web identities are involved.
func (m *manyIdentities) load(ctx context.Context) (*iam.Service, error) {
	return iam.New(ctx, iam.Config{DB: m.db, Keyring: m.keyring, Authz: &authz.PolicyAuthorizer{}, Now: time.Now})
}

// rows reads the least that a server must read at its start and keep.
func (m *manyIdentities) rows(ctx context.Context) ([]string, error) {
	return db.All(ctx, m.db, db.Scalar[string], `SELECT body FROM iam_entity`)
}

func (m *manyIdentities) loadTime(ctx context.Context) (sample, error) {
	return timed(func() error { _, err := m.load(ctx); return err })
}

func (m *manyIdentities) readTime(ctx context.Context) (sample, error) {
	return timed(func() error { _, err := m.rows(ctx); return err })
}

func timed(do func() error) (sample, error) {
	begin := time.Now()
	err := do()
	return sample{Value: time.Since(begin).Seconds()}, err
}

func (m *manyIdentities) loadMemory(ctx context.Context) (sample, error) {
	return heapGrowth(func() (any, error) { return m.load(ctx) })
}

func (m *manyIdentities) readMemory(ctx context.Context) (sample, error) {
	return heapGrowth(func() (any, error) { return m.rows(ctx) })
}

// heapGrowth returns by how many bytes the heap grows when make is called.
func heapGrowth(make func() (any, error)) (sample, error) {
	before := heap()
	made, err := make()
	if err != nil {
		return sample{}, err
	}
	after := heap()
	runtime.KeepAlive(made)
	return sample{Value: float64(after - before)}, nil
}

func heap() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// decide returns the work of a request after authentication: find the role among
// all identities and evaluate its policy.
func (m *manyIdentities) decide(ctx context.Context) (func() error, error) {
	s, err := m.load(ctx)
	if err != nil {
		return nil, err
	}
	type idRow struct{ id, name string }
	rows, err := db.All(ctx, m.db, func(r db.Row) (row idRow, err error) {
		err = r.Scan(&row.id, &row.name)
		return row, err
	}, `SELECT id, name FROM iam_entity WHERE kind = $1`, string(iam.KindRole))
	if err != nil {
		return nil, err
	}
	next := 0
	return func() error {
		row := &rows[next%len(rows)]
		next += 7919 // a prime: every role is used, in no particular order
		caller := authn.Caller{Principal: s.Identity(benchAccount, row.id)}
		req := authz.Request{Action: "ecr:PutImage", Resource: "arn:aws:ecr:us-east-1:" + benchAccount + ":repository/team-" + strings.TrimPrefix(row.name, "role-") + "/app"}
		if !authz.Decide(&caller, &req).Allowed() {
			return errDenied
		}
		return nil
	}, nil
}
