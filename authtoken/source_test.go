package authtoken_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
	"github.com/aws/smithy-go"
	"golang.org/x/oauth2"

	"github.com/gatehouse-registry/gatehouse/authtoken"
)

const hour = time.Hour

func TestToken_BothServices(t *testing.T) {
	g := startServer(t)
	ca := token(t, authtoken.CodeArtifact(g.cfg, "acme", authtoken.InMemory(), authtoken.Duration(15*time.Minute)))
	if ca.Username != "aws" || ca.Password == "" || ca.Type != "Bearer" || ca.Authorization() != "Bearer "+ca.Password || ca.Endpoint != "" {
		t.Errorf("CodeArtifact: %+v", ca)
	}
	if left := time.Until(ca.Expires); left < 14*time.Minute || left > 15*time.Minute {
		t.Errorf("asked for 15 minutes, got %v", left)
	}
	er := token(t, authtoken.ECR(g.cfg, authtoken.InMemory()))
	if want := base64.StdEncoding.EncodeToString([]byte("AWS:" + er.Password)); er.Value != want || er.Authorization() != "Basic "+want || er.BasicAuthorization() != er.Authorization() {
		t.Errorf("ECR: %+v", er)
	}
	if er.Endpoint != g.url {
		t.Errorf("ECR names %s, and the server is %s", er.Endpoint, g.url)
	}
}

// An http.Client of package oauth2 is let in by repositories and by registries.
func TestOAuth2(t *testing.T) {
	g := startServer(t)
	for path, s := range map[string]*authtoken.Source{
		"/codeartifact/us-east-1/000000000001/acme/pypi/lib/simple/": authtoken.CodeArtifact(g.cfg, "acme", authtoken.InMemory()),
		"/v2/": authtoken.ECR(g.cfg, authtoken.InMemory()),
	} {
		res, err := oauth2.NewClient(t.Context(), s.OAuth2(t.Context())).Get(g.url + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}

func TestToken_OneCallForAllWaiters(t *testing.T) {
	g, dir := startServer(t), t.TempDir()
	// Two sources: within one it is the flight, between them the lock.
	sources := []*authtoken.Source{
		authtoken.CodeArtifact(g.cfg, "acme", authtoken.CacheDir(dir)),
		authtoken.CodeArtifact(g.cfg, "acme", authtoken.CacheDir(dir)),
	}
	got := make([]authtoken.Token, 40)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() {
			var err error
			if got[i], err = sources[i%2].Token(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, other := range got {
		if other.Value != got[0].Value {
			t.Error("two tokens")
		}
	}
	if n := g.net.calls.Load(); n != 1 {
		t.Errorf("%d calls", n)
	}
}

// Tokens are renewed at 40 to 60 percent of their life. A failed renewal has no
// effect, and no caller gets an expired token.
func TestToken_Renewal(t *testing.T) {
	for name, keep := range map[string]authtoken.Option{"memory": authtoken.InMemory(), "file": authtoken.CacheDir(t.TempDir())} {
		t.Run(name, func(t *testing.T) {
			g, c := startServer(t), new(clock)
			s := authtoken.CodeArtifact(g.cfg, "acme", keep, authtoken.Clock(c.now))
			first := token(t, s)
			c.advance(4*hour + 47*time.Minute)
			if token(t, s) != first || g.net.calls.Load() != 1 {
				t.Error("renewed before 40 percent of its life")
			}
			c.advance(2*hour + 26*time.Minute) // 60 percent
			g.net.down.Store(true)
			if token(t, s) != first || g.net.calls.Load() != 2 {
				t.Error("a failing renewal is not tried, or fails the caller")
			}
			if token(t, s) != first || g.net.calls.Load() != 2 {
				t.Error("a failed renewal is tried again at once")
			}
			c.advance(2 * time.Minute)
			g.net.down.Store(false)
			second := token(t, s)
			if second == first || g.net.calls.Load() != 3 {
				t.Error("not renewed after 60 percent of its life")
			}
			g.net.down.Store(true)
			c.offset.Store(int64(12*hour - time.Second))
			if got, err := s.Token(t.Context()); err == nil {
				t.Errorf("served %v at %v", got, c.now())
			} else if !errors.Is(err, errDown) {
				t.Error(err)
			}
		})
	}
}

// A token expires on the server, and the source has a new one.
func TestToken_Expired(t *testing.T) {
	g := startServer(t)
	g.cfg.RetryMaxAttempts = 2 // the first request after the clock jumps corrects the SDK's
	g.advance(-14 * time.Minute)
	s := authtoken.CodeArtifact(g.cfg, "acme", authtoken.CacheDir(t.TempDir()), authtoken.Duration(15*time.Minute))
	visit := func(given authtoken.Token) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url+"/codeartifact/us-east-1/000000000001/acme/pypi/lib/simple/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", given.BasicAuthorization())
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	first := token(t, s)
	if got := visit(first); got != http.StatusOK {
		t.Fatalf("status %d", got)
	}
	g.advance(16 * time.Minute)
	if got := visit(first); got == http.StatusOK {
		t.Fatal("the token did not expire")
	}
	if got := visit(token(t, s)); got != http.StatusOK {
		t.Errorf("status %d", got)
	}
}

// Whoever gives up waiting does not take the call with them.
func TestToken_CancelledCaller(t *testing.T) {
	g := startServer(t)
	gated := &gatedNet{next: g.net, begun: make(chan struct{}), release: make(chan struct{})}
	cfg := g.cfg.Copy()
	cfg.HTTPClient = gated
	s := authtoken.ECR(cfg, authtoken.InMemory())
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := s.Token(ctx)
		failed <- err
	}()
	<-gated.begun
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(gated.release)
	token(t, s)
	if n := g.net.calls.Load(); n != 1 {
		t.Errorf("%d calls", n)
	}
}

// A gatedNet holds the first request until it is released.
type gatedNet struct {
	next           aws.HTTPClient
	once           sync.Once
	begun, release chan struct{}
}

// Do implements aws.HTTPClient.
func (n *gatedNet) Do(r *http.Request) (*http.Response, error) {
	n.once.Do(func() { close(n.begun) })
	<-n.release
	return n.next.Do(r)
}

func TestForget(t *testing.T) {
	g := startServer(t)
	s := authtoken.ECR(g.cfg, authtoken.CacheDir(t.TempDir()))
	first := token(t, s)
	if err := s.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if token(t, s).Value == first.Value {
		t.Error("the forgotten token came back")
	}
	if err := authtoken.ECR(g.cfg, authtoken.CacheDir(t.TempDir())).Forget(t.Context()); err != nil {
		t.Errorf("nothing to forget: %v", err)
	}
}

// Cached makes no call, and returns no expired token.
func TestCached(t *testing.T) {
	g, dir, c := startServer(t), t.TempDir(), &clock{}
	source := func() *authtoken.Source {
		return authtoken.ECR(g.cfg, authtoken.CacheDir(dir), authtoken.Clock(c.now))
	}
	if _, ok, err := source().Cached(t.Context()); ok || err != nil {
		t.Errorf("nothing was fetched: %v, %v", ok, err)
	}
	before := g.issued()
	want := token(t, source())
	if got, ok, err := source().Cached(t.Context()); !ok || err != nil || got.Password != want.Password || !got.Expires.Equal(want.Expires) {
		t.Errorf("%v, %v, %v", got, ok, err)
	}
	c.advance(12 * hour)
	if _, ok, err := source().Cached(t.Context()); ok || err != nil {
		t.Errorf("after its expiry: %v, %v", ok, err)
	}
	if n := g.issued() - before; n != 1 {
		t.Errorf("%d calls", n)
	}
	cfg := g.cfg
	cfg.Credentials = nil
	if _, _, err := authtoken.ECR(cfg).Cached(t.Context()); !is[*authtoken.CredentialsError](err) {
		t.Error(err)
	}
}

func TestToken_Errors(t *testing.T) {
	g := startServer(t)
	memory := authtoken.InMemory()
	nobody, noRegion, anonymous := g.cfg.Copy(), g.cfg.Copy(), g.cfg.Copy()
	nobody.Credentials, noRegion.Region, anonymous.Credentials = nil, "", aws.AnonymousCredentials{}
	failing := errors.New("the profile is damaged")
	broken := g.cfg.Copy()
	broken.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, failing })
	half := g.user("half", "codeartifact:*")
	for name, c := range map[string]struct {
		source *authtoken.Source
		check  func(error) bool
	}{
		"unknown domain": {authtoken.CodeArtifact(g.cfg, "nowhere", memory), is[*types.ResourceNotFoundException]},
		"without GetServiceBearerToken": {authtoken.CodeArtifact(half, "acme", memory), func(err error) bool {
			return is[*types.AccessDeniedException](err) && strings.Contains(err.Error(), "sts:GetServiceBearerToken")
		}},
		"duration": {authtoken.CodeArtifact(g.cfg, "acme", memory, authtoken.Duration(time.Minute)), is[*types.ValidationException]},
		"ECR denied": {authtoken.ECR(half, memory), func(err error) bool {
			var e smithy.APIError
			return errors.As(err, &e) && e.ErrorCode() == "AccessDeniedException"
		}},
		"no credentials": {authtoken.ECR(nobody, memory), is[*authtoken.CredentialsError]},
		"anonymous":      {authtoken.ECR(anonymous, memory), is[*authtoken.CredentialsError]},
		"failing credentials": {authtoken.ECR(broken, memory), func(err error) bool {
			return is[*authtoken.CredentialsError](err) && errors.Is(err, failing)
		}},
		"no region": {authtoken.ECR(noRegion, memory), is[*aws.MissingRegionError]},
	} {
		if _, err := c.source.Token(t.Context()); err == nil || !c.check(err) {
			t.Errorf("%s: %T %v", name, err, err)
		}
	}
}

func is[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

// Every usual way to write a token to a log leaves the secret out.
func TestToken_NotLogged(t *testing.T) {
	secret := authtoken.Token{Username: "aws", Password: "canary", Value: "canary", Type: "Bearer"}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("token", "token", secret, "pointer", &secret)
	fmt.Fprintf(&log, "%v %+v %#v %s %v", secret, secret, secret, secret, &secret)
	if strings.Contains(log.String(), "canary") {
		t.Error(log.String())
	}
}

func BenchmarkToken(b *testing.B) {
	cfg := aws.Config{Region: "us-east-1", Credentials: fixed("AKIAEXAMPLE", "secret"), HTTPClient: canned{}}
	s := authtoken.ECR(cfg, authtoken.InMemory())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Token(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTokenFromFile(b *testing.B) {
	cfg := aws.Config{Region: "us-east-1", Credentials: fixed("AKIAEXAMPLE", "secret"), HTTPClient: canned{}}
	dir, err := os.MkdirTemp(b.TempDir(), "")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := authtoken.ECR(cfg, authtoken.CacheDir(dir)).Token(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
