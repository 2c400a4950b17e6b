package app_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/gatehouse-registry/gatehouse/internal/aws/sdktest"
	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

// A declaredServer is started again and again on one data folder, with another
// file each time.
type declaredServer struct {
	t         *testing.T
	dir, data string
	log       *buffer
	stop      func()
}

func newDeclaredServer(t *testing.T) *declaredServer {
	dir := t.TempDir()
	return &declaredServer{t: t, dir: dir, data: filepath.Join(dir, "data"), stop: func() {}}
}

// start starts the server with a file, after stopping it. The error is Start's or,
// before that, the configuration's.
func (s *declaredServer) start(file string) error {
	s.t.Helper()
	s.stop()
	s.stop, s.log = func() {}, new(buffer)
	path := filepath.Join(s.dir, "gatehouse.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		s.t.Fatal(err)
	}
	c := config.Default()
	if err := errors.Join(c.Read(path), c.Validate()); err != nil {
		return err
	}
	c.Data, c.Listen = s.data, "127.0.0.1:0"
	ctx, cancel := context.WithCancel(context.Background())
	server, err := app.Start(ctx, c, app.WithLog(s.log))
	if err != nil {
		cancel()
		return err
	}
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := server.Wait(); err != nil {
			s.t.Error(err)
		}
	})
	s.t.Cleanup(s.stop)
	return nil
}

// profile is the configuration of a profile that the server has written.
func (s *declaredServer) profile(name string) aws.Config {
	s.t.Helper()
	c := must(awsconfig.LoadDefaultConfig(s.t.Context(),
		awsconfig.WithSharedConfigFiles([]string{filepath.Join(s.data, "aws/config")}),
		awsconfig.WithSharedCredentialsFiles([]string{filepath.Join(s.data, "aws/credentials")}),
		awsconfig.WithSharedConfigProfile(name),
		awsconfig.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} })))(s.t)
	c.HTTPClient = sdktest.HTTPClient{}
	return c
}

// changes are the lines of the log that tell what was applied.
func (s *declaredServer) changes() []string {
	s.stop() // the log is written in batches
	var lines []string
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, "declared identity") {
			lines = append(lines, line)
		}
	}
	return lines
}

const identities = `
accounts: ["000000000002"]
iam:
  policies:
    push:
      document: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "ecr:*", Resource: "*"}]}
  oidc_providers:
    https://token.actions.githubusercontent.com: {client_ids: [sts.amazonaws.com]}
  users:
    alice: {policies: [push], access_keys: [ci]}
  accounts:
    "000000000002":
      roles:
        ci:
          trust: {Version: "2012-10-17", Statement: [{Effect: Allow, Principal: {AWS: "arn:aws:iam::000000000001:user/alice"}, Action: "sts:AssumeRole"}]}
`

func TestStart_DeclaredIdentities(t *testing.T) {
	s := newDeclaredServer(t)
	if err := s.start(identities); err != nil {
		t.Fatal(err)
	}
	ctx, alice := t.Context(), s.profile("gatehouse/alice/ci")
	id := must(sts.NewFromConfig(alice).GetCallerIdentity(ctx, nil))(t)
	if *id.Arn != "arn:aws:iam::000000000001:user/alice" {
		t.Errorf("the profile is %s's", *id.Arn)
	}
	must(ecr.NewFromConfig(alice).GetAuthorizationToken(ctx, nil))(t)
	secret := must(alice.Credentials.Retrieve(ctx))(t).SecretAccessKey
	if got := s.changes(); len(got) != 4 || strings.Contains(s.log.String(), secret) {
		t.Errorf("log: %q", got)
	}
	records := string(must(os.ReadFile(filepath.Join(s.data, "audit.jsonl")))(t))
	if strings.Count(records, "ApplyDeclaration") != 4 || strings.Contains(records, secret) {
		t.Errorf("audit: %s", records)
	}

	// The same file, and no iam at all, change nothing.
	for _, file := range []string{identities, `accounts: ["000000000002"]`} {
		if err := s.start(file); err != nil {
			t.Fatal(err)
		}
		if again := must(s.profile("gatehouse/alice/ci").Credentials.Retrieve(ctx))(t); again.SecretAccessKey != secret {
			t.Error("the key has changed")
		}
		if got := s.changes(); len(got) != 0 {
			t.Errorf("log: %q", got)
		}
	}
	if !strings.Contains(s.log.String(), "declare iam: {}") {
		t.Errorf("nothing is said about what stays: %s", s.log)
	}

	// What cannot be applied stops the start, and nothing has changed.
	for _, file := range []string{
		identities + "  users_: {}\n",
		strings.Replace(identities, "[push]", "[pull]", 1),
		strings.Replace(identities, "Effect: Allow", "Effect: Perhaps", 1),
		strings.Replace(identities, "user/alice", "user/bob", 1),
		identities + "  groups: {admins: {policies: [push, push]}}\n",
	} {
		if err := s.start(file); err == nil {
			t.Errorf("started with %s", file)
		}
	}
	err := s.start(strings.Replace(identities, "user/alice", "user/bob", 1))
	if !errors.Is(err, app.ErrConfiguration) || !strings.Contains(err.Error(), "iam.accounts.000000000002.roles.ci.trust (line 15): ") {
		t.Errorf("err = %v", err)
	}

	// An empty iam deletes everything that was declared.
	if err := s.start(`{accounts: ["000000000002"], iam: {}}`); err != nil {
		t.Fatal(err)
	}
	if _, err := sts.NewFromConfig(s.profile(app.ProfileName)).GetCallerIdentity(ctx, nil); err != nil {
		t.Errorf("the admin: %v", err)
	}
	if got := s.changes(); len(got) != 4 || !strings.Contains(got[0], "deleted") {
		t.Errorf("log: %q", got)
	}
	if profiles := string(must(os.ReadFile(filepath.Join(s.data, "aws/credentials")))(t)); strings.Contains(profiles, "alice") {
		t.Error("the profile of a deleted key is left")
	}
}

// A declaration with a formal error is refused before there is a data folder.
func TestStart_InvalidDeclaration(t *testing.T) {
	s := newDeclaredServer(t)
	err := s.start(strings.Replace(identities, "alice:", "al ice:", 1))
	if !errors.Is(err, app.ErrConfiguration) || !strings.HasPrefix(err.Error(), "configuration: iam.users.al ice: ") {
		t.Errorf("err = %v", err)
	}
	if _, err := os.Stat(s.data); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data folder: %v", err)
	}
}

// TestStart_Guardrail: whatever an account's principals are given, the guardrail limits
// them, on every route and with AWS's messages. Principals of other accounts are not
// limited.
func TestStart_Guardrail(t *testing.T) {
	s := newDeclaredServer(t)
	const file = `
accounts: ["000000000002"]
guardrail:
  "000000000002":
    Version: "2012-10-17"
    Statement:
      - {Effect: Allow, Action: ["ecr:*", "iam:*", "sts:*"], Resource: "*"}
      - {Effect: Deny, Action: "ecr:DeleteRepository", Resource: "*"}
`
	if err := s.start(file); err != nil {
		t.Fatal(err)
	}
	ctx, name := t.Context(), aws.String("app")
	for account, limited := range map[string]bool{"gatehouse": false, "gatehouse-000000000002": true} {
		admin := s.profile(account)
		role := must(iam.NewFromConfig(admin).CreateRole(ctx, &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: aws.String(
			`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}}`)}))(t)
		must(iam.NewFromConfig(admin).AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: name, PolicyArn: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")}))(t)
		assumed := must(sts.NewFromConfig(admin).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: role.Role.Arn, RoleSessionName: name}))(t).Credentials
		session := s.profile(account)
		session.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: *assumed.AccessKeyId, SecretAccessKey: *assumed.SecretAccessKey, SessionToken: *assumed.SessionToken}, nil
		})
		must(ecr.NewFromConfig(admin).CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: name}))(t)
		for _, who := range []aws.Config{admin, session} {
			for _, call := range []struct {
				do    func() error
				words string
			}{
				{func() error {
					_, err := ecr.NewFromConfig(who).DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: aws.String("none")})
					return err
				}, "with an explicit deny in a service control policy"},
				{func() error {
					_, err := codeartifactToken(ctx, who)
					return err
				}, "because no service control policy allows the codeartifact:GetAuthorizationToken action"},
			} {
				err := call.do()
				var api smithy.APIError
				if !errors.As(err, &api) {
					t.Fatalf("err = %v", err)
				}
				if denied := strings.Contains(api.ErrorMessage(), call.words); denied != limited {
					t.Errorf("%s: %v", account, err)
				}
			}
		}
	}
}

func codeartifactToken(ctx context.Context, c aws.Config) (*codeartifact.GetAuthorizationTokenOutput, error) {
	return codeartifact.NewFromConfig(c).GetAuthorizationToken(ctx, &codeartifact.GetAuthorizationTokenInput{Domain: aws.String("none")})
}
