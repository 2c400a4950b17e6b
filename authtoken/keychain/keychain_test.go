package keychain_test

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/authtoken/keychain"
	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	serverconfig "github.com/gatehouse-registry/gatehouse/internal/server/config"
)

var (
	_ authn.Keychain        = (*keychain.Keychain)(nil)
	_ authn.ContextKeychain = (*keychain.Keychain)(nil)
)

// go-containerregistry pushes to a server and pulls from it.
func TestKeychain_PushAndPull(t *testing.T) {
	cfg, host := startServer(t)
	if _, err := ecr.NewFromConfig(cfg).CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("app")}); err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(host + "/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	keys := keychain.New(cfg, authtoken.InMemory())
	if err := remote.Write(ref, image, remote.WithAuthFromKeychain(keys), remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	got, err := remote.Get(ref, remote.WithAuthFromKeychain(keys), remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if want, err := image.Digest(); err != nil || got.Digest != want {
		t.Errorf("pulled %s, pushed %s (%v)", got.Digest, want, err)
	}
}

// A token is never sent to a registry that it is not for.
func TestKeychain_OtherRegistries(t *testing.T) {
	cfg, _ := startServer(t)
	keys := keychain.New(cfg, authtoken.InMemory())
	for _, host := range []string{"registry.example", "127.0.0.1:1", "public.ecr.aws", "111122223333.dkr.ecr.us-east-1.amazonaws.com"} {
		if auth := resolve(t, keys, host); auth != authn.Anonymous {
			t.Errorf("%s gets %T", host, auth)
		}
	}
}

// At AWS the host names the region, and everything that is not AWS's name is
// somebody else's.
func TestKeychain_AWS(t *testing.T) {
	service := new(recorder)
	cfg := aws.Config{Region: "us-east-1", HTTPClient: service, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: "secret"}, nil
	})}
	keys := keychain.New(cfg, authtoken.InMemory())
	for host, endpoint := range map[string]string{
		"111122223333.dkr.ecr.eu-central-1.amazonaws.com": "api.ecr.eu-central-1.amazonaws.com",
		"111122223333.dkr-ecr.eu-west-1.on.aws":           "api.ecr.eu-west-1.amazonaws.com",
		"public.ecr.aws":                                  "api.ecr-public.us-east-1.amazonaws.com",
	} {
		auth, err := authn.Authorization(t.Context(), resolve(t, keys, host))
		if err != nil || auth.Username != "AWS" || auth.Password != "secret" {
			t.Errorf("%s: %+v, %v", host, auth, err)
		}
		if got := service.last(); got != endpoint {
			t.Errorf("%s: %s was asked", host, got)
		}
	}
	for _, host := range []string{"111122223333.dkr.ecr.eu-central-1.amazonaws.com.evil.example", "111122223333.dkr.ecr.eu-central-1.elb.amazonaws.com", "index.docker.io"} {
		if auth := resolve(t, keys, host); auth != authn.Anonymous {
			t.Errorf("%s gets %T", host, auth)
		}
	}
}

// Without credentials the error is the one of package authtoken.
func TestKeychain_NoCredentials(t *testing.T) {
	auth := resolve(t, keychain.New(aws.Config{Region: "us-east-1"}, authtoken.InMemory()), "111122223333.dkr.ecr.us-east-1.amazonaws.com")
	if _, err := authn.Authorization(t.Context(), auth); err == nil || !strings.Contains(err.Error(), "no AWS credentials") {
		t.Errorf("the error is %v", err)
	}
}

func resolve(t *testing.T, keys authn.Keychain, host string) authn.Authenticator {
	t.Helper()
	registry, err := name.NewRegistry(host)
	if err != nil {
		t.Fatal(err)
	}
	auth, err := authn.Resolve(t.Context(), keys, registry)
	if err != nil {
		t.Fatalf("%s: %v", host, err)
	}
	return auth
}

// startServer starts a server and returns its administrator's configuration and
// the host of its registry.
func startServer(t *testing.T) (aws.Config, string) {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	c := serverconfig.Default()
	c.Data, c.Listen, c.Log.Level = data, "127.0.0.1:0", "error"
	ctx, cancel := context.WithCancel(context.Background())
	s, err := app.Start(ctx, c)
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
	cfg, err := config.LoadDefaultConfig(t.Context(),
		config.WithSharedConfigFiles([]string{filepath.Join(data, "aws/config")}),
		config.WithSharedCredentialsFiles([]string{filepath.Join(data, "aws/credentials")}),
		config.WithSharedConfigProfile(app.ProfileName))
	if err != nil {
		t.Fatal(err)
	}
	return cfg, authtoken.Host(s.URL())
}

// A recorder answers as ECR and ECR Public do, and records the hosts that were
// asked.
type recorder struct {
	mu    sync.Mutex
	hosts []string
}

// Do implements aws.HTTPClient.
func (s *recorder) Do(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.hosts = append(s.hosts, r.URL.Host)
	s.mu.Unlock()
	const data = `{"authorizationToken":"QVdTOnNlY3JldA==","expiresAt":4102444800}`
	body := `{"authorizationData":[` + data + `]}`
	if strings.Contains(r.URL.Host, "public") {
		body = `{"authorizationData":` + data + `}`
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func (s *recorder) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hosts[len(s.hosts)-1]
}
