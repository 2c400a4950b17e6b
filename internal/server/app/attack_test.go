package app_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/gatehouse-registry/gatehouse/internal/aws/sdktest"
	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

// The two accounts of the attacked server, its regions, and the suffix of its
// AWS-shaped hosts.
const (
	victim       = "000000000001"
	stranger     = "000000000002"
	region       = "us-east-1"
	secondRegion = "eu-west-1"
	suffix       = "aws.example"
)

// A fixture is a complete server, which tests attack through its address.
type fixture struct {
	t      *testing.T
	url    string
	data   string
	log    *buffer
	offset atomic.Int64 // nanoseconds that the server's clock is ahead
	stop   func()       // stops the server and waits for its end
	change func(*config.Config)
	server *app.Server
}

// A buffer is written by the server and read by the test.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// start starts a server with two accounts, two regions and AWS-shaped hosts,
// which logs everything that it ever logs.
func start(t *testing.T) *fixture {
	t.Helper()
	return startWith(t, func(*config.Config) {})
}

// startWith is start with a configuration that is changed.
func startWith(t *testing.T, change func(*config.Config)) *fixture {
	t.Helper()
	g := &fixture{t: t, data: filepath.Join(t.TempDir(), "data"), log: new(buffer), change: change}
	g.serve()
	return g
}

// serve starts the server on the fixture's data folder, again after a stop.
func (g *fixture) serve() {
	g.t.Helper()
	c := config.Default()
	c.Data, c.Listen, c.Accounts, c.Regions = g.data, "127.0.0.1:0", []string{stranger}, []string{secondRegion}
	c.DomainSuffix, c.Log.Level = suffix, "debug"
	g.change(c)
	ctx, cancel := context.WithCancel(context.Background())
	s, err := app.Start(ctx, c, app.WithClock(g.now), app.WithLog(g.log))
	if err != nil {
		cancel()
		g.t.Fatal(err)
	}
	g.stop = sync.OnceFunc(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := s.Wait(); err != nil {
			g.t.Error(err)
		}
	})
	g.t.Cleanup(g.stop)
	g.url, g.server = s.Address(), s
}

func (g *fixture) now() time.Time { return time.Now().Add(time.Duration(g.offset.Load())) }

// admin is the configuration of an account's first user.
func (g *fixture) admin(account string) aws.Config {
	g.t.Helper()
	name := app.ProfileName
	if account != victim {
		name += "-" + account
	}
	c, err := awsconfig.LoadDefaultConfig(g.t.Context(),
		awsconfig.WithSharedConfigFiles([]string{filepath.Join(g.data, "aws/config")}),
		awsconfig.WithSharedCredentialsFiles([]string{filepath.Join(g.data, "aws/credentials")}),
		awsconfig.WithSharedConfigProfile(name), awsconfig.WithRegion(region),
		awsconfig.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }))
	if err != nil {
		g.t.Fatal(err)
	}
	c.HTTPClient = sdktest.HTTPClient{} // later, since a CA bundle in the environment asks for the SDK's own
	return c
}

// with is a configuration for other credentials.
func (g *fixture) with(id, secret, session string) aws.Config {
	c := g.admin(victim)
	c.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: session}, nil
	})
	return c
}

func (g *fixture) keys(c aws.Config) aws.Credentials {
	g.t.Helper()
	return must(c.Credentials.Retrieve(g.t.Context()))(g.t)
}

// must returns the result of a call, and fails the test if the call failed.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// policyOf is a document of the statements.
func policyOf(statements ...string) *string {
	return aws.String(`{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`)
}

// allow is a statement.
func allow(action, resource string) string {
	return `{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}`
}

// user creates a user of the account with an inline policy of the statements,
// or with none.
func (g *fixture) user(account, name string, statements ...string) aws.Config {
	g.t.Helper()
	ctx, c := g.t.Context(), iam.NewFromConfig(g.admin(account))
	must(c.CreateUser(ctx, &iam.CreateUserInput{UserName: &name}))(g.t)
	if len(statements) > 0 {
		must(c.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String("p"), PolicyDocument: policyOf(statements...)}))(g.t)
	}
	key := must(c.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &name}))(g.t).AccessKey
	return g.with(*key.AccessKeyId, *key.SecretAccessKey, "")
}

// drop deletes what user created.
func (g *fixture) drop(account, name string) {
	g.t.Helper()
	ctx, c := g.t.Context(), iam.NewFromConfig(g.admin(account))
	for _, k := range must(c.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: &name}))(g.t).AccessKeyMetadata {
		must(c.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: &name, AccessKeyId: k.AccessKeyId}))(g.t)
	}
	for _, p := range must(c.ListUserPolicies(ctx, &iam.ListUserPoliciesInput{UserName: &name}))(g.t).PolicyNames {
		must(c.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: &name, PolicyName: &p}))(g.t)
	}
	must(c.DeleteUser(ctx, &iam.DeleteUserInput{UserName: &name}))(g.t)
}

// role creates a role of the victim's account that its account trusts.
func (g *fixture) role(name string, statements ...string) string {
	g.t.Helper()
	ctx, c := g.t.Context(), iam.NewFromConfig(g.admin(victim))
	trust := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + victim + `"},"Action":["sts:AssumeRole","sts:TagSession"]}}`
	r := must(c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust, MaxSessionDuration: aws.Int32(12 * 3600)}))(g.t)
	must(c.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("p"), PolicyDocument: policyOf(statements...)}))(g.t)
	return *r.Role.Arn
}

// assume is a session of a role, with an optional session policy.
func (g *fixture) assume(by aws.Config, role string, sessionPolicy *string) aws.Config {
	g.t.Helper()
	out := must(sts.NewFromConfig(by).AssumeRole(g.t.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("session"), Policy: sessionPolicy}))(g.t)
	return g.with(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
}

// repositories makes an ECR repository "app" and a CodeArtifact domain with a
// repository "lib".
func (g *fixture) repositories(account, domain string) {
	g.t.Helper()
	ctx, c := g.t.Context(), g.admin(account)
	must(ecr.NewFromConfig(c).CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("app")}))(g.t)
	ca := codeartifact.NewFromConfig(c)
	must(ca.CreateDomain(ctx, &codeartifact.CreateDomainInput{Domain: &domain}))(g.t)
	must(ca.CreateRepository(ctx, &codeartifact.CreateRepositoryInput{Domain: &domain, Repository: aws.String("lib")}))(g.t)
}

// packageToken is a CodeArtifact token for a domain of the caller's account.
func (g *fixture) packageToken(c aws.Config, domain string) string {
	g.t.Helper()
	return *must(codeartifact.NewFromConfig(c).GetAuthorizationToken(g.t.Context(), &codeartifact.GetAuthorizationTokenInput{Domain: &domain}))(g.t).AuthorizationToken
}

// imageToken is an ECR token as the value of a Basic header.
func (g *fixture) imageToken(c aws.Config) string {
	g.t.Helper()
	return *must(ecr.NewFromConfig(c).GetAuthorizationToken(g.t.Context(), &ecr.GetAuthorizationTokenInput{}))(g.t).AuthorizationData[0].AuthorizationToken
}

// request is a request to the server.
func (g *fixture) request(method, path, body string) *http.Request {
	g.t.Helper()
	return must(http.NewRequestWithContext(g.t.Context(), method, g.url+path, strings.NewReader(body)))(g.t)
}

// get is a request for a path with an Authorization header.
func (g *fixture) get(path, authorization string) *http.Request {
	r := g.request(http.MethodGet, path, "")
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return r
}

// send sends a request and returns the status and the body of the answer.
func (g *fixture) send(r *http.Request) (int, string) {
	g.t.Helper()
	answer := must(http.DefaultClient.Do(r))(g.t)
	defer answer.Body.Close()
	return answer.StatusCode, string(must(io.ReadAll(answer.Body))(g.t))
}

// sign signs a request with a body.
func (g *fixture) sign(r *http.Request, keys aws.Credentials, body, service, region string, at time.Time) *http.Request {
	g.t.Helper()
	if err := v4.NewSigner().SignHTTP(g.t.Context(), keys, r, hash(body), service, region, at); err != nil {
		g.t.Fatal(err)
	}
	return r
}

func hash(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}
