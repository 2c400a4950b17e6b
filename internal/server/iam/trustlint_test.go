package iam_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
)

func TestTrust_SharedIssuers(t *testing.T) {
	w := iamtest.New(t)
	ctx := w.AsAdmin()
	const github, gitlab = "token.actions.githubusercontent.com", "gitlab.com"
	provider := func(issuer string) string { return `"arn:aws:iam::` + account + `:oidc-provider/` + issuer + `"` }
	statement := func(issuer, conditions string) string {
		return `{"Effect":"Allow","Principal":{"Federated":` + provider(issuer) + `},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{` + conditions + `}}`
	}
	refused := func(name, trust string) {
		t.Helper()
		document := `{"Version":"2012-10-17","Statement":` + trust + `}`
		_, err := w.IAM.CreateRole(ctx, iam.NewEntity{Name: "refused"}, "", document, 0)
		if !fault.Is(err, "MalformedPolicyDocument") || !strings.Contains(fault.From(err).Message, "needs a condition on") {
			t.Errorf("%s: %v", name, err)
		}
		if err := w.IAM.UpdateTrustPolicy(ctx, "ok", document); !fault.Is(err, "MalformedPolicyDocument") {
			t.Errorf("%s, as an update: %v", name, err)
		}
	}
	accepted := func(name, trust string) {
		t.Helper()
		if err := w.IAM.UpdateTrustPolicy(ctx, "ok", `{"Version":"2012-10-17","Statement":`+trust+`}`); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := w.IAM.CreateRole(ctx, iam.NewEntity{Name: "ok"}, "", `{"Version":"2012-10-17","Statement":`+statement("issuer.example", ``)+`}`, 0)
	ok(t, err)

	refused("nothing", statement(github, ``))
	refused("nothing, in GitLab", statement(gitlab, `"StringEquals":{"gitlab.com:aud":"https://gitlab.com"}`))
	refused("the audience alone", statement(github, `"StringEquals":{"`+github+`:aud":"sts.amazonaws.com"}`))
	refused("everybody", statement(github, `"StringLike":{"`+github+`:sub":"*"}`))
	refused("every repository", statement(github, `"StringLike":{"`+github+`:sub":"repo:*"}`))
	refused("every repository, in another way", statement(github, `"StringLike":{"`+github+`:sub":"repo:*/*:ref:refs/heads/main"}`))
	refused("every kind", statement(github, `"StringLike":{"`+github+`:sub":"rep*"}`))
	refused("whom a variable names", statement(github, `"StringLike":{"`+github+`:sub":"repo:${aws:username}/*"}`))
	refused("one of many is everybody", statement(github, `"StringLike":{"`+github+`:sub":["repo:acme/*","*"]}`))
	refused("where the claim is there", statement(github, `"StringEqualsIfExists":{"`+github+`:sub":"repo:acme/app"}`))
	refused("all of no values", statement(github, `"ForAllValues:StringLike":{"`+github+`:sub":"repo:acme/*"}`))
	refused("whom not", statement(github, `"StringNotLike":{"`+github+`:sub":"repo:evil/*"}`))
	refused("that it is there", statement(github, `"Null":{"`+github+`:sub":"false"}`))
	refused("another issuer's claim", statement(github, `"StringLike":{"gitlab.com:sub":"repo:acme/*"}`))
	refused("another statement's condition", `[`+statement(github, `"StringLike":{"`+github+`:sub":"repo:acme/*"}`)+`,`+statement(github, ``)+`]`)
	refused("one of two issuers", `{"Effect":"Allow","Principal":{"Federated":[`+provider("issuer.example")+`,`+provider(gitlab)+`]},"Action":["sts:*"]}`)

	subject := `"StringLike":{"` + github + `:sub":"repo:acme/*"}`
	accepted("an organization", statement(github, subject))
	accepted("keys in another case", statement(github, `"stringlike":{"`+strings.ToUpper(github)+`:SUB":["repo:acme/*","repo:other/*"]}`))
	accepted("one subject", statement(gitlab, `"StringEquals":{"gitlab.com:sub":"project_path:acme/app:ref_type:branch:ref:main"}`))
	accepted("an audience that is a tenant", statement("api.pulumi.com/oidc", `"StringEquals":{"api.pulumi.com/oidc:aud":"aws:acme"}`))
	accepted("an issuer of one's own", statement("issuer.example", ``))
	accepted("the tags of sessions", `[`+statement(github, subject)+`,{"Effect":"Allow","Principal":{"Federated":`+provider(github)+`},"Action":["sts:TagSession","sts:SetSourceIdentity"]}]`)
	accepted("a denial", `[`+statement(github, subject)+`,{"Effect":"Deny","Principal":{"Federated":`+provider(github)+`},"Action":"sts:*"}]`)
}
