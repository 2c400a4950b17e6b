package iamapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	accountreport "github.com/gatehouse-registry/gatehouse/internal/server/iam/report"
)

// accessReport returns the services of a report: "ecr by alice", or "iam never".
func accessReport(t *testing.T, c *api.Client, arn string) (list []string) {
	t.Helper()
	job := must[api.GenerateServiceLastAccessedDetailsOutput](t)(c.GenerateServiceLastAccessedDetails(t.Context(), &api.GenerateServiceLastAccessedDetailsInput{Arn: &arn})).JobId
	out := must[api.GetServiceLastAccessedDetailsOutput](t)(c.GetServiceLastAccessedDetails(t.Context(), &api.GetServiceLastAccessedDetailsInput{JobId: job}))
	if out.JobStatus != types.JobStatusTypeCompleted || out.JobType != types.AccessAdvisorUsageGranularityTypeServiceLevel || out.JobCreationDate == nil || out.JobCompletionDate == nil || out.IsTruncated {
		t.Errorf("%s: %+v", arn, out)
	}
	for _, s := range out.ServicesLastAccessed {
		if s.LastAuthenticated == nil {
			list = append(list, *s.ServiceNamespace+" never")
			continue
		}
		entity := *s.LastAuthenticatedEntity
		list = append(list, fmt.Sprintf("%s by %s of %d in %s", *s.ServiceNamespace, entity[strings.LastIndexByte(entity, '/')+1:], *s.TotalAuthenticatedEntities, *s.LastAuthenticatedRegion))
	}
	return list
}

func TestServiceLastAccessedDetails(t *testing.T) {
	w, c := serve(t)
	ctx := t.Context()
	policyARN := fill(t, c) // denies
	key := must[api.CreateAccessKeyOutput](t)(c.CreateAccessKey(ctx, &api.CreateAccessKeyInput{UserName: aws.String("alice")})).AccessKey
	role := must[api.GetRoleOutput](t)(c.GetRole(ctx, &api.GetRoleInput{RoleName: aws.String("ci")})).Role
	ago := func(hours time.Duration) time.Time { return w.Now().Add(-hours * time.Hour) }
	w.IAM.Used(*key.AccessKeyId, ago(3), "ecr", "eu-central-1")
	w.IAM.Used(*key.AccessKeyId, ago(3), "codeartifact", "eu-central-1") // alice is not allowed it
	w.IAM.Used(*role.RoleId, ago(2), "ecr", "us-east-1")
	must[api.SetDefaultPolicyVersionOutput](t)(c.SetDefaultPolicyVersion(ctx, &api.SetDefaultPolicyVersionInput{PolicyArn: policyARN, VersionId: aws.String("v1")}))
	// A session of a user is the user.
	w.IAM.Used(*must[api.GetUserOutput](t)(c.GetUser(ctx, &api.GetUserInput{UserName: aws.String("alice")})).User.UserId, ago(1), "ecr", "us-west-1")

	readOnly := "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
	group := must[api.GetGroupOutput](t)(c.GetGroup(ctx, &api.GetGroupInput{GroupName: aws.String("ops")})).Group
	for arn, want := range map[string]string{
		aliceARN:   "[ecr by alice of 1 in us-west-1]",
		*role.Arn:  "[ecr by ci of 1 in us-east-1]",
		*group.Arn: "[ecr by alice of 1 in us-west-1]",
		*policyARN: "[ecr by alice of 1 in us-west-1]",
		readOnly:   "[ecr by ci of 1 in us-east-1]",
	} {
		if got := fmt.Sprint(accessReport(t, c, arn)); got != want {
			t.Errorf("%s: %s, want %s", arn, got, want)
		}
	}
	admin := accessReport(t, c, "arn:aws:iam::"+iamtest.Account+":user/admin")
	if len(admin) != len(iam.Services) || admin[0] != "codeartifact never" || !strings.HasPrefix(admin[3], "iam by admin of 1") {
		t.Errorf("the admin: %q", admin)
	}
}

func TestServiceLastAccessedDetails_Pages(t *testing.T) {
	w, c := serve(t)
	ctx := t.Context()
	fill(t, c)
	must[api.CreateUserOutput](t)(c.CreateUser(ctx, &api.CreateUserInput{UserName: aws.String("bob")}))
	must[api.AddUserToGroupOutput](t)(c.AddUserToGroup(ctx, &api.AddUserToGroupInput{GroupName: aws.String("ops"), UserName: aws.String("bob")}))
	all := "arn:aws:iam::aws:policy/AdministratorAccess"
	must[api.AttachGroupPolicyOutput](t)(c.AttachGroupPolicy(ctx, &api.AttachGroupPolicyInput{GroupName: aws.String("ops"), PolicyArn: &all}))
	must[api.AttachRolePolicyOutput](t)(c.AttachRolePolicy(ctx, &api.AttachRolePolicyInput{RoleName: aws.String("ci"), PolicyArn: &all}))
	job := must[api.GenerateServiceLastAccessedDetailsOutput](t)(c.GenerateServiceLastAccessedDetails(ctx, &api.GenerateServiceLastAccessedDetailsInput{Arn: &all, Granularity: types.AccessAdvisorUsageGranularityTypeActionLevel})).JobId

	var names []string
	in := &api.GetServiceLastAccessedDetailsInput{JobId: job, MaxItems: aws.Int32(4)}
	for {
		out := must[api.GetServiceLastAccessedDetailsOutput](t)(c.GetServiceLastAccessedDetails(ctx, in))
		for _, s := range out.ServicesLastAccessed {
			names = append(names, *s.ServiceNamespace)
		}
		if in.Marker = out.Marker; !out.IsTruncated {
			break
		}
	}
	if got := fmt.Sprint(names); got != "[codeartifact ecr gatehouse iam secretsmanager signer sts]" {
		t.Errorf("services %s", got)
	}

	var entities []string
	with := &api.GetServiceLastAccessedDetailsWithEntitiesInput{JobId: job, ServiceNamespace: aws.String("iam"), MaxItems: aws.Int32(3)}
	for {
		out := must[api.GetServiceLastAccessedDetailsWithEntitiesOutput](t)(c.GetServiceLastAccessedDetailsWithEntities(ctx, with))
		for _, e := range out.EntityDetailsList {
			entities = append(entities, fmt.Sprint(e.EntityInfo.Type, " ", *e.EntityInfo.Name, " ", e.LastAuthenticated != nil))
		}
		if with.Marker = out.Marker; !out.IsTruncated {
			break
		}
	}
	if got := fmt.Sprint(entities); got != "[USER admin true USER alice false USER bob false ROLE ci false]" {
		t.Errorf("entities %s", got)
	}

	refused[api.GetServiceLastAccessedDetailsWithEntitiesOutput](t, "ValidationError")(c.GetServiceLastAccessedDetailsWithEntities(ctx, &api.GetServiceLastAccessedDetailsWithEntitiesInput{JobId: job, ServiceNamespace: aws.String("iam"), Marker: aws.String("x")}))
	refused[api.GetServiceLastAccessedDetailsOutput](t, "NoSuchEntity")(c.GetServiceLastAccessedDetails(ctx, &api.GetServiceLastAccessedDetailsInput{JobId: aws.String(strings.Repeat("0", 36))}))
	other := func(o *api.Options) {
		o.Credentials = iamtest.Static(w.OtherAdmin.AccessKeyID, w.OtherAdmin.Secret, "")
	}
	refused[api.GetServiceLastAccessedDetailsOutput](t, "NoSuchEntity")(c.GetServiceLastAccessedDetails(ctx, &api.GetServiceLastAccessedDetailsInput{JobId: job}, other))
	refused[api.GenerateServiceLastAccessedDetailsOutput](t, "NoSuchEntity")(c.GenerateServiceLastAccessedDetails(ctx, &api.GenerateServiceLastAccessedDetailsInput{Arn: aws.String(aliceARN)}, other))
	reader := must[api.GenerateServiceLastAccessedDetailsOutput](t)(c.GenerateServiceLastAccessedDetails(ctx, &api.GenerateServiceLastAccessedDetailsInput{Arn: aws.String("arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly")})).JobId
	refused[api.GetServiceLastAccessedDetailsWithEntitiesOutput](t, "InvalidInput")(c.GetServiceLastAccessedDetailsWithEntities(ctx, &api.GetServiceLastAccessedDetailsWithEntitiesInput{JobId: reader, ServiceNamespace: aws.String("iam")}))

	w.Advance(25 * time.Hour)
	if _, _, err := accountreport.New(w.IAM).AccessReport(w.AsAdmin(), *job); !fault.Is(err, "NoSuchEntity") {
		t.Errorf("a day later: %v", err)
	}
}
