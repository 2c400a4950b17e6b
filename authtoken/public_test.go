package authtoken_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/gatehouse-registry/gatehouse/authtoken"
)

// A public registry service answers with the body, and records what it was
// asked.
type publicService struct {
	body  string
	asked []*http.Request
}

// Do implements aws.HTTPClient.
func (s *publicService) Do(r *http.Request) (*http.Response, error) {
	s.asked = append(s.asked, r)
	return answered(s.body), nil
}

// Tokens for the public registries come from one region, whatever the caller's.
func TestECRPublic(t *testing.T) {
	service := &publicService{body: `{"authorizationData":{"authorizationToken":"QVdTOnNlY3JldA==","expiresAt":4102444800}}`}
	for _, region := range []string{"eu-central-1", ""} {
		cfg := aws.Config{Region: region, Credentials: fixed("AKIAEXAMPLE", "secret"), HTTPClient: service}
		got := token(t, authtoken.ECRPublic(cfg, authtoken.InMemory()))
		if got.Username != "AWS" || got.Password != "secret" || got.Endpoint != "https://public.ecr.aws" || got.Expires.Unix() != 4102444800 || got.Authorization() != "Basic QVdTOnNlY3JldA==" {
			t.Errorf("from %q: %+v", region, got)
		}
		if cfg.Region != region {
			t.Errorf("the caller's region became %s", cfg.Region)
		}
	}
	for _, r := range service.asked {
		if r.URL.Host != "api.ecr-public.us-east-1.amazonaws.com" || !strings.Contains(r.Header.Get("Authorization"), "/us-east-1/ecr-public/") {
			t.Errorf("asked %s as %s", r.URL.Host, r.Header.Get("Authorization"))
		}
	}
}

func TestECRPublic_NoToken(t *testing.T) {
	for _, body := range []string{
		"{}", `{"authorizationData":{}}`, `{"authorizationData":{"authorizationToken":"QVdTOnNlY3JldA=="}}`,
		`{"authorizationData":{"authorizationToken":"canary!","expiresAt":4102444800}}`, `{"authorizationData":{"authorizationToken":"Y2FuYXJ5","expiresAt":4102444800}}`,
	} {
		cfg := aws.Config{Credentials: fixed("AKIAEXAMPLE", "secret"), HTTPClient: &publicService{body: body}}
		_, err := authtoken.ECRPublic(cfg, authtoken.InMemory()).Token(t.Context())
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// One file for private and public registries' tokens would give one for the
// other.
func TestCache_PublicAndPrivate(t *testing.T) {
	dir := t.TempDir()
	cfg := aws.Config{Region: "us-east-1", Credentials: fixed("AKIAEXAMPLE", "secret"), HTTPClient: canned{}}
	token(t, authtoken.ECR(cfg, authtoken.CacheDir(dir)))
	cfg.HTTPClient = &publicService{body: `{"authorizationData":{"authorizationToken":"QVdTOnB1YmxpYw==","expiresAt":4102444800}}`}
	if got := token(t, authtoken.ECRPublic(cfg, authtoken.CacheDir(dir))); got.Password != "public" {
		t.Errorf("got the private registries' token: %v", got)
	}
}
