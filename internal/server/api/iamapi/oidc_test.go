package iamapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
)

const thumbprint = "0123456789abcdef0123456789ABCDEF01234567"

func TestOIDCProviderLifecycle(t *testing.T) {
	w, c := serve(t)
	ctx := t.Context()
	created := must[api.CreateOpenIDConnectProviderOutput](t)(c.CreateOpenIDConnectProvider(ctx, &api.CreateOpenIDConnectProviderInput{
		Url: aws.String("https://issuer.example/id/A1"), ClientIDList: []string{"sts.amazonaws.com", "b", "b"}, ThumbprintList: []string{thumbprint},
		Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("red")}},
	}))
	arn := created.OpenIDConnectProviderArn
	if *arn != "arn:aws:iam::"+account+":oidc-provider/issuer.example/id/A1" || len(created.Tags) != 1 {
		t.Errorf("created %s %v", *arn, created.Tags)
	}
	get := func() *api.GetOpenIDConnectProviderOutput {
		t.Helper()
		return must[api.GetOpenIDConnectProviderOutput](t)(c.GetOpenIDConnectProvider(ctx, &api.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn}))
	}
	got := get()
	if *got.Url != "issuer.example/id/A1" || !slices.Equal(got.ClientIDList, []string{"sts.amazonaws.com", "b"}) || !slices.Equal(got.ThumbprintList, []string{thumbprint}) || len(got.Tags) != 1 || got.CreateDate == nil {
		t.Errorf("%+v", got)
	}
	refused[api.CreateOpenIDConnectProviderOutput](t, "EntityAlreadyExists")(c.CreateOpenIDConnectProvider(ctx, &api.CreateOpenIDConnectProviderInput{Url: aws.String("https://issuer.example/id/A1")}))

	for range 2 { // adding and removing are idempotent
		must[api.AddClientIDToOpenIDConnectProviderOutput](t)(c.AddClientIDToOpenIDConnectProvider(ctx, &api.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, ClientID: aws.String("c")}))
		must[api.RemoveClientIDFromOpenIDConnectProviderOutput](t)(c.RemoveClientIDFromOpenIDConnectProvider(ctx, &api.RemoveClientIDFromOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, ClientID: aws.String("b")}))
	}
	other := strings.Repeat("f", 40)
	must[api.UpdateOpenIDConnectProviderThumbprintOutput](t)(c.UpdateOpenIDConnectProviderThumbprint(ctx, &api.UpdateOpenIDConnectProviderThumbprintInput{OpenIDConnectProviderArn: arn, ThumbprintList: []string{other}}))
	must[api.TagOpenIDConnectProviderOutput](t)(c.TagOpenIDConnectProvider(ctx, &api.TagOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, Tags: []types.Tag{{Key: aws.String("stage"), Value: aws.String("prod")}}}))
	must[api.UntagOpenIDConnectProviderOutput](t)(c.UntagOpenIDConnectProvider(ctx, &api.UntagOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, TagKeys: []string{"team"}}))
	if got := get(); !slices.Equal(got.ClientIDList, []string{"sts.amazonaws.com", "c"}) || !slices.Equal(got.ThumbprintList, []string{other}) || len(got.Tags) != 1 || *got.Tags[0].Key != "stage" {
		t.Errorf("%+v", got)
	}
	tags := must[api.ListOpenIDConnectProviderTagsOutput](t)(c.ListOpenIDConnectProviderTags(ctx, &api.ListOpenIDConnectProviderTagsInput{OpenIDConnectProviderArn: arn}))
	if len(tags.Tags) != 1 || *tags.Tags[0].Value != "prod" {
		t.Errorf("%+v", tags.Tags)
	}
	listed := must[api.ListOpenIDConnectProvidersOutput](t)(c.ListOpenIDConnectProviders(ctx, &api.ListOpenIDConnectProvidersInput{}))
	if len(listed.OpenIDConnectProviderList) != 1 || *listed.OpenIDConnectProviderList[0].Arn != *arn {
		t.Errorf("%+v", listed.OpenIDConnectProviderList)
	}
	if n := must[api.GetAccountSummaryOutput](t)(c.GetAccountSummary(ctx, &api.GetAccountSummaryInput{})).SummaryMap["Providers"]; n != 1 {
		t.Errorf("the summary counts %d providers", n)
	}

	// Another server on the database has it, and the other account has not.
	if p, err := w.Start().OIDCProvider(w.AsAdmin(), *arn); err != nil || p.Issuer != "https://issuer.example/id/A1" || p.Tags[0].Key != "stage" {
		t.Errorf("%+v, %v", p, err)
	}
	if all, err := w.IAM.OIDCProviders(w.AsOtherAdmin()); err != nil || len(all) != 0 {
		t.Errorf("the other account has %v, %v", all, err)
	}
	for range 2 {
		must[api.DeleteOpenIDConnectProviderOutput](t)(c.DeleteOpenIDConnectProvider(ctx, &api.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn}))
	}
	refused[api.GetOpenIDConnectProviderOutput](t, "NoSuchEntity")(c.GetOpenIDConnectProvider(ctx, &api.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn}))
	refused[api.AddClientIDToOpenIDConnectProviderOutput](t, "NoSuchEntity")(c.AddClientIDToOpenIDConnectProvider(ctx, &api.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, ClientID: aws.String("c")}))
}

func TestCreateOpenIDConnectProvider_Refused(t *testing.T) {
	_, c := serve(t)
	ctx := t.Context()
	create := func(change func(*api.CreateOpenIDConnectProviderInput)) (*api.CreateOpenIDConnectProviderOutput, error) {
		in := &api.CreateOpenIDConnectProviderInput{Url: aws.String("https://issuer.example")}
		change(in)
		return c.CreateOpenIDConnectProvider(ctx, in)
	}
	for _, url := range []string{"http://issuer.example", "https://issuer", "issuer.example", "https://10.0.0.1", "https://issuer.example/?a=b", "https://issuer.example/*"} {
		refused[api.CreateOpenIDConnectProviderOutput](t, "InvalidInput")(create(func(in *api.CreateOpenIDConnectProviderInput) { in.Url = &url }))
	}
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprint("client-", i)
	}
	refused[api.CreateOpenIDConnectProviderOutput](t, "LimitExceeded")(create(func(in *api.CreateOpenIDConnectProviderInput) { in.ClientIDList = many }))
	refused[api.CreateOpenIDConnectProviderOutput](t, "InvalidInput")(create(func(in *api.CreateOpenIDConnectProviderInput) { in.ThumbprintList = []string{strings.Repeat("g", 40)} }))
	refused[api.CreateOpenIDConnectProviderOutput](t, "InvalidInput")(create(func(in *api.CreateOpenIDConnectProviderInput) {
		in.ThumbprintList = []string{thumbprint, thumbprint, thumbprint, thumbprint, thumbprint, thumbprint}
	}))
	must[api.CreateOpenIDConnectProviderOutput](t)(create(func(in *api.CreateOpenIDConnectProviderInput) { in.ClientIDList = many[:100] }))
	arn := aws.String("arn:aws:iam::" + account + ":oidc-provider/issuer.example")
	refused[api.AddClientIDToOpenIDConnectProviderOutput](t, "LimitExceeded")(c.AddClientIDToOpenIDConnectProvider(ctx, &api.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, ClientID: &many[100]}))
	for i := range 99 {
		must[api.CreateOpenIDConnectProviderOutput](t)(create(func(in *api.CreateOpenIDConnectProviderInput) {
			in.Url = aws.String(fmt.Sprintf("https://i%d.example/", i))
		}))
	}
	refused[api.CreateOpenIDConnectProviderOutput](t, "LimitExceeded")(create(func(in *api.CreateOpenIDConnectProviderInput) { in.Url = aws.String("https://last.example") }))
	refused[api.GetOpenIDConnectProviderOutput](t, "InvalidInput")(c.GetOpenIDConnectProvider(ctx, &api.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: aws.String("arn:aws:iam::" + account + ":role/issuer.example")}))
	refused[api.GetOpenIDConnectProviderOutput](t, "NoSuchEntity")(c.GetOpenIDConnectProvider(ctx, &api.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: aws.String("arn:aws:iam::" + iamtest.Other + ":oidc-provider/issuer.example")}))
}

// Each operation is a permission of its own, on the provider's ARN.
func TestOIDCProvider_Permissions(t *testing.T) {
	w, admin := serve(t)
	arn := "arn:aws:iam::" + account + ":oidc-provider/issuer.example"
	tagged := []types.Tag{{Key: aws.String("team"), Value: aws.String("red")}}
	calls := map[string]func(*api.Client) error{
		"CreateOpenIDConnectProvider": func(c *api.Client) error {
			_, err := c.CreateOpenIDConnectProvider(t.Context(), &api.CreateOpenIDConnectProviderInput{Url: aws.String("https://issuer.example")})
			return err
		},
		"GetOpenIDConnectProvider": func(c *api.Client) error {
			_, err := c.GetOpenIDConnectProvider(t.Context(), &api.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: &arn})
			return err
		},
		"ListOpenIDConnectProviders": func(c *api.Client) error {
			_, err := c.ListOpenIDConnectProviders(t.Context(), &api.ListOpenIDConnectProvidersInput{})
			return err
		},
		"DeleteOpenIDConnectProvider": func(c *api.Client) error {
			_, err := c.DeleteOpenIDConnectProvider(t.Context(), &api.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: &arn})
			return err
		},
		"AddClientIDToOpenIDConnectProvider": func(c *api.Client) error {
			_, err := c.AddClientIDToOpenIDConnectProvider(t.Context(), &api.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderArn: &arn, ClientID: aws.String("a")})
			return err
		},
		"RemoveClientIDFromOpenIDConnectProvider": func(c *api.Client) error {
			_, err := c.RemoveClientIDFromOpenIDConnectProvider(t.Context(), &api.RemoveClientIDFromOpenIDConnectProviderInput{OpenIDConnectProviderArn: &arn, ClientID: aws.String("a")})
			return err
		},
		"UpdateOpenIDConnectProviderThumbprint": func(c *api.Client) error {
			_, err := c.UpdateOpenIDConnectProviderThumbprint(t.Context(), &api.UpdateOpenIDConnectProviderThumbprintInput{OpenIDConnectProviderArn: &arn, ThumbprintList: []string{thumbprint}})
			return err
		},
		"TagOpenIDConnectProvider": func(c *api.Client) error {
			_, err := c.TagOpenIDConnectProvider(t.Context(), &api.TagOpenIDConnectProviderInput{OpenIDConnectProviderArn: &arn, Tags: tagged})
			return err
		},
		"UntagOpenIDConnectProvider": func(c *api.Client) error {
			_, err := c.UntagOpenIDConnectProvider(t.Context(), &api.UntagOpenIDConnectProviderInput{OpenIDConnectProviderArn: &arn, TagKeys: []string{"team"}})
			return err
		},
		"ListOpenIDConnectProviderTags": func(c *api.Client) error {
			_, err := c.ListOpenIDConnectProviderTags(t.Context(), &api.ListOpenIDConnectProviderTagsInput{OpenIDConnectProviderArn: &arn})
			return err
		},
	}
	ctx := w.AsAdmin()
	if _, err := w.IAM.CreateUser(ctx, iam.NewEntity{Name: "bob"}); err != nil {
		t.Fatal(err)
	}
	_, key, secret, err := w.IAM.CreateAccessKey(ctx, "bob")
	if err != nil {
		t.Fatal(err)
	}
	options := admin.Options()
	options.Credentials = iamtest.Static(key.ID, secret, "")
	bob := api.New(options)
	for action, call := range calls {
		_, _ = admin.CreateOpenIDConnectProvider(t.Context(), &api.CreateOpenIDConnectProviderInput{Url: aws.String("https://issuer.example")})
		if action == "CreateOpenIDConnectProvider" {
			if err := w.IAM.DeleteOIDCProvider(ctx, arn); err != nil {
				t.Fatal(err)
			}
		}
		for effect, want := range map[string]string{"Deny": "AccessDenied", "Allow": ""} {
			document := `{"Version":"2012-10-17","Statement":{"Effect":"` + effect + `","Action":"iam:` + action + `","Resource":["` + arn + `","arn:aws:iam::` + account + `:oidc-provider/*"]}}`
			if err := w.IAM.PutInlinePolicy(ctx, iam.KindUser, "bob", "p", document); err != nil {
				t.Fatal(err)
			}
			if err := call(bob); code(err) != want {
				t.Errorf("%s with %s: %v", action, effect, err)
			}
		}
	}
	// To create with tags is two permissions.
	if err := w.IAM.DeleteOIDCProvider(ctx, arn); err != nil {
		t.Fatal(err)
	}
	document := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:CreateOpenIDConnectProvider","Resource":"*"}}`
	if err := w.IAM.PutInlinePolicy(ctx, iam.KindUser, "bob", "p", document); err != nil {
		t.Fatal(err)
	}
	refused[api.CreateOpenIDConnectProviderOutput](t, "AccessDenied")(bob.CreateOpenIDConnectProvider(t.Context(), &api.CreateOpenIDConnectProviderInput{Url: aws.String("https://issuer.example"), Tags: tagged}))
}

// Terraform looks at the URL without its scheme, and at lists that are there.
func TestOIDCProvider_Minimal(t *testing.T) {
	w, c := serve(t)
	created := must[api.CreateOpenIDConnectProviderOutput](t)(c.CreateOpenIDConnectProvider(t.Context(), &api.CreateOpenIDConnectProviderInput{Url: aws.String("https://issuer.example/")}))
	status, body := w.Post(*c.Options().BaseEndpoint, "iam", map[string][]string{"Action": {"GetOpenIDConnectProvider"}, "Version": {"2010-05-08"}, "OpenIDConnectProviderArn": {*created.OpenIDConnectProviderArn}})
	if status != http.StatusOK || !strings.Contains(body, "<Url>issuer.example/</Url>") || !strings.Contains(body, "ClientIDList") {
		t.Errorf("%d %s", status, body)
	}
	// Its ARN, with the slash, can be trusted.
	if _, err := c.CreateRole(t.Context(), &api.CreateRoleInput{RoleName: aws.String("ci"), AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Federated":"` + *created.OpenIDConnectProviderArn + `"},"Action":"sts:AssumeRoleWithWebIdentity"}}`)}); err != nil {
		t.Error(err)
	}
}
