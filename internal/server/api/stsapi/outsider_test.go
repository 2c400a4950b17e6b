package stsapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	api "github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/webidentity"
	"github.com/gatehouse-registry/gatehouse/internal/server/webidentity/issuertest"
)

// second is another issuer that the account trusts, and its ARN.
func (f *federation) second() (*issuertest.Issuer, string) {
	f.t.Helper()
	other := issuertest.Start()
	f.t.Cleanup(other.Close)
	p, err := f.IAM.CreateOIDCProvider(f.AsAdmin(), iam.NewOIDCProvider{Issuer: other.URL, ClientIDs: []string{audience}})
	if err != nil {
		f.t.Fatal(err)
	}
	return other, p.ARN()
}

// Of two issuers that a server trusts neither can speak for the other, though both
// sign for the same audience and the same subjects.
func TestAssumeRoleWithWebIdentity_OtherIssuer(t *testing.T) {
	f := federate(t)
	other, otherARN := f.second()
	otherName := webidentity.Name(other.URL)
	theirs := func(changes map[string]any) string {
		return other.Token(other.Claims(f.Now(), subject, audience, changes))
	}
	role := f.role("ci", f.trust(mayFederate, onlyMain), "")
	f.assumedWeb(role, f.token(nil))
	f.refusedWeb("AccessDenied", role, theirs(nil))
	// What the other one says under the first one's name is not believed either.
	f.refusedWeb("AccessDenied", role, theirs(map[string]any{f.name + ":sub": subject, f.name: map[string]any{"sub": subject}, "aws:FederatedProvider": f.provider}))
	f.refusedWeb("InvalidIdentityToken", role, theirs(map[string]any{"iss": f.issuer.URL}))
	forged := other.Key()
	forged.ID = f.issuer.Key().ID
	f.refusedWeb("InvalidIdentityToken", role, issuertest.Sign(forged, f.issuer.Claims(f.Now(), subject, audience, nil), nil))

	// A statement that names both, with conditions on the one alone.
	both := f.role("both", `{"Effect":"Allow","Principal":{"Federated":["`+f.provider+`","`+otherARN+`"]},"Action":`+mayFederate+`,"Condition":{`+strings.ReplaceAll(onlyMain, "ISSUER", f.name)+`}}`, "")
	f.assumedWeb(both, f.token(nil))
	f.refusedWeb("AccessDenied", both, theirs(nil))
	f.refusedWeb("AccessDenied", both, theirs(map[string]any{f.name + ":sub": subject, f.name + ":aud": audience}))

	// A condition on whose provider it is.
	byProvider := f.role("by-provider", `{"Effect":"Allow","Principal":{"Federated":["`+f.provider+`","`+otherARN+`"]},"Action":`+mayFederate+`,"Condition":{"StringEquals":{"aws:FederatedProvider":"`+otherARN+`","`+otherName+`:sub":"`+subject+`"}}}`, "")
	f.assumedWeb(byProvider, theirs(nil))
	f.refusedWeb("AccessDenied", byProvider, f.token(nil))
}

// What an account trusts counts at the moment of the request, whatever the server
// remembers of the issuer.
func TestAssumeRoleWithWebIdentity_DeletedProvider(t *testing.T) {
	f := federate(t)
	role := f.role("ci", f.trust(mayFederate, onlyMain), "")
	f.assumedWeb(role, f.token(nil))
	asked := f.issuer.Asked()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ok(f.IAM.AddClientID(f.AsAdmin(), f.provider, "other"))
	ok(f.IAM.RemoveClientID(f.AsAdmin(), f.provider, audience))
	f.refusedWeb("InvalidIdentityToken", role, f.token(nil))
	ok(f.IAM.AddClientID(f.AsAdmin(), f.provider, audience))
	f.assumedWeb(role, f.token(nil))
	ok(f.IAM.DeleteOIDCProvider(f.AsAdmin(), f.provider))
	f.refusedWeb("InvalidIdentityToken", role, f.token(nil))
	if n := f.issuer.Asked(); n != asked {
		t.Errorf("the keys were fetched again, %d times: the cache was not what was tested", n-asked)
	}
	// Another account's provider of the same issuer does not help, and is not harmed.
	_, err := f.IAM.CreateOIDCProvider(f.AsOtherAdmin(), iam.NewOIDCProvider{Issuer: f.issuer.URL, ClientIDs: []string{audience}})
	ok(err)
	f.refusedWeb("InvalidIdentityToken", role, f.token(nil))
	_, err = f.IAM.CreateOIDCProvider(f.AsAdmin(), iam.NewOIDCProvider{Issuer: f.issuer.URL, ClientIDs: []string{"of this account"}})
	ok(err)
	f.refusedWeb("InvalidIdentityToken", role, f.token(nil))
}

// A role that trusts by the name of the provider's ARN and by audience is not for
// tokens that another account's clients were given.
func TestAssumeRoleWithWebIdentity_AudienceOfAccount(t *testing.T) {
	f := federate(t)
	if _, err := f.IAM.CreateOIDCProvider(f.AsOtherAdmin(), iam.NewOIDCProvider{Issuer: f.issuer.URL, ClientIDs: []string{"theirs"}}); err != nil {
		t.Fatal(err)
	}
	role := f.role("ci", f.trust(mayFederate, `"StringEquals":{"ISSUER:sub":"`+subject+`"}`), "")
	f.refusedWeb("InvalidIdentityToken", role, f.token(map[string]any{"aud": "theirs"}))
	f.refusedWeb("InvalidIdentityToken", role, f.token(map[string]any{"aud": []string{"theirs"}}))
	f.refusedWeb("InvalidIdentityToken", role, f.token(map[string]any{"aud": audience, "azp": "theirs"}))
	f.refusedWeb("InvalidIdentityToken", "arn:aws:iam::"+iamtest.Other+":role/ci", f.token(nil))
	f.assumedWeb(role, f.token(map[string]any{"aud": []string{"theirs", audience}}))
}

// A token asks for the tags of a session; it does not get what a request would not.
func TestAssumeRoleWithWebIdentity_RefusedTags(t *testing.T) {
	f := federate(t)
	role := f.role("ci", f.trust(mayFederate, onlyMain), "")
	const claim = "https://aws.amazon.com/tags"
	tags := func(principal map[string]any, transitive ...string) map[string]any {
		return map[string]any{claim: map[string]any{"principal_tags": principal, "transitive_tag_keys": transitive}}
	}
	many := map[string]any{}
	for i := range 51 {
		many[fmt.Sprint("tag-", i)] = "1"
	}
	for name, changes := range map[string]map[string]any{
		"reserved":                      tags(map[string]any{"aws:PrincipalOrgID": "o-1"}),
		"reserved, in capitals":         tags(map[string]any{"AWS:team": "x"}),
		"too many":                      tags(many),
		"the same but for case":         tags(map[string]any{"team": "red", "Team": "blue"}),
		"the same in both ways":         {claim: map[string]any{"principal_tags": map[string]any{"team": "red"}}, claim + "/principal_tags/TEAM": "blue"},
		"a pattern as key":              tags(map[string]any{"te*m": "red"}),
		"a pattern as value":            tags(map[string]any{"team": "*"}),
		"a variable as value":           tags(map[string]any{"team": "${aws:username}"}),
		"a line break":                  tags(map[string]any{"team": "red\nblue"}),
		"a long key":                    tags(map[string]any{strings.Repeat("k", 129): "x"}),
		"a long value":                  tags(map[string]any{"team": strings.Repeat("v", 257)}),
		"an empty key":                  tags(map[string]any{"": "x"}),
		"a number":                      tags(map[string]any{"team": 7}),
		"no value":                      tags(map[string]any{"team": []string{}}),
		"null":                          tags(map[string]any{"team": nil}),
		"transitive without a tag":      tags(map[string]any{"team": "red"}, "other"),
		"transitive, a reserved one":    tags(map[string]any{"team": "red"}, "aws:PrincipalTag"),
		"a source identity in brackets": {"https://aws.amazon.com/source_identity": "a(b)"},
		"a short source identity":       {"https://aws.amazon.com/source_identity": "a"},
		"a long source identity":        {"https://aws.amazon.com/source_identity": strings.Repeat("a", 65)},
	} {
		if _, err := f.assumeWeb(role, f.token(changes)); code(err) != "IDPRejectedClaim" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A provider is found by its name, which has no scheme; its issuer has one.
func TestAssumeRoleWithWebIdentity_IssuerScheme(t *testing.T) {
	f := federate(t)
	role := f.role("ci", f.trust(mayFederate, onlyMain), "")
	for _, iss := range []string{"https://" + f.name, "HTTP://" + f.name, "x://" + f.name, "://" + f.name, f.name, "http://http://" + f.name} {
		f.refusedWeb("InvalidIdentityToken", role, f.token(map[string]any{"iss": iss}))
	}
	f.assumedWeb(role, f.token(nil))
}

// What Gatehouse itself issues is not a web identity.
func TestAssumeRoleWithWebIdentity_OwnTokens(t *testing.T) {
	f := federate(t)
	role := f.role("ci", f.trust(mayFederate, onlyMain), "")
	out := f.assumedWeb(role, f.token(nil))
	for _, token := range []string{*out.Credentials.SessionToken, *out.Credentials.SecretAccessKey + "......", *out.Credentials.SessionToken + ".a.b"} {
		f.refusedWeb("InvalidIdentityToken", role, token)
	}
}

// The end of the token is not that of the session, and a token does not become
// good again.
func TestAssumeRoleWithWebIdentity_TokenLifetime(t *testing.T) {
	f := federate(t)
	role := f.role("ci", f.trust(mayFederate, onlyMain), "")
	token := f.token(map[string]any{"exp": f.Now().Add(10 * time.Minute).Unix()})
	out := f.assumedWeb(role, token)
	f.Advance(12 * time.Minute)
	f.refusedWeb("ExpiredTokenException", role, token)
	if _, err := f.sts.GetCallerIdentity(t.Context(), &api.GetCallerIdentityInput{}, session(out.Credentials)); err != nil {
		t.Errorf("the session ends with the token: %v", err)
	}
}
