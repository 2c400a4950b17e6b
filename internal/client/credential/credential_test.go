package credential_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
)

// A service answers the three operations that lookups call, as the service of
// one endpoint does, and records what it was asked.
type service struct {
	registry   string // proxyEndpoint of every token
	repository string // repositoryEndpoint of every repository
	dualStack  string // the same for dual stack; if empty, as repository
	asked      []string
}

// Do implements aws.HTTPClient.
func (s *service) Do(r *http.Request) (*http.Response, error) {
	var body string
	switch {
	case strings.HasPrefix(r.Header.Get("X-Amz-Target"), "SpencerFrontendService."): // ECR Public
		s.asked = append(s.asked, "ecr-public "+r.URL.Host)
		body = `{"authorizationData":{"authorizationToken":"QVdTOnNlY3JldA==","expiresAt":4102444800}}`
	case r.Header.Get("X-Amz-Target") != "":
		s.asked = append(s.asked, "ecr "+r.URL.Host)
		body = `{"authorizationData":[{"authorizationToken":"QVdTOnNlY3JldA==","expiresAt":4102444800,"proxyEndpoint":"` + s.registry + `"}]}`
	case r.URL.Path == "/v1/authorization-token":
		s.asked = append(s.asked, "codeartifact "+r.URL.Host+" "+r.URL.Query().Get("domain")+" "+r.URL.Query().Get("domain-owner"))
		body = `{"authorizationToken":"secret","expiration":4102444800}`
	default:
		s.asked = append(s.asked, r.URL.Path+" "+r.URL.Query().Get("repository")+" "+r.URL.Query().Get("format"))
		endpoint := s.repository
		if r.URL.Query().Get("endpointType") == "dualstack" && s.dualStack != "" {
			endpoint = s.dualStack
		}
		body = `{"repositoryEndpoint":"` + endpoint + `"}`
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

// lookup is a lookup whose endpoint is the service's; "" is AWS's own.
func (s *service) lookup(endpoint string) *credential.Lookup {
	return &credential.Lookup{
		Config: func(_ context.Context, region string, _ credential.AWS) (aws.Config, error) {
			if region == "" {
				region = "us-east-1"
			}
			cfg := aws.Config{
				Region: region, HTTPClient: s,
				Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
					return aws.Credentials{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: "x"}, nil
				}),
			}
			if endpoint != "" {
				cfg.BaseEndpoint = &endpoint
			}
			return cfg, nil
		},
		Options: []authtoken.Option{authtoken.InMemory()},
	}
}

// A token is sent only where its issuer says.
func TestLookup_Hosts(t *testing.T) {
	const (
		aws1   = "111122223333.dkr.ecr.us-east-1.amazonaws.com"
		shaped = "000000000001.dkr.ecr.us-east-1.aws.example"
	)
	for name, c := range map[string]struct {
		endpoint, registry, repository, dualStack string
		hosts                                     []string
		gets, refused                             []string
	}{
		"AWS": {
			registry: "https://" + aws1,
			gets: []string{
				aws1, "https://" + aws1, "444455556666.dkr.ecr.eu-west-1.amazonaws.com", "111122223333.dkr-ecr.us-east-1.on.aws",
				"https://acme-111122223333.d.codeartifact.us-east-1.amazonaws.com/pypi/lib/simple/", "acme-111122223333.d.codeartifact.us-east-1.amazonaws.com",
				"public.ecr.aws", "https://public.ecr.aws/v2/",
				// Dual stack, FIPS and both.
				"https://acme-111122223333.d.codeartifact.us-east-1.on.aws/npm/lib/", "https://acme-111122223333.d.codeartifact-fips.us-gov-west-1.on.aws/npm/lib/",
				"111122223333.dkr.ecr-fips.us-east-1.amazonaws.com", "111122223333.dkr-ecr-fips.us-east-1.on.aws", "111122223333.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn",
			},
			refused: []string{
				"", "evil.example", "https://index.docker.example/v1/", shaped, "http://" + aws1,
				"111122223333.dkr.ecr.us-east-1.amazonaws.com.evil.example", "evil.example/" + aws1, "https://" + aws1 + "@evil.example/",
				"http://acme-111122223333.d.codeartifact.us-east-1.amazonaws.com/pypi/lib/",
				"https://acme-111122223333.d.codeartifact.us-east-1.evil.example/pypi/lib/",
				"ftp://" + aws1, "git+http://acme-111122223333.d.codeartifact.us-east-1.amazonaws.com/pypi/lib/",
				// Names of customers' machines are below AWS's names too.
				"111122223333.dkr.ecr.us-east-1.evil-1.us-east-1.elb.amazonaws.com", "111122223333.dkr-ecr.us-east-1.evil.lambda-url.us-east-1.on.aws",
				"https://acme-111122223333.d.codeartifact.us-east-1.s3.amazonaws.com/pypi/lib/simple/",
				aws1 + ":8443", "https://acme-111122223333.d.codeartifact.us-east-1.amazonaws.com:8443/pypi/lib/",
				"https://evil.example/codeartifact/us-east-1/111122223333/acme/npm/lib/", "http://public.ecr.aws", "gallery.ecr.aws", "public.ecr.aws.evil.example",
			},
		},
		"one address": {
			endpoint: "http://127.0.0.1:4283", registry: "http://127.0.0.1:4283",
			gets: []string{
				"127.0.0.1:4283", "localhost:4283", "http://localhost:4283/v2/",
				"http://127.0.0.1:4283/codeartifact/us-east-1/000000000001/acme/npm/lib/", "http://aws@localhost:4283/codeartifact/us-east-1/000000000001/acme/pypi/lib/simple/",
			},
			refused: []string{
				// Another user of the machine may listen on these.
				"127.0.0.2:4283", "[::1]:4283", "http://[::1]:4283/codeartifact/us-east-1/000000000001/acme/npm/lib/",
				"127.0.0.1:4284", "evil.example:4283", aws1, shaped, "public.ecr.aws",
				"http://127.0.0.1:4284/codeartifact/us-east-1/000000000001/acme/npm/lib/",
				"https://acme-111122223333.d.codeartifact.us-east-1.amazonaws.com/pypi/lib/",
			},
		},
		"AWS-shaped hosts": {
			endpoint: "https://gate.example", registry: "https://" + shaped,
			repository: "https://acme-000000000001.d.codeartifact.us-east-1.aws.example/pypi/lib/",
			gets: []string{
				shaped, "000000000002.dkr.ecr.eu-west-1.aws.example",
				"https://acme-000000000001.d.codeartifact.us-east-1.aws.example/pypi/lib/simple/",
			},
			refused: []string{
				aws1, "gate.example", "http://" + shaped, "000000000001.dkr.ecr.us-east-1.evil.example",
				"http://acme-000000000001.d.codeartifact.us-east-1.aws.example/pypi/lib/simple/",
				"https://acme-000000000001.d.codeartifact.us-east-1.evil.example/pypi/lib/simple/",
				"acme-000000000001.d.codeartifact.us-east-1.aws.example", // whose it is cannot be asked
				"http://gate.example/codeartifact/us-east-1/000000000001/acme/npm/lib/", "http://gate.example:443/codeartifact/us-east-1/000000000001/acme/npm/lib/",
			},
		},
		// A Gatehouse in a private network that has borrowed AWS's names.
		"AWS's names with a port": {
			endpoint: "https://api.ecr.us-east-1.amazonaws.com:7112", registry: "https://000000000001.dkr.ecr.us-east-1.amazonaws.com:7112",
			repository: "https://acme-000000000001.d.codeartifact.us-east-1.amazonaws.com:7112/npm/lib/",
			gets: []string{
				"000000000001.dkr.ecr.us-east-1.amazonaws.com:7112", "000000000002.dkr.ecr.eu-west-1.amazonaws.com:7112",
				"https://acme-000000000001.d.codeartifact.us-east-1.amazonaws.com:7112/npm/lib/",
			},
			refused: []string{aws1, "000000000001.dkr.ecr.us-east-1.amazonaws.com:7113", "https://acme-000000000001.d.codeartifact.us-east-1.amazonaws.com/npm/lib/", "public.ecr.aws"},
		},
		"an endpoint that names AWS's repositories": {
			endpoint: "https://gate.example", registry: "https://" + aws1,
			repository: "https://acme-000000000001.d.codeartifact.us-east-1.amazonaws.com/npm/lib/",
			dualStack:  "https://acme-000000000001.d.codeartifact.us-east-1.on.aws/npm/lib/",
			gets: []string{
				aws1, "111122223333.dkr-ecr.us-east-1.on.aws",
				"https://acme-000000000001.d.codeartifact.us-east-1.amazonaws.com/npm/lib/", "https://acme-000000000001.d.codeartifact.us-east-1.on.aws/npm/lib/",
			},
			refused: []string{"https://acme-000000000001.d.codeartifact.us-east-1.api.aws/npm/lib/"},
		},
		"a port of its own": {
			endpoint: "http://gate.example", registry: "http://gate.example",
			gets:    []string{"http://gate.example:80", "http://gate.example/codeartifact/us-east-1/000000000001/acme/npm/lib/"},
			refused: []string{"http://gate.example:443", "http://gate.example:443/codeartifact/us-east-1/000000000001/acme/npm/lib/"},
		},
		"a name of one's own without TLS": {
			registry: "https://" + aws1, hosts: []string{"http://images.example:5000"},
			gets:    []string{"images.example:5000", "http://images.example:5000/v2/", "https://images.example:5000"},
			refused: []string{"http://images.example"},
		},
		"a name of one's own": {
			registry: "https://" + aws1, hosts: []string{"images.example", "*.corp.example:5000"},
			gets:    []string{"images.example", "IMAGES.example/app", "a.corp.example:5000"},
			refused: []string{"http://images.example/v2/", "x.images.example", "a.corp.example", "a.b.corp.example:5000", "corp.example:5000"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &service{registry: c.registry, repository: c.repository, dualStack: c.dualStack}
			l := s.lookup(c.endpoint)
			l.Hosts = c.hosts
			for _, address := range c.gets {
				if got, err := l.Token(t.Context(), address); err != nil || got.Password != "secret" {
					t.Errorf("%s: %v", address, err)
				}
			}
			for _, address := range c.refused {
				if _, err := l.Token(t.Context(), address); !errors.Is(err, credential.ErrNotOurs) {
					t.Errorf("%s: %v", address, err)
				}
			}
		})
	}
}

// The address says which region and which domain are asked. AWS is not asked about
// hosts that are not its own.
func TestLookup_Requests(t *testing.T) {
	s := &service{registry: "https://111122223333.dkr.ecr.us-east-1.amazonaws.com"}
	l := s.lookup("")
	for _, address := range []string{
		"registry.example", "444455556666.dkr.ecr.eu-west-1.amazonaws.com", "public.ecr.aws",
		"https://acme-111122223333.d.codeartifact.eu-central-1.amazonaws.com/npm/lib/",
	} {
		_, _ = l.Token(t.Context(), address)
	}
	want := "ecr api.ecr.eu-west-1.amazonaws.com; ecr-public api.ecr-public.us-east-1.amazonaws.com; codeartifact codeartifact.eu-central-1.amazonaws.com acme 111122223333"
	if got := strings.Join(s.asked, "; "); got != want {
		t.Errorf("asked %s", got)
	}
}

func TestLookup_Forget(t *testing.T) {
	s := &service{registry: "http://127.0.0.1:4283"}
	l := s.lookup("http://127.0.0.1:4283")
	l.Options = []authtoken.Option{authtoken.CacheDir(t.TempDir())}
	for _, address := range []string{"127.0.0.1:4283", "http://127.0.0.1:4283/codeartifact/us-east-1/000000000001/acme/npm/lib/"} {
		s.asked = nil
		for range 2 {
			if _, err := l.Token(t.Context(), address); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Forget(t.Context(), address); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Token(t.Context(), address); err != nil {
			t.Fatal(err)
		}
		if len(s.asked) != 2 {
			t.Errorf("%s: asked %q", address, s.asked)
		}
	}
	if err := s.lookup("").Forget(t.Context(), "registry.example"); err != nil {
		t.Error(err)
	}
}

func TestLookup_Cached(t *testing.T) {
	s := &service{registry: "http://127.0.0.1:4283"}
	l := s.lookup("http://127.0.0.1:4283")
	l.Options = []authtoken.Option{authtoken.CacheDir(t.TempDir())}
	for _, address := range []string{"127.0.0.1:4283", "http://127.0.0.1:4283/codeartifact/us-east-1/000000000001/acme/npm/lib/"} {
		s.asked = nil
		if _, ok, err := l.Cached(t.Context(), address); ok || err != nil || len(s.asked) != 0 {
			t.Errorf("%s, before: %v, %v, asked %q", address, ok, err, s.asked)
		}
		if _, err := l.Token(t.Context(), address); err != nil {
			t.Fatal(err)
		}
		if got, ok, err := l.Cached(t.Context(), address); !ok || err != nil || got.Password != "secret" || len(s.asked) != 1 {
			t.Errorf("%s, after: %v, %v, asked %q", address, ok, err, s.asked)
		}
	}
	if _, ok, err := s.lookup("").Cached(t.Context(), "registry.example"); ok || err != nil {
		t.Error(ok, err)
	}
}
