package sts_test

import (
	"context"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/sts"
	"github.com/gatehouse-registry/gatehouse/internal/server/webidentity"
	"github.com/gatehouse-registry/gatehouse/internal/server/webidentity/issuertest"
)

// A counting verifier counts the tokens that it proves.
type counting struct {
	*webidentity.Verifier
	verified int
}

func (c *counting) Verify(ctx context.Context, token string, find func(string) (webidentity.Provider, bool)) (*webidentity.Identity, error) {
	c.verified++
	return c.Verifier.Verify(ctx, token, find)
}

// A stranger's token is verified once for each account, however many roles are in question.
func TestAssumePublisherRole_VerifiesOnce(t *testing.T) {
	w, issuer := iamtest.New(t), issuertest.Start()
	t.Cleanup(issuer.Close)
	if _, err := w.IAM.CreateOIDCProvider(w.AsAdmin(), iam.NewOIDCProvider{Issuer: issuer.URL, ClientIDs: []string{"npm:host"}}); err != nil {
		t.Fatal(err)
	}
	verifier := &counting{Verifier: webidentity.New(webidentity.Config{Upstream: egress.New(egress.Config{LoopbackHTTP: true}), Now: w.Now})}
	service, err := iam.New(t.Context(), iam.Config{DB: w.DB, Keyring: w.Keyring, Authz: new(authz.PolicyAuthorizer), WebIdentities: verifier, URL: iamtest.URL, Now: w.Now})
	if err != nil {
		t.Fatal(err)
	}
	in := sts.AssumePublisherRole{
		Token: issuer.Token(issuer.Claims(w.Now(), "repo:evil/app", "npm:host", nil)), Audiences: []string{"npm:host"}, Use: "npm left",
	}
	for _, account := range []string{iamtest.Account, iamtest.Other} {
		for _, role := range []string{"a", "b", "c"} {
			in.Roles = append(in.Roles, sts.PublisherRole{ARN: "arn:aws:iam::" + account + ":role/" + role})
		}
	}
	ctx := authn.WithCaller(t.Context(), &authn.Caller{Principal: &authn.Principal{Type: authn.Anonymous}})
	if _, err := sts.New(service).AssumePublisherRole(ctx, in); !fault.Is(err, "AccessDenied") {
		t.Error(err)
	}
	if verifier.verified != 2 {
		t.Errorf("the token was verified %d times for two accounts", verifier.verified)
	}
}
