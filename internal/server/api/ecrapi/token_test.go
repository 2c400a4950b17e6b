package ecrapi_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

func (f *fixture) token(in *ecr.GetAuthorizationTokenInput, as ...func(*ecr.Options)) *ecr.GetAuthorizationTokenOutput {
	f.t.Helper()
	out, err := f.client.GetAuthorizationToken(f.t.Context(), in, as...)
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

func TestGetAuthorizationToken(t *testing.T) {
	f := serve(t)
	before := f.Now()
	out := f.token(&ecr.GetAuthorizationTokenInput{})
	if len(out.AuthorizationData) != 1 {
		t.Fatalf("%d entries", len(out.AuthorizationData))
	}
	data := out.AuthorizationData[0]
	if lifetime := data.ExpiresAt.Sub(before); lifetime < 12*time.Hour-time.Second || lifetime > 12*time.Hour+time.Minute {
		t.Errorf("expires in %v, want 12 hours", lifetime)
	}
	if *data.ProxyEndpoint != "http://"+host {
		t.Errorf("proxyEndpoint = %s", *data.ProxyEndpoint)
	}
	decoded, err := base64.StdEncoding.DecodeString(*data.AuthorizationToken)
	if err != nil {
		t.Fatal(err)
	}
	// Clients split at the colon, so there must be exactly one.
	password, ok := strings.CutPrefix(string(decoded), "AWS:")
	if !ok || strings.Contains(password, ":") {
		t.Fatalf("the token is %.8s…", decoded)
	}
	if _, err := f.Keyring.Open(token.CodeArtifact, password); err == nil {
		t.Error("the token opens another service")
	}

	// The token can be used unchanged in an Authorization header.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/v2/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("Authorization", "Basic "+*data.AuthorizationToken)
	caller, err := f.Authn.Bearer(r, token.ECR)
	if err != nil || caller.Account != account || caller.Name != f.Admin.User || caller.Region != region || caller.Token.AccessKeyID != f.Admin.AccessKeyID || !strings.HasPrefix(caller.Token.ID, "ABIA") {
		t.Fatalf("%+v, %v", caller, err)
	}
	f.Advance(12 * time.Hour)
	if _, err := f.Authn.Bearer(r, token.ECR); !fault.Is(err, "ExpiredToken") {
		t.Errorf("after 12 hours: %v", err)
	}
}

func TestGetAuthorizationToken_RegistryIDs(t *testing.T) {
	f := serve(t)
	//lint:ignore SA1019 deprecated, and still sent
	out := f.token(&ecr.GetAuthorizationTokenInput{RegistryIds: []string{other, account, "999999999999"}})
	if len(out.AuthorizationData) != 3 {
		t.Fatalf("%d entries, want one for each registry", len(out.AuthorizationData))
	}
	for _, ids := range [][]string{{"1"}, {"12345678901a"}, {"0000-0000-0001"}, make([]string, 11), {""}} {
		//lint:ignore SA1019 deprecated, and still sent
		_, err := f.client.GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{RegistryIds: ids})
		wantCode(t, err, "InvalidParameterException")
	}
}

func TestGetAuthorizationToken_Denied(t *testing.T) {
	f := serve(t)
	_, err := f.client.GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{}, f.user("without", ""))
	wantCode(t, err, "AccessDeniedException")
	if want := "arn:aws:iam::" + account + ":user/without is not authorized to perform: ecr:GetAuthorizationToken on resource: * because no identity-based policy allows the ecr:GetAuthorizationToken action"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("err = %v, want %q", err, want)
	}
	f.token(&ecr.GetAuthorizationTokenInput{}, f.user("with", `{"Effect":"Allow","Action":"ecr:GetAuthorizationToken","Resource":"*"}`))
}

func BenchmarkGetAuthorizationToken(b *testing.B) {
	f := serve(b)
	for b.Loop() {
		f.token(&ecr.GetAuthorizationTokenInput{})
	}
}
