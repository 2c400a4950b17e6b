package authz_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/managed"
)

const (
	ours   = "000000000001"
	theirs = "000000000002"

	repository = "arn:aws:ecr:eu-central-1:" + ours + ":repository/team/app"
)

func parse(t testing.TB, document string, kind policy.Kind) *policy.Policy {
	t.Helper()
	p, err := policy.Parse(document, kind)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// statement is a document of one statement with these members.
func statement(members string) string {
	return `{"Version":"2012-10-17","Statement":[{` + members + `}]}`
}

// managedPolicy is the AWS managed policy of the name.
func managedPolicy(t testing.TB, name string) *policy.Policy {
	t.Helper()
	for _, p := range managed.Policies() {
		if p.Name == name {
			return parse(t, p.Document, policy.Identity).WithSource(policy.Source{Name: p.Name, ARN: p.ARN})
		}
	}
	t.Fatalf("there is no managed policy %s", name)
	return nil
}

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func user(policies ...*policy.Policy) *authn.Caller {
	arn := "arn:aws:iam::" + ours + ":user/alice"
	return &authn.Caller{
		Principal: &authn.Principal{
			Type: authn.User, Account: ours, ARN: arn, PrincipalARN: arn, Name: "alice",
			UserID: "AIDAAAAAAAAAAAAAALICE", UniqueID: "AIDAAAAAAAAAAAAAALICE",
			Policies: policies, Tags: map[string]string{"Team": "red"},
		},
		Region: "eu-central-1", SourceIP: netip.MustParseAddr("10.1.2.3"), Secure: true, UserAgent: "docker/28", Time: now,
	}
}

func session(policies ...*policy.Policy) *authn.Caller {
	c := user(policies...)
	c.Principal = &authn.Principal{
		Type: authn.AssumedRole, Account: ours, ARN: "arn:aws:sts::" + ours + ":assumed-role/ops/ci",
		PrincipalARN: "arn:aws:iam::" + ours + ":role/team/ops", SessionName: "ci",
		UserID: "AROAAAAAAAAAAAAAAAOPS:ci", UniqueID: "AROAAAAAAAAAAAAAAAOPS", SourceIdentity: "alice",
		Policies: policies, IssuedAt: now.Add(-time.Minute), ExpiresAt: now.Add(time.Hour),
	}
	return c
}

func TestAuthorize_Message(t *testing.T) {
	all := managedPolicy(t, "AdministratorAccess")
	pull := managedPolicy(t, "AmazonEC2ContainerRegistryPullOnly")
	denies := parse(t, statement(`"Effect":"Deny","Action":"ecr:Put*","Resource":"*"`), policy.Identity)
	deniesHere := parse(t, statement(`"Effect":"Deny","Principal":"*","Action":"ecr:Put*"`), policy.Resource)
	trusts := parse(t, statement(`"Effect":"Allow","Principal":{"AWS":"`+theirs+`"},"Action":"sts:AssumeRole"`), policy.Trust)

	bounded := user(all)
	bounded.Boundary = pull
	boundedDeny := user(all)
	boundedDeny.Boundary = denies
	limited := session(all)
	limited.SessionPolicies = []*policy.Policy{pull}
	empty := session(all)
	empty.SessionPolicies = []*policy.Policy{}
	limitedDeny := session(all)
	limitedDeny.SessionPolicies = []*policy.Policy{all, denies}
	put := authz.Request{Action: "ecr:PutImage", Resource: repository}

	const userDenied = "User: arn:aws:iam::000000000001:user/alice is not authorized to perform: ecr:PutImage on resource: " + repository + " "
	const sessionDenied = "User: arn:aws:sts::000000000001:assumed-role/ops/ci is not authorized to perform: ecr:PutImage on resource: " + repository + " "
	for name, c := range map[string]struct {
		caller *authn.Caller
		req    authz.Request
		want   string
	}{
		"identity":          {user(pull), put, userDenied + "because no identity-based policy allows the ecr:PutImage action"},
		"identity, deny":    {user(all, denies), put, userDenied + "with an explicit deny in an identity-based policy"},
		"resource":          {user(all), authz.Request{Action: put.Action, Resource: repository, Account: theirs}, userDenied + "because no resource-based policy allows the ecr:PutImage action"},
		"resource, deny":    {user(all), authz.Request{Action: put.Action, Resource: repository, Policies: []*policy.Policy{deniesHere}}, userDenied + "with an explicit deny in a resource-based policy"},
		"boundary":          {bounded, put, userDenied + "because no permissions boundary allows the ecr:PutImage action"},
		"boundary, deny":    {boundedDeny, put, userDenied + "with an explicit deny in a permissions boundary"},
		"session":           {limited, put, sessionDenied + "because no session policy allows the ecr:PutImage action"},
		"session, of none":  {empty, put, sessionDenied + "because no session policy allows the ecr:PutImage action"},
		"session, deny":     {limitedDeny, put, sessionDenied + "with an explicit deny in a session policy"},
		"trust":             {user(all), authz.Request{Action: "sts:AssumeRole", Resource: "arn:aws:iam::000000000001:role/x", Policies: []*policy.Policy{trusts}}, "User: arn:aws:iam::000000000001:user/alice is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::000000000001:role/x because no role trust policy allows the sts:AssumeRole action"},
		"without resource":  {user(), authz.Request{Action: "ecr:GetAuthorizationToken", Resource: "*"}, "User: arn:aws:iam::000000000001:user/alice is not authorized to perform: ecr:GetAuthorizationToken on resource: * because no identity-based policy allows the ecr:GetAuthorizationToken action"},
		"nobody":            {nil, put, "User: anonymous is not authorized to perform: ecr:PutImage on resource: " + repository + " because no identity-based policy allows the ecr:PutImage action"},
		"without principal": {&authn.Caller{}, put, "User: anonymous is not authorized to perform: ecr:PutImage on resource: " + repository + " because no identity-based policy allows the ecr:PutImage action"},
	} {
		ctx := t.Context()
		if c.caller != nil {
			ctx = authn.WithCaller(ctx, c.caller)
		}
		var observed []policy.Decision
		a := authz.PolicyAuthorizer{Observe: func(_ context.Context, req *authz.Request, d policy.Decision) {
			if req.Action != c.req.Action {
				t.Errorf("%s: observed %s", name, req.Action)
			}
			observed = append(observed, d)
		}}
		err := a.Authorize(ctx, &c.req)
		if !fault.Is(err, "AccessDenied") || fault.From(err).Kind != fault.Denied {
			t.Errorf("%s: %v, want AccessDenied", name, err)
			continue
		}
		if got := fault.From(err).Message; got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
		if len(observed) != 1 || observed[0].Allowed() {
			t.Errorf("%s: observed %v", name, observed)
		}
	}
}

func TestAuthorize_Allows(t *testing.T) {
	grant := parse(t, statement(`"Effect":"Allow","Principal":{"AWS":"`+ours+`"},"Action":["ecr:BatchGetImage"]`), policy.Resource)
	root := user()
	root.Type, root.Name, root.ARN, root.PrincipalARN, root.UniqueID = authn.Root, "", "arn:aws:iam::"+ours+":root", "arn:aws:iam::"+ours+":root", ours
	federated := user()
	federated.Type, federated.ARN = authn.FederatedUser, "arn:aws:sts::"+ours+":federated-user/fred"
	named := parse(t, statement(`"Effect":"Allow","Principal":{"AWS":"`+federated.ARN+`"},"Action":["ecr:BatchGetImage"]`), policy.Resource)
	strange := user(managedPolicy(t, "AdministratorAccess"))
	strange.Type = "Martian"
	role := session()
	toRole := parse(t, statement(`"Effect":"Allow","Principal":{"AWS":"`+role.PrincipalARN+`"},"Action":["ecr:BatchGetImage"]`), policy.Resource)

	for name, c := range map[string]struct {
		caller *authn.Caller
		req    authz.Request
		want   bool
	}{
		"a managed policy": {user(managedPolicy(t, "AmazonEC2ContainerRegistryReadOnly")), authz.Request{Resource: repository}, true},
		"across accounts":  {user(managedPolicy(t, "ReadOnlyAccess")), authz.Request{Resource: repository, Account: theirs, Policies: []*policy.Policy{grant}}, true},
		"root":             {root, authz.Request{Resource: repository}, true},
		"a federated user": {federated, authz.Request{Resource: repository, Policies: []*policy.Policy{named}}, true},
		"a role":           {role, authz.Request{Resource: repository, Policies: []*policy.Policy{toRole}}, true},
		"another account":  {root, authz.Request{Resource: repository, Account: theirs}, false},
		"an unknown kind":  {strange, authz.Request{Resource: repository}, false},
	} {
		c.req.Action = "ecr:BatchGetImage"
		var a authz.PolicyAuthorizer
		if err := a.Authorize(authn.WithCaller(t.Context(), c.caller), &c.req); (err == nil) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each key is asked for through a policy: for its value, or for its absence.
func TestAuthorize_ConditionKeys(t *testing.T) {
	temporary := session()
	federated := session()
	federated.Federation = &authn.Federation{Provider: "arn:aws:iam::" + ours + ":oidc-provider/issuer.example", Keys: map[string][]string{"issuer.example:sub": {"repo:acme/app"}}}
	insecure := user()
	insecure.Secure, insecure.SourceIP, insecure.UserAgent = false, netip.Addr{}, ""
	mapped := user()
	mapped.SourceIP = netip.MustParseAddr("::ffff:10.1.2.3")
	plain := authz.Request{Action: "ecr:TagResource", Resource: repository}
	tagged := plain
	tagged.Account = theirs
	tagged.ResourceTags = map[string]string{"Stage": "prod", "empty": ""}
	tagged.RequestTags = map[string]string{"Cost": "7"}
	tagged.Keys = map[string][]string{"sts:AWSServiceName": {"codeartifact.amazonaws.com"}, "aws:username": {"mallory"}, "aws:SourceAccount": {theirs}}
	ambiguous := plain
	ambiguous.ResourceTags = map[string]string{"Stage": "prod", "stage": "test"}
	grant := parse(t, statement(`"Effect":"Allow","Action":"*","Principal":{"AWS":"`+ours+`"}`), policy.Resource)
	untag := plain
	untag.Keys = map[string][]string{"aws:TagKeys": {"Cost", "Stage"}}

	const missing = ""
	for _, c := range []struct {
		caller *authn.Caller
		req    authz.Request
		key    string
		want   string // or missing
	}{
		{user(), plain, "aws:PrincipalArn", "arn:aws:iam::" + ours + ":user/alice"},
		{temporary, plain, "aws:PrincipalArn", "arn:aws:iam::" + ours + ":role/team/ops"},
		{user(), plain, "aws:PrincipalAccount", ours},
		{user(), plain, "aws:PrincipalType", "User"},
		{temporary, plain, "aws:PrincipalType", "AssumedRole"},
		{user(), plain, "aws:userid", "AIDAAAAAAAAAAAAAALICE"},
		{temporary, plain, "aws:userid", "AROAAAAAAAAAAAAAAAOPS:ci"},
		{user(), tagged, "aws:username", "alice"},
		{temporary, plain, "aws:username", missing},
		{user(), plain, "aws:PrincipalTag/team", "red"},
		{user(), plain, "aws:PrincipalTag/colour", missing},
		{user(), plain, "aws:TokenIssueTime", missing},
		{temporary, plain, "aws:TokenIssueTime", "2026-03-04T05:05:07Z"},
		{user(), plain, "aws:MultiFactorAuthPresent", missing},
		{temporary, plain, "aws:MultiFactorAuthPresent", "false"},
		{user(), plain, "aws:SourceIdentity", missing},
		{temporary, plain, "aws:SourceIdentity", "alice"},
		{federated, plain, "aws:FederatedProvider", "arn:aws:iam::" + ours + ":oidc-provider/issuer.example"},
		{federated, plain, "issuer.example:sub", "repo:acme/app"},
		{temporary, plain, "aws:FederatedProvider", missing},
		{user(), plain, "aws:SourceIp", "10.1.2.3"},
		{mapped, plain, "aws:SourceIp", "10.1.2.3"},
		{insecure, plain, "aws:SourceIp", missing},
		{user(), plain, "aws:SecureTransport", "true"},
		{insecure, plain, "aws:SecureTransport", "false"},
		{user(), plain, "aws:UserAgent", "docker/28"},
		{insecure, plain, "aws:UserAgent", missing},
		{user(), plain, "aws:CurrentTime", "2026-03-04T05:06:07Z"},
		{user(), plain, "aws:EpochTime", "1772600767"},
		{user(), plain, "aws:RequestedRegion", "eu-central-1"},
		{user(), plain, "aws:PrincipalIsAWSService", "false"},
		{user(), plain, "aws:ViaAWSService", "false"},
		{user(), plain, "aws:ResourceAccount", ours},
		{user(), tagged, "aws:ResourceAccount", theirs},
		{user(), tagged, "aws:ResourceTag/Stage", "prod"},
		{user(), tagged, "ecr:ResourceTag/stage", "prod"},
		{user(), tagged, "iam:ResourceTag/stage", "prod"},
		{user(), plain, "aws:ResourceTag/Stage", missing},
		{user(), tagged, "aws:RequestTag/cost", "7"},
		{user(), tagged, "aws:TagKeys", "Cost"},
		{user(), plain, "aws:TagKeys", missing},
		{user(), tagged, "STS:awsServiceName", "codeartifact.amazonaws.com"},
		{user(), tagged, "aws:SourceAccount", theirs},
		{user(), plain, "aws:SourceVpc", missing},
	} {
		want := `"StringEquals":{"` + c.key + `":"` + c.want + `"}`
		if c.want == missing {
			want = `"Null":{"` + c.key + `":true}`
		}
		c.caller.Policies = []*policy.Policy{parse(t, statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{`+want+`}`), policy.Identity)}
		if c.req.Account != "" {
			c.req.Policies = []*policy.Policy{grant}
		}
		if !authz.Decide(c.caller, &c.req).Allowed() {
			t.Errorf("%s is not %q for %s", c.key, c.want, c.caller.ARN)
		}
	}
	untagging := user(parse(t, statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["Cost","Stage"]},"Null":{"aws:TagKeys":false}}`), policy.Identity))
	if !authz.Decide(untagging, &untag).Allowed() {
		t.Error("the keys of tags that are removed are not aws:TagKeys")
	}
	for _, one := range []string{"prod", "test"} {
		guess := user(parse(t, statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/stage":"`+one+`"}}`), policy.Identity))
		if authz.Decide(guess, &ambiguous).Allowed() {
			t.Errorf("of two tags that differ in case, %s is enough", one)
		}
	}
}

// A team's own repositories by tag, as people write it.
func TestAuthorize_Tags(t *testing.T) {
	byTag := parse(t, statement(`"Effect":"Allow","Action":"ecr:*","Resource":"*",
		"Condition":{"StringEquals":{"ecr:ResourceTag/team":"${aws:PrincipalTag/team}"}}`), policy.Identity)
	for team, want := range map[string]bool{"red": true, "blue": false, "r*": false, "": false} {
		req := &authz.Request{Action: "ecr:PutImage", Resource: repository, ResourceTags: map[string]string{"team": team}}
		if got := authz.Decide(user(byTag), req).Allowed(); got != want {
			t.Errorf("a repository of %q: allowed is %v", team, got)
		}
	}
	teamless := user(byTag)
	teamless.Tags = nil
	if authz.Decide(teamless, &authz.Request{Action: "ecr:PutImage", Resource: repository}).Allowed() {
		t.Error("no team is the team of a repository without team")
	}
}

func TestAuthorize_Concurrent(t *testing.T) {
	a := &authz.PolicyAuthorizer{}
	caller := user(parse(t, statement(`"Effect":"Allow","Action":"*","Resource":"arn:aws:ecr:*:*:repository/${aws:PrincipalTag/team}/*"`), policy.Identity))
	ctx := authn.WithCaller(t.Context(), caller)
	done := make(chan error)
	for range 4 {
		go func() {
			var err error
			for range 500 {
				if e := a.Authorize(ctx, &authz.Request{Action: "ecr:PutImage", Resource: strings.Replace(repository, "team", "red", 1)}); e != nil {
					err = e
				}
			}
			done <- err
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// BenchmarkAuthorize is a docker push of someone with ECR's power user policy.
func BenchmarkAuthorize(b *testing.B) {
	a := &authz.PolicyAuthorizer{Observe: func(context.Context, *authz.Request, policy.Decision) {}}
	ctx := authn.WithCaller(b.Context(), user(managedPolicy(b, "AmazonEC2ContainerRegistryPowerUser")))
	req := &authz.Request{Action: "ecr:PutImage", Resource: repository, Account: ours}
	b.ReportAllocs()
	for b.Loop() {
		if err := a.Authorize(ctx, req); err != nil {
			b.Fatal(err)
		}
	}
}
