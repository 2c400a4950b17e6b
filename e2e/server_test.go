package e2e

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/gatehouse-registry/gatehouse/internal/aws/sdktest"
	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

// A fixture is a server inside the test process. The test can move its clock.
type fixture struct {
	t      *testing.T
	url    string
	data   string
	offset atomic.Int64 // how far the server's clock is ahead, in nanoseconds
}

// Accounts of the tests. The first is the server's own.
const (
	account = "000000000001"
	other   = "000000000002"
	region  = "us-east-1"
	suffix  = "aws.example"
)

// newFixture starts a server with two accounts and AWS-shaped hosts.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	g := &fixture{t: t, data: filepath.Join(t.TempDir(), "data")}
	c := config.Default()
	c.Data, c.Listen, c.Accounts, c.DomainSuffix, c.Log.Level = g.data, "127.0.0.1:0", []string{other}, suffix, "error"
	ctx, cancel := context.WithCancel(context.Background())
	s, err := app.Start(ctx, c, app.WithClock(g.now))
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := s.Wait(); err != nil {
			t.Error(err)
		}
	})
	g.url = s.URL()
	return g
}

func (g *fixture) now() time.Time { return time.Now().Add(time.Duration(g.offset.Load())) }

// advance moves the server's clock forward. Signatures made afterwards are too old
// for the server; tokens still work.
func (g *fixture) advance(d time.Duration) { g.offset.Add(int64(d)) }

// profile returns the configuration of the account's admin.
func (g *fixture) profile(account string) aws.Config {
	g.t.Helper()
	name := "gatehouse"
	if account == other {
		name += "-" + other
	}
	c, err := awsconfig.LoadDefaultConfig(g.t.Context(),
		awsconfig.WithSharedConfigFiles([]string{filepath.Join(g.data, "aws/config")}),
		awsconfig.WithSharedCredentialsFiles([]string{filepath.Join(g.data, "aws/credentials")}),
		awsconfig.WithSharedConfigProfile(name))
	if err != nil {
		g.t.Fatal(err)
	}
	c.HTTPClient = sdktest.HTTPClient{} // set here, since with a CA bundle in the environment LoadDefaultConfig needs the SDK's client
	return c
}

// with returns a configuration with other credentials.
func (g *fixture) with(id, secret, session string) aws.Config {
	c := g.profile(account)
	c.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: session}, nil
	})
	return c
}

// user creates a user with an inline policy of the statements.
func (g *fixture) user(name string, statements ...string) aws.Config {
	g.t.Helper()
	c := iam.NewFromConfig(g.profile(account))
	if _, err := c.CreateUser(g.t.Context(), &iam.CreateUserInput{UserName: &name}); err != nil {
		g.t.Fatal(err)
	}
	g.allow(name, statements...)
	key, err := c.CreateAccessKey(g.t.Context(), &iam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		g.t.Fatal(err)
	}
	return g.with(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey, "")
}

// allow replaces the user's policy.
func (g *fixture) allow(name string, statements ...string) {
	g.t.Helper()
	document := `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
	if len(statements) == 0 {
		document = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"none:none","Resource":"*"}]}`
	}
	if _, err := iam.NewFromConfig(g.profile(account)).PutUserPolicy(g.t.Context(), &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String("p"), PolicyDocument: &document}); err != nil {
		g.t.Fatal(err)
	}
}

// session creates a role that may do everything and assumes it for 15 minutes.
func (g *fixture) session(role, name string) (aws.Config, *sts.AssumeRoleOutput) {
	g.t.Helper()
	ctx, c := g.t.Context(), iam.NewFromConfig(g.profile(account))
	trust := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":"sts:AssumeRole"}}`
	r, err := c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &role, AssumeRolePolicyDocument: &trust})
	if err != nil {
		g.t.Fatal(err)
	}
	if _, err := c.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &role, PolicyArn: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")}); err != nil {
		g.t.Fatal(err)
	}
	out, err := sts.NewFromConfig(g.profile(account)).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: r.Role.Arn, RoleSessionName: &name, DurationSeconds: aws.Int32(900)})
	if err != nil {
		g.t.Fatal(err)
	}
	return g.with(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken), out
}

// repositories creates an ECR repository "app" and a CodeArtifact domain with a
// repository "lib" in it.
func (g *fixture) repositories(account, domain string) {
	g.t.Helper()
	ctx, c := g.t.Context(), g.profile(account)
	if _, err := ecr.NewFromConfig(c).CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("app")}); err != nil {
		g.t.Fatal(err)
	}
	ca := codeartifact.NewFromConfig(c)
	if _, err := ca.CreateDomain(ctx, &codeartifact.CreateDomainInput{Domain: &domain}); err != nil {
		g.t.Fatal(err)
	}
	if _, err := ca.CreateRepository(ctx, &codeartifact.CreateRepositoryInput{Domain: &domain, Repository: aws.String("lib")}); err != nil {
		g.t.Fatal(err)
	}
}

// get requests a path with an Authorization header, as if from a host, and
// returns the status and the body.
func (g *fixture) get(host, path, authorization string) (int, string) {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, g.url+path, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	r.Host = host
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return g.do(r)
}

// do sends a request and returns the status and the body.
func (g *fixture) do(r *http.Request) (int, string) {
	g.t.Helper()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// run runs a client of linkClients with the first account's profile, and returns
// what it printed. It fails the test if the client fails.
func (g *fixture) run(stdin, client string, args ...string) string {
	g.t.Helper()
	cmd := exec.CommandContext(g.t.Context(), "sh", append([]string{"-c", `exec "$0" "$@"`, client}, args...)...)
	home := g.t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+home, "PATH="+binary+":"+os.Getenv("PATH"), "DOCKER_CONFIG="+home, "AWS_PAGER=",
		"AWS_CONFIG_FILE="+filepath.Join(g.data, "aws/config"), "AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(g.data, "aws/credentials"),
		"AWS_PROFILE=gatehouse", "URL="+g.url, "AWS_EC2_METADATA_DISABLED=true", "PIP_CONFIG_FILE="+filepath.Join(home, "pip.conf"),
		"NODE_PATH="+filepath.Join(module, ".tools/npm/sdk/node_modules"))
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		g.t.Fatalf("%s %v: %v\n%s%s", client, args, err, stdout.String(), stderr.String())
	}
	return stdout.String()
}
