package app_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// refused fails the test unless err has one of the codes.
func refused(t *testing.T, what string, err error, codes ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: it worked", what)
		return
	}
	for _, code := range codes {
		if strings.Contains(err.Error(), code) {
			return
		}
	}
	t.Errorf("%s: %v", what, err)
}

// A session's policy limits the tokens that the session obtains, and what it
// assumes further.
func TestAttack_SessionPolicyOfToken(t *testing.T) {
	g := start(t)
	g.repositories(victim, "first")
	role := g.role("builder", allow("*", "*"))
	tokensAlone := policyOf(allow("ecr:GetAuthorizationToken", "*"), allow("codeartifact:GetAuthorizationToken", "*"), allow("sts:GetServiceBearerToken", "*"), allow("ecr:BatchGetImage", "*"))
	limited := g.assume(g.admin(victim), role, tokensAlone)

	if status, body := g.send(g.get(appTags, "Basic "+g.imageToken(limited))); status != http.StatusForbidden {
		t.Errorf("the registry: %d %s", status, body)
	}
	if status, body := g.send(g.get(libPath, "Bearer "+g.packageToken(limited, "first"))); status != http.StatusForbidden {
		t.Errorf("the packages: %d %s", status, body)
	}
	_, err := ecr.NewFromConfig(limited).DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{})
	refused(t, "the API", err, "AccessDenied")
	_, err = sts.NewFromConfig(limited).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("wider")})
	refused(t, "assuming the same role without the policy", err, "AccessDenied")

	// Nor does a repository that lets everybody in let the session further in.
	must(ecr.NewFromConfig(g.admin(victim)).SetRepositoryPolicy(t.Context(), &ecr.SetRepositoryPolicyInput{RepositoryName: aws.String("app"), PolicyText: policyOf(
		`{"Effect":"Allow","Principal":{"AWS":"` + role + `"},"Action":"ecr:*"}`)}))(t)
	if status, body := g.send(g.get(appTags, "Basic "+g.imageToken(limited))); status != http.StatusForbidden {
		t.Errorf("the registry, whose policy names the role: %d %s", status, body)
	}

	// A federated user has no more than its session policies allow.
	out := must(sts.NewFromConfig(g.user(victim, "broker", allow("*", "*"))).GetFederationToken(t.Context(), &sts.GetFederationTokenInput{Name: aws.String("guest"), Policy: tokensAlone}))(t).Credentials
	guest := g.with(*out.AccessKeyId, *out.SecretAccessKey, *out.SessionToken)
	if status, body := g.send(g.get(appTags, "Basic "+g.imageToken(guest))); status != http.StatusForbidden {
		t.Errorf("the registry, for a federated user: %d %s", status, body)
	}
}

// Temporary credentials do not beget better ones.
func TestAttack_SessionsDoNotGrow(t *testing.T) {
	g := start(t)
	ctx := t.Context()
	role := g.role("builder", allow("*", "*"))
	chained := sts.NewFromConfig(g.assume(g.admin(victim), role, nil))

	_, err := chained.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("longer"), DurationSeconds: aws.Int32(3601)})
	refused(t, "a chained session of more than an hour", err, "ValidationError")
	_, err = chained.GetSessionToken(ctx, &sts.GetSessionTokenInput{})
	refused(t, "GetSessionToken with a session", err, "AccessDenied")
	_, err = chained.GetFederationToken(ctx, &sts.GetFederationTokenInput{Name: aws.String("guest")})
	refused(t, "GetFederationToken with a session", err, "AccessDenied")

	for name, session := range map[string]func() aws.Config{
		"GetSessionToken": func() aws.Config {
			out := must(sts.NewFromConfig(g.admin(victim)).GetSessionToken(ctx, &sts.GetSessionTokenInput{}))(t).Credentials
			return g.with(*out.AccessKeyId, *out.SecretAccessKey, *out.SessionToken)
		},
		"GetFederationToken": func() aws.Config {
			out := must(sts.NewFromConfig(g.admin(victim)).GetFederationToken(ctx, &sts.GetFederationTokenInput{Name: aws.String("guest"), Policy: policyOf(allow("*", "*"))}))(t).Credentials
			return g.with(*out.AccessKeyId, *out.SecretAccessKey, *out.SessionToken)
		},
	} {
		_, err := iam.NewFromConfig(session()).CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("admin")})
		refused(t, name+"'s credentials at IAM", err, "InvalidClientTokenId", "AccessDenied")
	}
}

// A user who may make access keys for itself gets no more than itself.
func TestAttack_OwnKeys(t *testing.T) {
	g := start(t)
	ctx := t.Context()
	self := g.user(victim, "self", allow("iam:CreateAccessKey", "arn:aws:iam::"+victim+":user/${aws:username}"))
	c := iam.NewFromConfig(self)
	must(c.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{}))(t)
	for _, other := range []string{"admin", "ADMIN", "self/../admin", "*", "self*", "user/self", strings.ToUpper("nobody")} {
		_, err := c.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &other})
		refused(t, "a key of "+other, err, "AccessDenied", "ValidationError")
	}
	for name, call := range map[string]func() error{
		"PutUserPolicy": func() error {
			_, err := c.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("self"), PolicyName: aws.String("p"), PolicyDocument: policyOf(allow("*", "*"))})
			return err
		},
		"AttachUserPolicy": func() error {
			_, err := c.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: aws.String("self"), PolicyArn: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")})
			return err
		},
		"UpdateUser": func() error {
			_, err := c.UpdateUser(ctx, &iam.UpdateUserInput{UserName: aws.String("self"), NewUserName: aws.String("other")})
			return err
		},
	} {
		refused(t, name, call(), "AccessDenied")
	}
	role := g.role("builder", allow("*", "*"))
	_, err := sts.NewFromConfig(self).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("session")})
	refused(t, "AssumeRole of a role that trusts the account", err, "AccessDenied")
	missing := strings.Replace(role, "builder", "missing", 1)
	_, missingErr := sts.NewFromConfig(self).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &missing, RoleSessionName: aws.String("session")})
	if strings.ReplaceAll(withoutID(missingErr), "missing", "builder") != withoutID(err) {
		t.Errorf("a role that is there and one that is not differ:\n%v\n%v", err, missingErr)
	}
}

func withoutID(err error) string {
	before, after, _ := strings.Cut(err.Error(), "RequestID: ")
	_, after, _ = strings.Cut(after, ",")
	return before + after
}

// Who is created under the name of somebody who was deleted is somebody else: to
// tokens, to trust policies, and to the policies of repositories and domains.
func TestAttack_RecreatedUser(t *testing.T) {
	g := start(t)
	g.repositories(victim, "first")
	ctx, admin := t.Context(), g.admin(victim)
	arn := "arn:aws:iam::" + victim + ":user/worker"
	worker := g.user(victim, "worker", allow("*", "*"))

	image, packages := "Basic "+g.imageToken(worker), "Bearer "+g.packageToken(worker, "first")
	named := policyOf(`{"Effect":"Allow","Principal":{"AWS":"` + arn + `"},"Action":"ecr:*"}`)
	must(ecr.NewFromConfig(admin).SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: aws.String("app"), PolicyText: named, Force: true}))(t)
	ca := codeartifact.NewFromConfig(admin)
	domainPolicy := policyOf(`{"Effect":"Allow","Principal":{"AWS":["` + arn + `"]},"Action":["codeartifact:*","sts:GetServiceBearerToken"],"Resource":"*"}`)
	must(ca.PutDomainPermissionsPolicy(ctx, &codeartifact.PutDomainPermissionsPolicyInput{Domain: aws.String("first"), PolicyDocument: domainPolicy}))(t)
	must(ca.PutRepositoryPermissionsPolicy(ctx, &codeartifact.PutRepositoryPermissionsPolicyInput{Domain: aws.String("first"), Repository: aws.String("lib"), PolicyDocument: domainPolicy}))(t)
	role := aws.String("trusting")
	must(iam.NewFromConfig(admin).CreateRole(ctx, &iam.CreateRoleInput{RoleName: role, AssumeRolePolicyDocument: policyOf(`{"Effect":"Allow","Principal":{"AWS":"` + arn + `"},"Action":"sts:AssumeRole"}`)}))(t)

	// What was written is what is read.
	if got := *must(ecr.NewFromConfig(admin).GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: aws.String("app")}))(t).PolicyText; got != *named {
		t.Errorf("the policy reads %s", got)
	}
	if got := *must(ca.GetDomainPermissionsPolicy(ctx, &codeartifact.GetDomainPermissionsPolicyInput{Domain: aws.String("first")}))(t).Policy.Document; got != *domainPolicy {
		t.Errorf("the domain's policy reads %s", got)
	}
	for path, header := range map[string]string{appTags: image, libPath: packages} {
		if status, body := g.send(g.get(path, header)); status != http.StatusOK {
			t.Fatalf("%s: %d %s", path, status, body)
		}
	}
	takeAllPermissions(g, "worker")
	if _, err := ecr.NewFromConfig(worker).ListImages(ctx, &ecr.ListImagesInput{RepositoryName: aws.String("app")}); err != nil {
		t.Errorf("the repository's policy alone: %v", err)
	}

	g.drop(victim, "worker")
	again := g.user(victim, "worker")
	for path, header := range map[string]string{appTags: image, libPath: packages} {
		if status, body := g.send(g.get(path, header)); status != http.StatusUnauthorized {
			t.Errorf("the old token at %s: %d %s", path, status, body)
		}
	}
	_, err := ecr.NewFromConfig(again).ListImages(ctx, &ecr.ListImagesInput{RepositoryName: aws.String("app")})
	refused(t, "the repository's policy", err, "AccessDenied")
	_, err = codeartifact.NewFromConfig(again).DescribeDomain(ctx, &codeartifact.DescribeDomainInput{Domain: aws.String("first")})
	refused(t, "the domain's policy", err, "AccessDenied")
	_, err = codeartifact.NewFromConfig(again).DescribeRepository(ctx, &codeartifact.DescribeRepositoryInput{Domain: aws.String("first"), Repository: aws.String("lib")})
	refused(t, "the package repository's policy", err, "AccessDenied")
	_, err = sts.NewFromConfig(again).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::" + victim + ":role/trusting"), RoleSessionName: aws.String("session")})
	refused(t, "the trust policy", err, "AccessDenied")

	// A policy cannot name who is not there.
	_, err = ecr.NewFromConfig(admin).SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: aws.String("app"), PolicyText: aws.String(strings.ReplaceAll(*named, "worker", "ghost")), Force: true})
	refused(t, "an ECR policy for nobody", err, "InvalidParameter")
	_, err = ca.PutDomainPermissionsPolicy(ctx, &codeartifact.PutDomainPermissionsPolicyInput{Domain: aws.String("first"), PolicyDocument: aws.String(strings.ReplaceAll(*domainPolicy, "worker", "ghost"))})
	refused(t, "a CodeArtifact policy for nobody", err, "ValidationException")
}

func takeAllPermissions(g *fixture, user string) {
	g.t.Helper()
	must(iam.NewFromConfig(g.admin(victim)).DeleteUserPolicy(g.t.Context(), &iam.DeleteUserPolicyInput{UserName: &user, PolicyName: aws.String("p")}))(g.t)
}

// A recreated role is another one, too, and its old sessions are over.
func TestAttack_RecreatedRole(t *testing.T) {
	g := start(t)
	g.repositories(victim, "first")
	ctx, admin := t.Context(), iam.NewFromConfig(g.admin(victim))
	arn := g.role("builder", allow("*", "*"))
	session := g.assume(g.admin(victim), arn, nil)
	token := "Basic " + g.imageToken(session)
	named := policyOf(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:sts::` + victim + `:assumed-role/builder/session"},"Action":"ecr:*"}`)
	repository := &ecr.GetRepositoryPolicyInput{RepositoryName: aws.String("app")}
	must(ecr.NewFromConfig(g.admin(victim)).SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: repository.RepositoryName, PolicyText: named}))(t)
	if got := *must(ecr.NewFromConfig(g.admin(victim)).GetRepositoryPolicy(ctx, repository))(t).PolicyText; got != *named {
		t.Errorf("the policy reads %s", got)
	}
	must(admin.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: aws.String("builder"), PolicyName: aws.String("p")}))(t)
	must(admin.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: aws.String("builder")}))(t)
	g.role("builder", allow("ecr:GetAuthorizationToken", "*"))
	again := "Basic " + g.imageToken(g.assume(g.admin(victim), arn, nil))
	if status, body := g.send(g.get(appTags, again)); status != http.StatusForbidden {
		t.Errorf("the new role's session, of the name in the repository's policy: %d %s", status, body)
	}
	_, err := sts.NewFromConfig(session).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	refused(t, "the old session", err, "InvalidClientTokenId")
	if status, body := g.send(g.get(appTags, token)); status != http.StatusUnauthorized {
		t.Errorf("the old token: %d %s", status, body)
	}
}

// Root has no access key, and no other principal can create one for it.
func TestAttack_KeyOfRoot(t *testing.T) {
	g := start(t)
	for _, name := range []string{"root", victim, ":root", "arn:aws:iam::" + victim + ":root"} {
		_, err := iam.NewFromConfig(g.admin(victim)).CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: &name})
		refused(t, "a key of "+name, err, "NoSuchEntity", "ValidationError")
	}
}

// An expired token opens nothing, to the second.
func TestAttack_TokenExpiry(t *testing.T) {
	g := start(t)
	g.repositories(victim, "first")
	image, packages := "Basic "+g.imageToken(g.admin(victim)), "Bearer "+g.packageToken(g.admin(victim), "first")
	g.offset.Add(int64(12*time.Hour - time.Minute))
	for path, header := range map[string]string{appTags: image, libPath: packages} {
		if status, body := g.send(g.get(path, header)); status != http.StatusOK {
			t.Errorf("%s a minute before: %d %s", path, status, body)
		}
	}
	g.offset.Add(int64(time.Minute + time.Second))
	for path, want := range map[string]int{appTags: http.StatusForbidden, libPath: http.StatusUnauthorized} {
		header := map[string]string{appTags: image, libPath: packages}[path]
		if status, body := g.send(g.get(path, header)); status != want {
			t.Errorf("%s a second after: %d %s", path, status, body)
		}
	}
}
