package app_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// A bearer is somebody with credentials and with one token of each kind.
type bearer struct {
	aws.Config
	image, packages string
}

// bearer obtains the tokens.
func (g *fixture) bearer(c aws.Config) bearer {
	return bearer{c, "Basic " + g.imageToken(c), "Bearer " + g.packageToken(c, "first")}
}

// routes requests every kind of route with a credential and returns the errors.
func (g *fixture) routes(b bearer) map[string]error {
	g.t.Helper()
	ctx := g.t.Context()
	open := func(path, header string) error {
		if status, body := g.send(g.get(path, header)); status != http.StatusOK {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	}
	_, ecrErr := ecr.NewFromConfig(b.Config).DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
	_, caErr := codeartifact.NewFromConfig(b.Config).DescribeDomain(ctx, &codeartifact.DescribeDomainInput{Domain: aws.String("first")})
	_, imageErr := ecr.NewFromConfig(b.Config).GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	_, packageErr := codeartifact.NewFromConfig(b.Config).GetAuthorizationToken(ctx, &codeartifact.GetAuthorizationTokenInput{Domain: aws.String("first")})
	_, stsErr := sts.NewFromConfig(b.Config).GetAccessKeyInfo(ctx, &sts.GetAccessKeyInfoInput{AccessKeyId: aws.String(g.keys(b.Config).AccessKeyID)})
	_, iamErr := iam.NewFromConfig(b.Config).GetAccountSummary(ctx, &iam.GetAccountSummaryInput{})
	if b.userSession(g) {
		iamErr = ecrErr // which calls no operation of IAM in any case
	}
	return map[string]error{
		"/v2/app": open(appTags, b.image), "npm": open(libPath, b.packages), "PyPI": open(strings.Replace(libPath, "npm/lib/-/ping", "pypi/lib/simple/", 1), b.packages),
		"the API of ECR": ecrErr, "the API of CodeArtifact": caErr, "the API of STS": stsErr, "the API of IAM": iamErr,
		"a new ECR token": imageErr, "a new CodeArtifact token": packageErr,
	}
}

// userSession reports whether the credentials belong to a session of a user.
func (b bearer) userSession(g *fixture) bool {
	if g.keys(b.Config).SessionToken == "" {
		return false
	}
	who, err := sts.NewFromConfig(b.Config).GetCallerIdentity(g.t.Context(), &sts.GetCallerIdentityInput{})
	return err != nil || !strings.Contains(*who.Arn, ":assumed-role/")
}

// want checks that all routes are open, or that none is.
func (g *fixture) want(open bool, when string, b bearer) {
	g.t.Helper()
	for route, err := range g.routes(b) {
		if (err == nil) != open {
			g.t.Errorf("%s, %s: %v", when, route, err)
		}
	}
}

// A story is a user, and a role that the user assumes, on a server with one
// repository of each kind.
type story struct {
	*fixture
	user, role string // names
	admin      *iam.Client
	ctx        context.Context
	base       aws.Config
}

func (g *fixture) story(n int) *story {
	g.t.Helper()
	s := &story{fixture: g, user: fmt.Sprint("user-", n), role: fmt.Sprint("role-", n), admin: iam.NewFromConfig(g.admin(victim)), ctx: g.t.Context()}
	s.base = g.user(victim, s.user, allow("*", "*"))
	g.role(s.role, allow("*", "*"))
	return s
}

func (s *story) roleARN() string { return "arn:aws:iam::" + victim + ":role/" + s.role }

// The ways in which somebody comes to tokens.
var holders = map[string]func(*story) aws.Config{
	"user": func(s *story) aws.Config { return s.base },
	"session of the user": func(s *story) aws.Config {
		out := must(sts.NewFromConfig(s.base).GetSessionToken(s.ctx, &sts.GetSessionTokenInput{}))(s.t).Credentials
		return s.with(*out.AccessKeyId, *out.SecretAccessKey, *out.SessionToken)
	},
	"federated user": func(s *story) aws.Config {
		out := must(sts.NewFromConfig(s.base).GetFederationToken(s.ctx, &sts.GetFederationTokenInput{Name: aws.String("guest"), Policy: policyOf(allow("*", "*"))}))(s.t).Credentials
		return s.with(*out.AccessKeyId, *out.SecretAccessKey, *out.SessionToken)
	},
	"session of the role": func(s *story) aws.Config { return s.assume(s.base, s.roleARN(), nil) },
	"limited session of the role": func(s *story) aws.Config {
		return s.assume(s.base, s.roleARN(), policyOf(allow("*", "*")))
	},
}

var (
	ofUser = []string{"user", "session of the user", "federated user"}
	ofRole = []string{"session of the role", "limited session of the role"}
)

// TestRevocation_EveryRoute: whatever takes somebody's access away closes, by
// the time it is answered, the tokens and sessions that are in use, at each route.
func TestRevocation_EveryRoute(t *testing.T) {
	g := start(t)
	g.repositories(victim, "first")
	deny := policyOf(`{"Effect":"Deny","Action":"*","Resource":"*"}`)
	for n, c := range []struct {
		name   string
		take   func(*story)
		closes []string // the others stay open
	}{
		{"the access key is deactivated", func(s *story) {
			must(s.admin.UpdateAccessKey(s.ctx, &iam.UpdateAccessKeyInput{UserName: &s.user, AccessKeyId: aws.String(s.keys(s.base).AccessKeyID), Status: "Inactive"}))(t)
		}, ofUser},
		{"the access key is deleted", func(s *story) {
			must(s.admin.DeleteAccessKey(s.ctx, &iam.DeleteAccessKeyInput{UserName: &s.user, AccessKeyId: aws.String(s.keys(s.base).AccessKeyID)}))(t)
		}, ofUser},
		{"the user is deleted and created again", func(s *story) {
			s.drop(victim, s.user)
			s.fixture.user(victim, s.user, allow("*", "*"))
		}, ofUser},
		{"the role is deleted and created again", func(s *story) {
			must(s.admin.DeleteRolePolicy(s.ctx, &iam.DeleteRolePolicyInput{RoleName: &s.role, PolicyName: aws.String("p")}))(t)
			must(s.admin.DeleteRole(s.ctx, &iam.DeleteRoleInput{RoleName: &s.role}))(t)
			s.fixture.role(s.role, allow("*", "*"))
		}, ofRole},
		{"the user's policy is deleted", func(s *story) { takeAllPermissions(s.fixture, s.user) }, ofUser},
		{"the user is denied everything", func(s *story) {
			must(s.admin.PutUserPolicy(s.ctx, &iam.PutUserPolicyInput{UserName: &s.user, PolicyName: aws.String("stop"), PolicyDocument: deny}))(t)
		}, ofUser},
		{"the role's policy is deleted", func(s *story) {
			must(s.admin.DeleteRolePolicy(s.ctx, &iam.DeleteRolePolicyInput{RoleName: &s.role, PolicyName: aws.String("p")}))(t)
		}, ofRole},
		{"a boundary is set for the role", func(s *story) {
			p := must(s.admin.CreatePolicy(s.ctx, &iam.CreatePolicyInput{PolicyName: aws.String("boundary"), PolicyDocument: policyOf(allow("s3:*", "*"))}))(t).Policy
			must(s.admin.PutRolePermissionsBoundary(s.ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: &s.role, PermissionsBoundary: p.Arn}))(t)
		}, ofRole},
		{"older sessions of the role are revoked", func(s *story) {
			must(s.admin.PutRolePolicy(s.ctx, &iam.PutRolePolicyInput{RoleName: &s.role, PolicyName: aws.String("AWSRevokeOlderSessions"), PolicyDocument: s.olderSessions()}))(t)
		}, ofRole},
		{"older sessions of the user are revoked", func(s *story) {
			must(s.admin.PutUserPolicy(s.ctx, &iam.PutUserPolicyInput{UserName: &s.user, PolicyName: aws.String("AWSRevokeOlderSessions"), PolicyDocument: s.olderSessions()}))(t)
		}, []string{"session of the user", "federated user"}},
	} {
		s := g.story(n)
		held := map[string]bearer{}
		for name, obtain := range holders {
			held[name] = g.bearer(obtain(s))
			g.want(true, c.name+": before, the "+name, held[name])
		}
		c.take(s)
		for name, b := range held {
			open := true
			for _, closed := range c.closes {
				open = open && closed != name
			}
			g.want(open, c.name+": the "+name, b)
		}
	}
}

// olderSessions is the policy that AWS's console writes under "Revoke active
// sessions": what was issued before this moment is denied everything.
func (s *story) olderSessions() *string {
	s.offset.Add(int64(2 * time.Second)) // tokens count in seconds
	return policyOf(`{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:TokenIssueTime":"` + s.now().UTC().Format(time.RFC3339) + `"}}}`)
}

// Whoever is revoked by the time of the session can come back with a new one.
func TestRevocation_OlderSessionsOnly(t *testing.T) {
	g := start(t)
	g.repositories(victim, "first")
	s := g.story(0)
	old := g.bearer(holders["session of the role"](s))
	must(s.admin.PutRolePolicy(s.ctx, &iam.PutRolePolicyInput{RoleName: &s.role, PolicyName: aws.String("AWSRevokeOlderSessions"), PolicyDocument: s.olderSessions()}))(t)
	g.want(false, "issued before", old)
	g.want(true, "issued after", g.bearer(holders["session of the role"](s)))
	// A token obtained late is as old as the session that obtained it.
	early := holders["limited session of the role"](s)
	policy := s.olderSessions()
	late := g.bearer(early)
	must(s.admin.PutRolePolicy(s.ctx, &iam.PutRolePolicyInput{RoleName: &s.role, PolicyName: aws.String("AWSRevokeOlderSessions"), PolicyDocument: policy}))(t)
	g.want(false, "obtained after, by a session from before", late)
}

// One session of a role is closed by its aws:userid, and one token of a user by the
// access key that obtained it; the others stay open.
func TestRevocation_OneSessionOrToken(t *testing.T) {
	g := start(t)
	g.repositories(victim, "first")
	s := g.story(0)
	named := func(name string) (bearer, string) {
		out := must(sts.NewFromConfig(s.base).AssumeRole(s.ctx, &sts.AssumeRoleInput{RoleArn: aws.String(s.roleARN()), RoleSessionName: &name}))(t)
		return g.bearer(g.with(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)), *out.AssumedRoleUser.AssumedRoleId
	}
	leaked, id := named("build-7")
	other, _ := named("build-8")
	must(s.admin.PutRolePolicy(s.ctx, &iam.PutRolePolicyInput{RoleName: &s.role, PolicyName: aws.String("leaked"), PolicyDocument: policyOf(
		`{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:userid":"` + id + `"}}}`)}))(t)
	g.want(false, "the session that is denied", leaked)
	g.want(true, "another session of the role", other)

	first := g.bearer(s.base)
	key := must(s.admin.CreateAccessKey(s.ctx, &iam.CreateAccessKeyInput{UserName: &s.user}))(t).AccessKey
	second := g.bearer(g.with(*key.AccessKeyId, *key.SecretAccessKey, ""))
	must(s.admin.DeleteAccessKey(s.ctx, &iam.DeleteAccessKeyInput{UserName: &s.user, AccessKeyId: aws.String(g.keys(s.base).AccessKeyID)}))(t)
	g.want(false, "obtained with the key that was deleted", first)
	g.want(true, "obtained with the other", second)
}

// A key of the keyring that is retired closes the tokens and sessions that it
// sealed, and leaves access keys what they are.
func TestRevocation_RetiredKey(t *testing.T) {
	g := start(t)
	g.repositories(victim, "first")
	s := g.story(0)
	session := g.bearer(holders["session of the role"](s))
	user := g.bearer(s.base)
	for _, step := range []struct {
		old, next string
		open      bool
	}{{"active", "verify-only", true}, {"verify-only", "active", true}, {"retired", "active", false}} {
		g.stop()
		g.rotate(step.old, step.next)
		g.serve()
		for name, b := range map[string]bearer{"session": session, "user": user} {
			for path, header := range map[string]string{appTags: b.image, libPath: b.packages} {
				if status, body := g.send(g.get(path, header)); (status == http.StatusOK) != step.open {
					t.Errorf("old key %s: the token of the %s at %s: %d %s", step.old, name, path, status, body)
				}
			}
			k := g.keys(b.Config)
			_, err := ecr.NewFromConfig(g.with(k.AccessKeyID, k.SecretAccessKey, k.SessionToken)).DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{})
			if open := step.open || name == "user"; (err == nil) != open {
				t.Errorf("old key %s: the %s signs: %v", step.old, name, err)
			}
		}
	}
}

// rotate sets the states of the keyring's first and second key. It adds the second if
// it is missing.
func (g *fixture) rotate(first, second string) {
	g.t.Helper()
	path := filepath.Join(g.data, "keyring.json")
	var file struct {
		Version int                 `json:"version"`
		Keys    []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal(must(os.ReadFile(path))(g.t), &file); err != nil {
		g.t.Fatal(err)
	}
	if len(file.Keys) == 1 {
		file.Keys = append(file.Keys, map[string]string{
			"id": "feedf00d", "created": "2026-01-01T00:00:00Z", "secret": base64.StdEncoding.EncodeToString([]byte(strings.Repeat("n", 32))),
		})
	}
	file.Keys[0]["state"], file.Keys[1]["state"] = first, second
	file.Version = 1 // the form that is edited by hand
	delete(file.Keys[0], "activated")
	if err := os.WriteFile(path, must(json.Marshal(file))(g.t), 0o600); err != nil {
		g.t.Fatal(err)
	}
}
