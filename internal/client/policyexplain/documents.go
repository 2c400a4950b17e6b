package policyexplain

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
)

// documents finds the texts of the policies that an answer names.
type documents struct {
	client         *iam.Client
	principal      string
	resourcePolicy resourcePolicy
}

// statement returns a statement of the answer with its text.
func (d *documents) statement(ctx context.Context, s types.Statement) (out Statement, notes []string) {
	source := d.kindOf(ctx, s.SourcePolicyType, aws.ToString(s.SourcePolicyId))
	out = Statement{Policy: aws.ToString(s.SourcePolicyId), Type: string(source), Index: -1}
	if source == types.PolicySourceTypeResource && d.resourcePolicy.name != "" {
		out.Policy = d.resourcePolicy.name
	}
	if s.StartPosition != nil {
		out.Line = int(s.StartPosition.Line)
	}
	text, err := d.read(ctx, source, out.Policy)
	if err != nil {
		return out, []string{fmt.Sprintf("policy %s was not read: %s", out.Policy, reason(err))}
	}
	p, err := parse(text, source)
	if err != nil {
		return out, []string{fmt.Sprintf("policy %s was not read: %s", out.Policy, reason(err))}
	}
	for i := range p.Statements() {
		if start, _ := p.StatementPosition(i); s.StartPosition != nil && start.Line == out.Line && start.Column == int(s.StartPosition.Column) {
			out.Index, out.Sid, out.Text = i, p.StatementID(i), p.StatementText(i)
		}
	}
	for _, w := range p.Warnings() {
		notes = append(notes, fmt.Sprintf("policy %s: %s", out.Policy, w))
	}
	return out, notes
}

func parse(text string, source types.PolicySourceType) (*policy.Policy, error) {
	if source != types.PolicySourceTypeResource {
		return policy.Parse(text, policy.Identity)
	}
	if p, err := policy.Parse(text, policy.Trust); err == nil {
		return p, nil
	}
	return policy.Parse(text, policy.Resource)
}

// read returns the text of a policy.
func (d *documents) read(ctx context.Context, source types.PolicySourceType, id string) (string, error) {
	_, name := entity(d.principal)
	switch source {
	case types.PolicySourceTypeUser:
		out, err := d.client.GetUserPolicy(ctx, &iam.GetUserPolicyInput{UserName: &name, PolicyName: &id})
		if err != nil {
			return "", err
		}
		return url.PathUnescape(*out.PolicyDocument)
	case types.PolicySourceTypeRole:
		out, err := d.client.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &name, PolicyName: &id})
		if err != nil {
			return "", err
		}
		return url.PathUnescape(*out.PolicyDocument)
	case types.PolicySourceTypeGroup:
		return d.ofGroup(ctx, id)
	case types.PolicySourceTypeAwsManaged, types.PolicySourceTypeUserManaged:
		return d.managed(ctx, id)
	case types.PolicySourceTypeResource:
		return d.resourcePolicy.document, nil
	}
	return "", errors.New("it is part of the server's configuration")
}

// identityPolicy is how AWS names the type of every identity-based policy,
// although its model has a word for each kind of holder.
const identityPolicy types.PolicySourceType = "IAM Policy"

// kindOf tells identity-based policies apart: a managed one by its ARN, and an
// inline one by who has it, the principal or one of its groups.
func (d *documents) kindOf(ctx context.Context, source types.PolicySourceType, id string) types.PolicySourceType {
	if source != identityPolicy {
		return source
	}
	kind, name := entity(d.principal)
	switch {
	case strings.HasPrefix(id, "arn:aws:iam::aws:"):
		return types.PolicySourceTypeAwsManaged
	case strings.HasPrefix(id, "arn:"):
		return types.PolicySourceTypeUserManaged
	case kind != "user":
		return types.PolicySourceType(kind) // a role or a group has all of them itself
	}
	var none *types.NoSuchEntityException
	if _, err := d.client.GetUserPolicy(ctx, &iam.GetUserPolicyInput{UserName: &name, PolicyName: &id}); errors.As(err, &none) {
		return types.PolicySourceTypeGroup
	}
	return types.PolicySourceTypeUser
}

// ofGroup returns an inline policy of one of the principal's groups. If two groups
// have a policy of that name, it is the first one's.
func (d *documents) ofGroup(ctx context.Context, policyName string) (string, error) {
	kind, name := entity(d.principal)
	groups := []string{name}
	if kind != "group" {
		out, err := d.client.ListGroupsForUser(ctx, &iam.ListGroupsForUserInput{UserName: &name})
		if err != nil {
			return "", err
		}
		groups = nil
		for _, g := range out.Groups {
			groups = append(groups, *g.GroupName)
		}
	}
	err := fmt.Errorf("no group of %s has it", name)
	for _, g := range groups {
		var out *iam.GetGroupPolicyOutput
		if out, err = d.client.GetGroupPolicy(ctx, &iam.GetGroupPolicyInput{GroupName: &g, PolicyName: &policyName}); err == nil {
			return url.PathUnescape(*out.PolicyDocument)
		}
	}
	return "", err
}

func (d *documents) managed(ctx context.Context, policyARN string) (string, error) {
	p, err := d.client.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: &policyARN})
	if err != nil {
		return "", err
	}
	v, err := d.client.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: &policyARN, VersionId: p.Policy.DefaultVersionId})
	if err != nil {
		return "", err
	}
	return url.PathUnescape(*v.PolicyVersion.Document)
}

// entity is the kind and the name of the user, group or role of an ARN. For a role
// session it is the role.
func entity(principalARN string) (kind, name string) {
	_, resource, _ := strings.Cut(principalARN, "::")
	_, resource, _ = strings.Cut(resource, ":")
	parts := strings.Split(resource, "/")
	if parts[0] == "assumed-role" && len(parts) > 1 {
		return "role", parts[1]
	}
	return parts[0], parts[len(parts)-1]
}
