package authtoken_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/gatehouse-registry/gatehouse/authtoken"
)

// changing is whatever credentials the pointer leads to.
type changing struct{ to *aws.CredentialsProvider }

// Retrieve implements aws.CredentialsProvider.
func (c *changing) Retrieve(ctx context.Context) (aws.Credentials, error) {
	return (*c.to).Retrieve(ctx)
}

// canned is an ECR that always answers with the same token.
type canned struct{}

// Do implements aws.HTTPClient.
func (canned) Do(*http.Request) (*http.Response, error) {
	return answered(`{"authorizationData":[{"authorizationToken":"QVdTOnNlY3JldA==","expiresAt":4102444800,"proxyEndpoint":"https://111122223333.dkr.ecr.us-east-1.amazonaws.com"}]}`), nil
}

func answered(body string) *http.Response {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
		Body: io.NopCloser(strings.NewReader(body)),
	}
}

func TestParseRegistryHost(t *testing.T) {
	for address, want := range map[string]authtoken.Registry{
		"111122223333.dkr.ecr.us-east-1.amazonaws.com":             {Account: "111122223333", Region: "us-east-1", Suffix: "amazonaws.com"},
		"111122223333.dkr.ecr-fips.us-gov-west-1.amazonaws.com":    {Account: "111122223333", Region: "us-gov-west-1", Suffix: "amazonaws.com"},
		"111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn":         {Account: "111122223333", Region: "cn-north-1", Suffix: "amazonaws.com.cn"},
		"111122223333.dkr-ecr.eu-west-1.on.aws":                    {Account: "111122223333", Region: "eu-west-1", Suffix: "on.aws"},
		"https://111122223333.DKR.ECR.us-east-1.amazonaws.com/v2/": {Account: "111122223333", Region: "us-east-1", Suffix: "amazonaws.com"},
		"111122223333.dkr.ecr.us-east-1.aws.example:4283/team/app": {Account: "111122223333", Region: "us-east-1", Suffix: "aws.example:4283"},
		"127.0.0.1:4283":       {},
		"public.ecr.aws":       {},
		"registry.example/app": {},
		"11112222333.dkr.ecr.us-east-1.amazonaws.com":        {},
		"x111122223333.dkr.ecr.us-east-1.amazonaws.com":      {},
		"evil.example/111122223333.dkr.ecr.us-east-1.on.aws": {},
		"https://evil.example@111122223333.dkr.ecr.x":        {},
		"": {},
	} {
		got, ok := authtoken.ParseRegistryHost(address)
		if got != want || ok != (want.Account != "") {
			t.Errorf("%s: %+v %v", address, got, ok)
		}
	}
}

func TestParseRepositoryURL(t *testing.T) {
	for address, want := range map[string]authtoken.Repository{
		"https://acme-111122223333.d.codeartifact.us-east-1.amazonaws.com/pypi/lib/simple/": {Domain: "acme", Owner: "111122223333", Region: "us-east-1", Format: "pypi", Name: "lib", Suffix: "amazonaws.com"},
		"a-b-111122223333.d.codeartifact.us-east-1.aws.example:8443":                        {Domain: "a-b", Owner: "111122223333", Region: "us-east-1", Suffix: "aws.example:8443"},
		"http://aws@127.0.0.1:4283/codeartifact/us-east-1/111122223333/acme/npm/lib/":       {Domain: "acme", Owner: "111122223333", Region: "us-east-1", Format: "npm", Name: "lib", Suffix: "127.0.0.1:4283"},
		"http://127.0.0.1:4283/codeartifact/us-east-1/111122223333/acme":                    {Domain: "acme", Owner: "111122223333", Region: "us-east-1", Suffix: "127.0.0.1:4283"},
		"127.0.0.1:4283":                {},
		"https://registry.example/npm/": {},
		"https://acme-1111.d.codeartifact.us-east-1.amazonaws.com/": {},
		"http://x/codeartifact/us-east-1/1/acme/":                   {},
		"http://x/a/codeartifact/us-east-1/111122223333/acme/":      {},
	} {
		got, ok := authtoken.ParseRepositoryURL(address)
		if got != want || ok != (want.Domain != "") {
			t.Errorf("%s: %+v %v", address, got, ok)
		}
	}
}

func TestIsAWS(t *testing.T) {
	for address, want := range map[string]bool{
		"amazonaws.com": true, "amazonaws.com:443": true, "https://api.ecr.us-east-1.amazonaws.com": true, "x.on.aws": true, "https://api.ecr.us-east-1.amazonaws.com:443/": true,
		"amazonaws.com.evil.example": false, "evilamazonaws.com": false, "": false, "https://evil.example/amazonaws.com": false,
		"https://amazonaws.com@evil.example": false, "amazonaws.com:8443": false, "https://api.ecr.us-east-1.amazonaws.com:7112": false, "evil.example?amazonaws.com": false, `evil.example\.amazonaws.com/..`: false,
	} {
		if got := authtoken.IsAWS(address); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

// Names of customers' machines are below AWS's names too.
func TestAWS(t *testing.T) {
	for suffix, want := range map[string]bool{
		"amazonaws.com": true, "amazonaws.com:443": true, "amazonaws.com.cn": true, "on.aws": true,
		"amazonaws.com:8443": false, "my-1.us-east-1.elb.amazonaws.com": false, "x.lambda-url.us-east-1.on.aws": false, "aws.example": false,
	} {
		registry, ok := authtoken.ParseRegistryHost("111122223333.dkr.ecr.us-east-1." + suffix)
		if !ok || registry.AWS() != want {
			t.Errorf("registry of %s: %v", suffix, !want)
		}
		repository, ok := authtoken.ParseRepositoryURL("https://acme-111122223333.d.codeartifact.us-east-1." + suffix + "/npm/lib/")
		if !ok || repository.AWS() != want {
			t.Errorf("repository of %s: %v", suffix, !want)
		}
	}
}

// Whatever is parsed came from the host that a client would connect to.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"111122223333.dkr.ecr.us-east-1.amazonaws.com", "https://acme-111122223333.d.codeartifact.us-east-1.amazonaws.com/pypi/lib/",
		"http://127.0.0.1:4283/codeartifact/us-east-1/111122223333/acme/npm/lib/", "://", "http://[::1]:80/", "a@b", "\x00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		host := authtoken.Host(address)
		if strings.ContainsAny(host, "/") {
			t.Errorf("host %q", host)
		}
		if r, ok := authtoken.ParseRegistryHost(address); ok && !strings.HasSuffix(host, r.Suffix) {
			t.Errorf("%+v of %q", r, host)
		}
		if r, ok := authtoken.ParseRepositoryURL(address); ok && !strings.HasSuffix(host, r.Suffix) {
			t.Errorf("%+v of %q", r, host)
		}
	})
}
