package authtoken_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	serverconfig "github.com/gatehouse-registry/gatehouse/internal/server/config"
)

// childVariable makes the test's own binary a process that prints a token.
const childVariable = "AUTHTOKEN_TEST_CACHE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(m.Run())
}

// child prints a token of the domain acme, by the configuration in its
// environment.
func child(dir string) int {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err == nil {
		var t authtoken.Token
		t, err = authtoken.CodeArtifact(cfg, "acme", authtoken.CacheDir(dir)).Token(ctx)
		fmt.Println(t.Value)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// A testServer is a server with the domain acme.
type testServer struct {
	t   *testing.T
	url string
	env []string     // of the admin
	cfg aws.Config   // of the admin
	net *countingNet // under cfg
	clock
}

func startServer(t *testing.T) *testServer {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	c := serverconfig.Default()
	c.Data, c.Listen, c.Log.Level = data, "127.0.0.1:0", "error"
	ctx, cancel := context.WithCancel(context.Background())
	g := &testServer{t: t, net: new(countingNet)}
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
	if g.env, err = app.Environment(data); err != nil {
		t.Fatal(err)
	}
	g.cfg, err = config.LoadDefaultConfig(t.Context(),
		config.WithSharedConfigFiles([]string{filepath.Join(data, "aws/config")}),
		config.WithSharedCredentialsFiles([]string{filepath.Join(data, "aws/credentials")}),
		config.WithSharedConfigProfile(app.ProfileName),
		config.WithRetryMaxAttempts(1))
	if err != nil {
		t.Fatal(err)
	}
	domain := "acme"
	ca := codeartifact.NewFromConfig(g.cfg)
	if _, err := ca.CreateDomain(t.Context(), &codeartifact.CreateDomainInput{Domain: &domain}); err != nil {
		t.Fatal(err)
	}
	if _, err := ca.CreateRepository(t.Context(), &codeartifact.CreateRepositoryInput{Domain: &domain, Repository: aws.String("lib")}); err != nil {
		t.Fatal(err)
	}
	g.cfg.HTTPClient = g.net
	return g
}

// user is the configuration of a new user who may do what the actions say.
func (g *testServer) user(name string, actions ...string) aws.Config {
	g.t.Helper()
	ctx, c := g.t.Context(), iam.NewFromConfig(g.cfg)
	if _, err := c.CreateUser(ctx, &iam.CreateUserInput{UserName: &name}); err != nil {
		g.t.Fatal(err)
	}
	document := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["` + strings.Join(actions, `","`) + `"],"Resource":"*"}}`
	if _, err := c.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String("p"), PolicyDocument: &document}); err != nil {
		g.t.Fatal(err)
	}
	key, err := c.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		g.t.Fatal(err)
	}
	return g.with(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey)
}

func (g *testServer) with(id, secret string) aws.Config {
	cfg := g.cfg.Copy()
	cfg.Credentials = fixed(id, secret)
	return cfg
}

func fixed(id, secret string) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}, nil
	})
}

// issued is how many tokens the server says it was asked for.
func (g *testServer) issued() int {
	g.t.Helper()
	res, err := http.Get(g.url + "/metrics")
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	total := 0
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		line := lines.Text()
		if !strings.HasPrefix(line, "gatehouse_requests_total{") || !strings.Contains(line, `GetAuthorizationToken"`) {
			continue
		}
		n, err := strconv.Atoi(line[strings.LastIndexByte(line, ' ')+1:])
		if err != nil {
			g.t.Fatal(err)
		}
		total += n
	}
	return total
}

// A countingNet counts requests, and fails them while it is down.
type countingNet struct {
	calls atomic.Int64
	down  atomic.Bool
}

var errDown = errors.New("the network is down")

// Do implements aws.HTTPClient.
func (n *countingNet) Do(r *http.Request) (*http.Response, error) {
	n.calls.Add(1)
	if n.down.Load() {
		return nil, errDown
	}
	return http.DefaultClient.Do(r)
}

// A clock is moved by the test.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

func token(t *testing.T, s *authtoken.Source) authtoken.Token {
	t.Helper()
	got, err := s.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got
}
