package codeartifactapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"

	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

const domainARN = "arn:aws:codeartifact:" + region + ":" + account + ":domain/acme"

func tokenFor(domain string) *sdk.GetAuthorizationTokenInput {
	return &sdk.GetAuthorizationTokenInput{Domain: &domain}
}

// Claims 1 and 8: a temporary token for one domain, and when it ends.
func TestGetAuthorizationToken_OneDomain(t *testing.T) {
	s := serve(t)
	s.domain()
	out := get[*sdk.GetAuthorizationTokenOutput](t)(s.admin.GetAuthorizationToken(t.Context(), tokenFor("acme")))
	claims, err := s.keys.Open(token.CodeArtifact, *out.AuthorizationToken)
	must(t, err)
	if claims.Domain != "acme" || claims.DomainOwner != account || claims.Region != region || claims.Account != account || claims.PrincipalID != "AIDAEXAMPLEadmin" {
		t.Fatalf("claims = %+v", claims)
	}
	if !strings.HasPrefix(claims.ID, "ABIA") || !strings.HasPrefix(claims.AccessKeyID, "AKIA") {
		t.Fatalf("ids %q and %q", claims.ID, claims.AccessKeyID)
	}
	if !claims.Expires.Equal(*out.Expiration) || len(*out.AuthorizationToken) > 512 {
		t.Fatalf("expires %v, answered %v, %d characters", claims.Expires, out.Expiration, len(*out.AuthorizationToken))
	}
	if _, err := s.keys.Open(token.ECR, *out.AuthorizationToken); err == nil {
		t.Fatal("the token opens something else")
	}
	_, err = s.admin.GetAuthorizationToken(t.Context(), tokenFor("nowhere"))
	if e := fails[*types.ResourceNotFoundException](t, err, 404, "Domain not found"); e.ResourceType != types.ResourceTypeDomain || *e.ResourceId != "nowhere" {
		t.Fatalf("%+v", e)
	}
}

// Claims 3 to 5: 12 hours by default, 0 or 900 to 43200 seconds, from the call.
func TestGetAuthorizationToken_Duration(t *testing.T) {
	s := serve(t)
	s.domain()
	for _, c := range []struct {
		duration *int64
		want     time.Duration
	}{
		{nil, 12 * time.Hour}, {aws.Int64(0), 12 * time.Hour}, {aws.Int64(900), 15 * time.Minute}, {aws.Int64(901), 901 * time.Second}, {aws.Int64(43200), 12 * time.Hour},
	} {
		s.clock.Add(7)
		in := tokenFor("acme")
		in.DurationSeconds = c.duration
		out := get[*sdk.GetAuthorizationTokenOutput](t)(s.admin.GetAuthorizationToken(t.Context(), in))
		if got := out.Expiration.Sub(s.now()); got != c.want {
			t.Errorf("duration %v lasts %v, want %v", c.duration, got, c.want)
		}
	}
	for _, bad := range []int64{-1, 1, 899, 43201, 1 << 40} {
		in := tokenFor("acme")
		in.DurationSeconds = &bad
		_, err := s.admin.GetAuthorizationToken(t.Context(), in)
		fails[*types.ValidationException](t, err, 400, "durationSeconds")
	}
}

// Claims 4 and 6: 0 means the end of the role session; any other duration does not
// depend on it.
func TestGetAuthorizationToken_RoleSession(t *testing.T) {
	s := serve(t)
	s.domain()
	ends := start.Add(20 * time.Minute)
	role := s.role(ends, everything)
	for duration, want := range map[int64]time.Time{0: ends, 43200: start.Add(12 * time.Hour), 3600: start.Add(time.Hour)} {
		in := tokenFor("acme")
		in.DurationSeconds = &duration
		out := get[*sdk.GetAuthorizationTokenOutput](t)(role.GetAuthorizationToken(t.Context(), in))
		if !out.Expiration.Equal(want) {
			t.Errorf("duration %d ends %v, want %v", duration, out.Expiration, want)
		}
		claims, err := s.keys.Open(token.CodeArtifact, *out.AuthorizationToken)
		must(t, err)
		if claims.PrincipalID != "AROAEXAMPLE" || claims.SessionName != "build" || !claims.SessionExpires.Equal(ends) {
			t.Fatalf("claims = %+v", claims)
		}
	}
	// Credentials of GetSessionToken last up to 36 hours, a token at most 12.
	long := s.role(start.Add(36*time.Hour), everything)
	in := tokenFor("acme")
	in.DurationSeconds = aws.Int64(0)
	if out := get[*sdk.GetAuthorizationTokenOutput](t)(long.GetAuthorizationToken(t.Context(), in)); !out.Expiration.Equal(start.Add(12 * time.Hour)) {
		t.Fatalf("ends %v", out.Expiration)
	}
}

// Claim 2: both permissions, with the condition keys of the second.
func TestGetAuthorizationToken_Permissions(t *testing.T) {
	s := serve(t)
	s.domain()
	statements := func(st ...string) string {
		return `{"Version":"2012-10-17","Statement":[` + strings.Join(st, ",") + `]}`
	}
	const (
		get    = `{"Effect":"Allow","Action":"codeartifact:GetAuthorizationToken","Resource":"` + domainARN + `"}`
		bearer = `{"Effect":"Allow","Action":"sts:GetServiceBearerToken","Resource":"*","Condition":{"StringEquals":{"sts:AWSServiceName":"codeartifact.amazonaws.com"}}}`
		other  = `{"Effect":"Allow","Action":"sts:GetServiceBearerToken","Resource":"*","Condition":{"StringEquals":{"sts:AWSServiceName":"ecr-public.amazonaws.com"}}}`
		short  = `{"Effect":"Allow","Action":"sts:GetServiceBearerToken","Resource":"*","Condition":{"NumericLessThanEquals":{"sts:DurationSeconds":"3600"}}}`
	)
	call := func(seconds int64, policies ...string) error {
		in := tokenFor("acme")
		in.DurationSeconds = &seconds
		_, err := s.user(account, "dev", policies...).GetAuthorizationToken(t.Context(), in)
		return err
	}
	must(t, call(900, statements(get, bearer)))
	must(t, call(3600, statements(get, short)))
	denied := "User: arn:aws:iam::" + account + ":user/dev is not authorized to perform: "
	fails[*types.AccessDeniedException](t, call(900), 403, denied+"codeartifact:GetAuthorizationToken on resource: "+domainARN+
		" because no identity-based policy allows the codeartifact:GetAuthorizationToken action")
	fails[*types.AccessDeniedException](t, call(900, statements(bearer)), 403, denied+"codeartifact:GetAuthorizationToken")
	fails[*types.AccessDeniedException](t, call(900, statements(get)), 403, denied+"sts:GetServiceBearerToken")
	fails[*types.AccessDeniedException](t, call(900, statements(get, other)), 403, denied+"sts:GetServiceBearerToken")
	fails[*types.AccessDeniedException](t, call(3601, statements(get, short)), 403, denied+"sts:GetServiceBearerToken")

	// Without the permission, the answer does not reveal which domains exist.
	_, err := s.user(account, "dev").GetAuthorizationToken(t.Context(), tokenFor("nowhere"))
	fails[*types.AccessDeniedException](t, err, 403, denied)
	_, err = s.user(account, "dev", statements(bearer, strings.Replace(get, "acme", "*", 1))).GetAuthorizationToken(t.Context(), tokenFor("nowhere"))
	fails[*types.ResourceNotFoundException](t, err, 404, "Domain not found")
}

func TestGetAuthorizationToken_Root(t *testing.T) {
	s := serve(t)
	s.domain()
	root := s.principal(&authn.Principal{Type: authn.Root, Account: account, ARN: "arn:aws:iam::" + account + ":root", PrincipalARN: "arn:aws:iam::" + account + ":root", UniqueID: account, UserID: account})
	_, err := root.DescribeDomain(t.Context(), &sdk.DescribeDomainInput{Domain: aws.String("acme")})
	must(t, err)
	_, err = root.GetAuthorizationToken(t.Context(), tokenFor("acme"))
	fails[*types.AccessDeniedException](t, err, 403, "root")
}

// Claim 7: the domain's owner may be another account than the caller's. The
// domain's policy must grant both permissions then.
func TestGetAuthorizationToken_OtherAccount(t *testing.T) {
	s := serve(t)
	s.domain()
	guest := s.user(other, "guest", everything)
	in := tokenFor("acme")
	_, err := guest.GetAuthorizationToken(t.Context(), in)
	fails[*types.ResourceNotFoundException](t, err, 404, other) // the caller's own account does not have the domain
	in.DomainOwner = aws.String(account)
	for actions, want := range map[string]bool{
		`"codeartifact:GetAuthorizationToken"`:                                  false,
		`"sts:GetServiceBearerToken"`:                                           false,
		`"codeartifact:GetAuthorizationToken","sts:GetServiceBearerToken"`:      true,
		`"codeartifact:DescribeDomain","codeartifact:ListRepositoriesInDomain"`: false,
	} {
		doc := fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"%s"},"Action":[%s],"Resource":"*"}}`, other, actions)
		_, err := s.admin.PutDomainPermissionsPolicy(t.Context(), &sdk.PutDomainPermissionsPolicyInput{Domain: aws.String("acme"), PolicyDocument: &doc})
		must(t, err)
		out, err := guest.GetAuthorizationToken(t.Context(), in)
		if !want {
			fails[*types.AccessDeniedException](t, err, 403, "is not authorized")
			continue
		}
		must(t, err)
		claims, err := s.keys.Open(token.CodeArtifact, *out.AuthorizationToken)
		must(t, err)
		if claims.Account != other || claims.DomainOwner != account {
			t.Fatalf("claims = %+v", claims)
		}
	}
	in.DomainOwner = aws.String("1111-2222-3333")
	_, err = guest.GetAuthorizationToken(t.Context(), in)
	fails[*types.ValidationException](t, err, 400, "domainOwner")
}
