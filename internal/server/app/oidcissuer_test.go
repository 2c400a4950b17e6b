package app_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

// webToken is a token of GetWebIdentityToken.
func (g *fixture) webToken(c aws.Config, change ...func(*sts.GetWebIdentityTokenInput)) (string, error) {
	in := &sts.GetWebIdentityTokenInput{Audience: []string{"https://other.example"}, SigningAlgorithm: aws.String("ES384")}
	for _, f := range change {
		f(in)
	}
	out, err := sts.NewFromConfig(c).GetWebIdentityToken(g.t.Context(), in)
	if err != nil {
		return "", err
	}
	if left := out.Expiration.Sub(g.now()); left <= 0 || left > time.Duration(max(aws.ToInt32(in.DurationSeconds), 300))*time.Second {
		g.t.Errorf("the token is good for %v", left)
	}
	return *out.WebIdentityToken, nil
}

func anonymous(c aws.Config) *sts.Client {
	c.Credentials = aws.AnonymousCredentials{}
	return sts.NewFromConfig(c)
}

// A second server trusts the first as its OIDC provider, and the identities of the first
// assume roles there.
func TestIssuer_TrustedByOtherServer(t *testing.T) {
	g := start(t)
	relying := startWith(t, func(c *config.Config) { c.OIDC.AllowLoopbackHTTP = true })
	ctx, admin := t.Context(), iam.NewFromConfig(g.admin(victim))
	user := g.user(victim, "builder", allow("sts:GetWebIdentityToken", "*"))
	_, err := g.webToken(user)
	refused(t, "before it is enabled", err, "OutboundWebIdentityFederationDisabled")
	_, err = admin.GetOutboundWebIdentityFederationInfo(ctx, nil)
	refused(t, "the issuer, before it is enabled", err, "FeatureDisabled")
	_, err = admin.DisableOutboundWebIdentityFederation(ctx, nil)
	refused(t, "disable what is not enabled", err, "FeatureDisabled")
	if status, _ := g.send(g.get("/oidc/"+victim+"/.well-known/openid-configuration", "")); status != http.StatusNotFound {
		t.Errorf("discovery before it is enabled: %d", status)
	}
	issuer := *must(admin.EnableOutboundWebIdentityFederation(ctx, nil))(t).IssuerIdentifier
	_, err = admin.EnableOutboundWebIdentityFederation(ctx, nil)
	refused(t, "enable it twice", err, "FeatureEnabled")
	if info := must(admin.GetOutboundWebIdentityFederationInfo(ctx, nil))(t); *info.IssuerIdentifier != issuer || !info.JwtVendingEnabled {
		t.Errorf("%+v", info)
	}
	if status, _ := g.send(g.get("/oidc/"+stranger+"/.well-known/jwks.json", "")); status != http.StatusNotFound {
		t.Errorf("the keys of an account that is no issuer: %d", status)
	}

	other, name := iam.NewFromConfig(relying.admin(victim)), strings.TrimPrefix(issuer, "http://")
	must(other.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{Url: &issuer, ClientIDList: []string{"https://other.example"}}))(t)
	role := func(roleName, subject string) string {
		trust := fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::%s:oidc-provider/%s"},
			"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"%s:sub":"%s"}}}}`, victim, name, name, subject)
		return *must(other.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &roleName, AssumeRolePolicyDocument: &trust}))(t).Role.Arn
	}
	assume := func(role, token string) error {
		_, err := anonymous(relying.admin(victim)).AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{RoleArn: &role, RoleSessionName: aws.String("from-afar"), WebIdentityToken: &token})
		return err
	}
	forUser := role("for-user", "arn:aws:iam::"+victim+":user/builder")
	for _, algorithm := range []string{"ES384", "RS256"} {
		token := must(g.webToken(user, func(in *sts.GetWebIdentityTokenInput) { in.SigningAlgorithm = &algorithm }))(t)
		if err := assume(forUser, token); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
	builders := g.role("builders", allow("sts:GetWebIdentityToken", "*"))
	session := g.assume(g.admin(victim), builders, nil)
	token := must(g.webToken(session))(t)
	if err := assume(role("for-role", builders), token); err != nil {
		t.Errorf("a session of a role: %v", err)
	}
	refused(t, "the role of another subject", assume(forUser, token), "AccessDenied")
	token = must(g.webToken(user, func(in *sts.GetWebIdentityTokenInput) { in.Audience = []string{"https://else.example"} }))(t)
	refused(t, "another audience", assume(forUser, token), "InvalidIdentityToken")

	// A new key of the keyring signs, and the other server finds it.
	if r, err := g.operator().RotateKeys(ctx, &operatormodel.RotateKeysInput{}); err != nil || !r.Done {
		t.Fatalf("rotate: %+v, %v", r, err)
	}
	before := token
	token = must(g.webToken(user))(t)
	if strings.Split(before, ".")[0] == strings.Split(token, ".")[0] {
		t.Error("the same key signs after the rotation")
	}
	relying.offset.Add(int64(2 * time.Minute)) // it asks for unknown keys once a minute
	if err := assume(forUser, token); err != nil {
		t.Errorf("after the rotation: %v", err)
	}

	must(admin.DisableOutboundWebIdentityFederation(ctx, nil))(t)
	_, err = g.webToken(user)
	refused(t, "after it was disabled", err, "OutboundWebIdentityFederationDisabled")
}

func TestIssuer_OwnTokens(t *testing.T) {
	g := startWith(t, func(c *config.Config) { c.OIDC.AllowLoopbackHTTP = true })
	ctx, c := t.Context(), iam.NewFromConfig(g.admin(victim))
	issuer := *must(c.EnableOutboundWebIdentityFederation(ctx, nil))(t).IssuerIdentifier
	must(c.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{Url: &issuer, ClientIDList: []string{"https://other.example"}}))(t)
	trust := fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::%s:oidc-provider/%s"},"Action":"sts:AssumeRoleWithWebIdentity"}}`, victim, strings.TrimPrefix(issuer, "http://"))
	role := must(c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("self"), AssumeRolePolicyDocument: &trust}))(t).Role.Arn
	token := must(g.webToken(g.admin(victim)))(t)
	_, err := anonymous(g.admin(victim)).AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{RoleArn: role, RoleSessionName: aws.String("self"), WebIdentityToken: &token})
	refused(t, "a token of the server itself", err, "InvalidIdentityToken")
}

func TestIssuer_Claims(t *testing.T) {
	g := start(t)
	ctx, admin := t.Context(), iam.NewFromConfig(g.admin(victim))
	issuer := *must(admin.EnableOutboundWebIdentityFederation(ctx, nil))(t).IssuerIdentifier
	builders := g.role("builders", allow("sts:*", "*"))
	must(admin.TagRole(ctx, &iam.TagRoleInput{RoleName: aws.String("builders"), Tags: []iamtypes.Tag{{Key: aws.String("team"), Value: aws.String("red")}}}))(t)
	token := must(g.webToken(g.assume(g.admin(victim), builders, nil), func(in *sts.GetWebIdentityTokenInput) {
		in.Audience = append(in.Audience, "https://else.example")
		in.Tags = []types.Tag{{Key: aws.String("job"), Value: aws.String("7")}}
	}))(t)
	var claims struct {
		Iss, Sub, Jti string
		Aud           []string
		Iat, Exp      int64
		AWS           struct {
			Account   string            `json:"aws_account"`
			Region    string            `json:"source_region"`
			Principal string            `json:"principal_id"`
			Tags      map[string]string `json:"principal_tags"`
			Request   map[string]string `json:"request_tags"`
			Session   time.Time         `json:"original_session_exp"`
		} `json:"https://sts.amazonaws.com/"`
	}
	if err := json.Unmarshal(must(base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1]))(t), &claims); err != nil {
		t.Fatal(err)
	}
	a := claims.AWS
	if claims.Iss != issuer || claims.Sub != builders || claims.Jti == "" || len(claims.Aud) != 2 || claims.Exp-claims.Iat != 300 ||
		a.Account != victim || a.Region != region || a.Principal != builders || a.Tags["team"] != "red" || a.Request["job"] != "7" || a.Session.Before(g.now()) {
		t.Errorf("%+v", claims)
	}
}

// The permission, its condition keys, and the limits.
func TestIssuer_Permissions(t *testing.T) {
	g := start(t)
	must(iam.NewFromConfig(g.admin(victim)).EnableOutboundWebIdentityFederation(t.Context(), nil))(t)
	limited := g.user(victim, "limited", `{"Effect":"Allow","Action":"sts:GetWebIdentityToken","Resource":"*","Condition":{
		"ForAllValues:StringEquals":{"sts:IdentityTokenAudience":["https://other.example"]},"NumericLessThanEquals":{"sts:DurationSeconds":"300"},"StringEquals":{"sts:SigningAlgorithm":"ES384"}}}`)
	tagging := g.user(victim, "tagging", allow("sts:GetWebIdentityToken", "*"),
		`{"Effect":"Allow","Action":"sts:TagGetWebIdentityToken","Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/job":"7"}}}`)
	role := g.role("builders", allow("*", "*"))
	short := must(sts.NewFromConfig(g.admin(victim)).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("short"), DurationSeconds: aws.Int32(900)}))(t).Credentials
	session := g.with(*short.AccessKeyId, *short.SecretAccessKey, *short.SessionToken)
	tag := func(value string) func(*sts.GetWebIdentityTokenInput) {
		return func(in *sts.GetWebIdentityTokenInput) {
			in.Tags = []types.Tag{{Key: aws.String("job"), Value: &value}}
		}
	}
	seconds := func(n int32) func(*sts.GetWebIdentityTokenInput) {
		return func(in *sts.GetWebIdentityTokenInput) { in.DurationSeconds = &n }
	}
	audience := func(all ...string) func(*sts.GetWebIdentityTokenInput) {
		return func(in *sts.GetWebIdentityTokenInput) { in.Audience = all }
	}
	algorithm := func(a string) func(*sts.GetWebIdentityTokenInput) {
		return func(in *sts.GetWebIdentityTokenInput) { in.SigningAlgorithm = &a }
	}
	for _, c := range []struct {
		name, want string
		by         aws.Config
		change     func(*sts.GetWebIdentityTokenInput)
	}{
		{"as the conditions have it", "", limited, seconds(60)},
		{"another audience", "AccessDenied", limited, audience("https://else.example")},
		{"one audience too many", "AccessDenied", limited, audience("https://other.example", "https://else.example")},
		{"too long for the condition", "AccessDenied", limited, seconds(301)},
		{"another algorithm", "AccessDenied", limited, algorithm("RS256")},
		{"tags without the permission", "AccessDenied", limited, tag("7")},
		{"tags", "", tagging, tag("7")},
		{"other tags", "AccessDenied", tagging, tag("8")},
		{"no permission", "AccessDenied", g.user(victim, "nobody"), seconds(60)},
		{"longer than the session", "SessionDurationEscalation", session, seconds(1000)},
		{"as long as the session", "", session, seconds(800)},
		{"longer than an hour", "ValidationError", g.admin(victim), seconds(3601)},
		{"shorter than a minute", "ValidationError", g.admin(victim), seconds(59)},
		{"an algorithm that does not exist", "ValidationError", g.admin(victim), algorithm("HS256")},
		{"claims that are too large", "JWTPayloadSizeExceeded", g.admin(victim), func(in *sts.GetWebIdentityTokenInput) {
			for i := range 50 {
				in.Tags = append(in.Tags, types.Tag{Key: aws.String(fmt.Sprintf("%d%s", i, strings.Repeat("k", 100))), Value: aws.String(strings.Repeat("v", 256))})
			}
		}},
	} {
		_, err := g.webToken(c.by, c.change)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		refused(t, c.name, err, c.want)
	}
}
