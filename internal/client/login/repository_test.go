package login_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
)

// An issuer that is reached by TLS cannot make a tool use an address without
// TLS: every request to it would carry the token in the clear.
func TestTarget_RefusesPlainHTTP(t *testing.T) {
	var address string // which the issuer names
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Target") != "" {
			fmt.Fprintf(w, `{"authorizationData":[{"authorizationToken":"QVdTOnNlY3JldA==","expiresAt":4102444800,"proxyEndpoint":%q}]}`, address)
			return
		}
		fmt.Fprintf(w, `{"repositoryEndpoint":%q}`, address)
	})
	plain, secure := httptest.NewServer(answer), httptest.NewTLSServer(answer)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(bundle, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"AWS_CA_BUNDLE": bundle, "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
	for _, c := range []struct {
		issuer, address string
		refused         bool
	}{
		{secure.URL, "https://registry.example/", false},
		{secure.URL, "http://registry.example/", true},
		{plain.URL, "http://registry.example/", false},
		{plain.URL, "https://registry.example/", false},
	} {
		address = c.address
		issuer := credential.AWS{EndpointURL: c.issuer}
		_, err := login.Repository{AWS: issuer, Domain: "acme", Name: "lib"}.Target(t.Context(), "npm")
		if c.refused != (err != nil) || err != nil && !strings.Contains(err.Error(), "in the clear") {
			t.Errorf("repository: %+v: %v", c, err)
		}
		_, err = login.Registry{AWS: issuer, Options: []authtoken.Option{authtoken.InMemory()}}.Target(t.Context())
		if c.refused != (err != nil) || err != nil && !strings.Contains(err.Error(), "in the clear") {
			t.Errorf("registry: %+v: %v", c, err)
		}
	}
}

func TestTarget_EndpointType(t *testing.T) {
	const host = "111122223333.dkr.ecr.us-east-1.amazonaws.com"
	registry := "https://" + host
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Target") != "" {
			fmt.Fprintf(w, `{"authorizationData":[{"authorizationToken":"QVdTOnNlY3JldA==","expiresAt":4102444800,"proxyEndpoint":%q}]}`, registry)
			return
		}
		suffix := "amazonaws.com"
		if r.URL.Query().Get("endpointType") == "dualstack" {
			suffix = "on.aws"
		}
		fmt.Fprintf(w, `{"repositoryEndpoint":"https://acme-111122223333.d.codeartifact.us-east-1.%s/npm/lib/"}`, suffix)
	}))
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
	issuer := credential.AWS{EndpointURL: server.URL}
	for _, c := range []struct {
		kind                         types.EndpointType
		registry, packages, wantHost string
	}{
		{"", registry, "acme-111122223333.d.codeartifact.us-east-1.amazonaws.com", host},
		{types.EndpointTypeIpv4, registry, "acme-111122223333.d.codeartifact.us-east-1.amazonaws.com", host},
		{types.EndpointTypeDualstack, registry, "acme-111122223333.d.codeartifact.us-east-1.on.aws", "111122223333.dkr-ecr.us-east-1.on.aws"},
		{types.EndpointTypeDualstack, "https://111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn", "acme-111122223333.d.codeartifact.us-east-1.on.aws", "111122223333.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn"},
		// A Gatehouse has one name for both.
		{types.EndpointTypeDualstack, "http://127.0.0.1:4283", "acme-111122223333.d.codeartifact.us-east-1.on.aws", "127.0.0.1:4283"},
		{types.EndpointTypeDualstack, "https://111122223333.dkr.ecr.us-east-1.registry.example", "acme-111122223333.d.codeartifact.us-east-1.on.aws", "111122223333.dkr.ecr.us-east-1.registry.example"},
	} {
		registry = c.registry
		got, err := login.Repository{AWS: issuer, Domain: "acme", Name: "lib", EndpointType: c.kind}.Target(t.Context(), "npm")
		if err != nil || got.Endpoint.Host != c.packages {
			t.Errorf("repository: %+v: %v, %v", c, got.Endpoint, err)
		}
		got, err = login.Registry{AWS: issuer, EndpointType: c.kind, Options: []authtoken.Option{authtoken.InMemory()}}.Target(t.Context())
		if err != nil || got.Endpoint.Host != c.wantHost {
			t.Errorf("registry: %+v: %v, %v", c, got.Endpoint, err)
		}
	}
}
