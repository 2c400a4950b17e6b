package app_test

import (
	"io"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

// The address of a client beyond the proxy.
const outside = "203.0.113.7"

// proxied starts a server behind a proxy that terminates TLS, and returns the proxy's
// address.
func proxied(t *testing.T, trusted ...string) (*fixture, *httptest.Server) {
	var backend *url.URL
	proxy := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(backend) // and so the Host is the server's own
		r.Out.Header.Set("X-Forwarded-For", outside)
		r.Out.Header.Set("X-Forwarded-Proto", "https")
		r.Out.Header.Set("X-Forwarded-Host", r.In.Host)
	}})
	t.Cleanup(proxy.Close)
	g := startWith(t, func(c *config.Config) { c.URL, c.TrustedProxies = proxy.URL, trusted })
	backend = must(url.Parse(g.url))(t)
	return g, proxy
}

// denyUnless denies everything unless a condition holds.
func denyUnless(condition string) string {
	return `{"Effect":"Deny","Action":"*","Resource":"*","Condition":` + condition + `}`
}

func TestServer_TrustedProxy(t *testing.T) {
	g, proxy := proxied(t, "127.0.0.0/8")
	through := func(c aws.Config) *ecr.Client {
		return ecr.NewFromConfig(c, func(o *ecr.Options) { o.BaseEndpoint, o.HTTPClient = &proxy.URL, proxy.Client() })
	}
	// The users are created without the proxy, which the profile names.
	admin := g.admin(victim)
	admin.BaseEndpoint = &g.url
	people := iam.NewFromConfig(admin)
	user := func(name, statement string) aws.Config {
		must(people.CreateUser(t.Context(), &iam.CreateUserInput{UserName: &name}))(t)
		must(people.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String("p"), PolicyDocument: policyOf(allow("*", "*"), statement)}))(t)
		key := must(people.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: &name}))(t).AccessKey
		return g.with(*key.AccessKeyId, *key.SecretAccessKey, "")
	}
	for name, statement := range map[string]string{
		"transport": denyUnless(`{"Bool":{"aws:SecureTransport":"false"}}`),
		"address":   denyUnless(`{"NotIpAddress":{"aws:SourceIp":"` + outside + `/32"}}`),
	} {
		c := user(name, statement)
		if _, err := through(c).DescribeRepositories(t.Context(), nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		c.BaseEndpoint = &g.url
		_, err := ecr.NewFromConfig(c).DescribeRepositories(t.Context(), nil)
		refused(t, name+" without the proxy", err, "AccessDenied")
	}
	res := must(proxy.Client().Get(proxy.URL + "/v2/"))(t)
	io.Copy(io.Discard, res.Body)
	res.Body.Close()
	if got := res.Header.Get("Www-Authenticate"); !strings.Contains(got, `realm="`+proxy.URL+`/"`) {
		t.Errorf("challenge: %s, want %s", got, proxy.URL)
	}
	g.stop()
	audit := string(must(os.ReadFile(filepath.Join(g.data, "audit.jsonl")))(t))
	if n := strings.Count(audit, `"sourceIPAddress":"`+outside+`"`); n != 3 {
		t.Errorf("%d audit records have the client's address, want 3", n)
	}
}

// Whoever is not a trusted proxy cannot say who it is.
func TestServer_UntrustedProxy(t *testing.T) {
	g, proxy := proxied(t, "10.0.0.0/8")
	res := must(proxy.Client().Get(proxy.URL + "/v2/"))(t)
	io.Copy(io.Discard, res.Body)
	res.Body.Close()
	r := g.get("/v2/", "")
	r.Header.Set("X-Forwarded-For", outside)
	g.send(r)
	g.stop()
	audit := string(must(os.ReadFile(filepath.Join(g.data, "audit.jsonl")))(t))
	if strings.Contains(audit, outside) {
		t.Error("an audit record has an address that a client invented")
	}
	if !strings.Contains(g.log.String(), "trusted") && !strings.Contains(g.log.String(), "shutting down") {
		t.Error("no log")
	}
}

// The PROXY protocol says who the client is before HTTP begins.
func TestServer_ProxyProtocol(t *testing.T) {
	g := startWith(t, func(c *config.Config) { c.TrustedProxies, c.ProxyProtocol = []string{"127.0.0.0/8"}, true })
	c := g.dial("PROXY TCP4 " + outside + " 10.0.0.1 1234 80\r\nGET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if answer := string(must(io.ReadAll(c))(t)); !strings.HasPrefix(answer, "HTTP/1.1 401") {
		t.Error(answer)
	}
	g.stop()
	audit := string(must(os.ReadFile(filepath.Join(g.data, "audit.jsonl")))(t))
	if !strings.Contains(audit, `"sourceIPAddress":"`+outside+`"`) {
		t.Errorf("audit: %s", audit)
	}
}

// The server says if passwords travel in clear text, and if it seems to be behind a
// proxy that it does not know.
func TestServer_WarnsOfPlainHTTP(t *testing.T) {
	const clear, unknown = "can be read on the network", "trusts no proxy"
	for name, tt := range map[string]struct {
		change func(*config.Config)
		want   string
	}{
		"loopback":         {func(*config.Config) {}, ""},
		"all interfaces":   {func(c *config.Config) { c.Listen = "0.0.0.0:0" }, clear},
		"with TLS":         {func(c *config.Config) { c.Listen, c.TLS = "0.0.0.0:0", new(config.TLS) }, ""},
		"behind a proxy":   {func(c *config.Config) { c.Listen, c.TrustedProxies = "0.0.0.0:0", []string{"10.0.0.0/8"} }, ""},
		"an https address": {func(c *config.Config) { c.URL = "https://gatehouse.example" }, unknown},
	} {
		g := startWith(t, tt.change)
		g.stop()
		for _, text := range []string{clear, unknown} {
			if strings.Contains(g.log.String(), text) != (text == tt.want) {
				t.Errorf("%s: the log has %q: %v", name, text, text != tt.want)
			}
		}
	}
}
