package policyexplain

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/smithy-go"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
)

// readResource reads the policy of a resource, and its tags as condition keys. What
// cannot be read becomes a note.
func readResource(ctx context.Context, c aws.Config, resource string) (document string, tags map[string][]string, notes []string) {
	a, err := arn.Parse(resource)
	if err != nil || strings.ContainsAny(resource, "*?") {
		return "", nil, nil
	}
	kind, name, _ := strings.Cut(a.Resource, "/")
	r := &resourceReader{arn: resource, tags: map[string][]string{}}
	if a.Region != "" {
		c = c.Copy()
		c.Region = a.Region
	}
	switch {
	case a.Service == "ecr" && kind == "repository":
		r.repository(ctx, ecr.NewFromConfig(c), a.AccountID, name)
	case a.Service == "codeartifact":
		r.codeArtifact(ctx, codeartifact.NewFromConfig(c), a.AccountID, kind, name)
	case a.Service == "iam" && kind == "role":
		r.role(ctx, iam.NewFromConfig(c), name[strings.LastIndexByte(name, '/')+1:])
	}
	return r.document, r.tags, r.notes
}

type resourceReader struct {
	arn      string
	document string
	tags     map[string][]string
	notes    []string
}

func (r *resourceReader) tag(service, key, value string) {
	r.tags["aws:ResourceTag/"+key] = []string{value}
	if service != "" {
		r.tags[service+":ResourceTag/"+key] = []string{value}
	}
}

// failed adds a note for an error, unless the error says that there is none.
func (r *resourceReader) failed(what string, err error) {
	var e smithy.APIError
	if errors.As(err, &e) && strings.Contains(e.ErrorCode(), "NotFound") {
		return
	}
	r.notes = append(r.notes, fmt.Sprintf("the %s of %s could not be read and are ignored: %v", what, r.arn, err))
}

func (r *resourceReader) repository(ctx context.Context, client *ecr.Client, account, name string) {
	p, err := client.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RegistryId: &account, RepositoryName: &name})
	if err == nil {
		r.document = aws.ToString(p.PolicyText)
	} else {
		r.failed("permissions", err)
	}
	tags, err := client.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: &r.arn})
	if err != nil {
		r.failed("tags", err)
		return
	}
	for _, t := range tags.Tags {
		r.tag("ecr", aws.ToString(t.Key), aws.ToString(t.Value))
	}
}

// codeArtifact reads a domain, a repository or a package, whose permissions and
// tags are the repository's.
func (r *resourceReader) codeArtifact(ctx context.Context, client *codeartifact.Client, owner, kind, name string) {
	parts := strings.Split(name, "/")
	resource := r.arn
	switch {
	case kind == "domain":
		p, err := client.GetDomainPermissionsPolicy(ctx, &codeartifact.GetDomainPermissionsPolicyInput{Domain: &parts[0], DomainOwner: &owner})
		if err == nil {
			r.document = aws.ToString(p.Policy.Document)
		} else {
			r.failed("permissions", err)
		}
	case len(parts) > 1:
		p, err := client.GetRepositoryPermissionsPolicy(ctx, &codeartifact.GetRepositoryPermissionsPolicyInput{Domain: &parts[0], DomainOwner: &owner, Repository: &parts[1]})
		if err == nil {
			r.document = aws.ToString(p.Policy.Document)
		} else {
			r.failed("permissions", err)
		}
		before, _, _ := strings.Cut(r.arn, kind+"/")
		resource = before + "repository/" + parts[0] + "/" + parts[1]
	}
	tags, err := client.ListTagsForResource(ctx, &codeartifact.ListTagsForResourceInput{ResourceArn: &resource})
	if err != nil {
		r.failed("tags", err)
		return
	}
	for _, t := range tags.Tags {
		r.tag("", aws.ToString(t.Key), aws.ToString(t.Value))
	}
}

func (r *resourceReader) role(ctx context.Context, client *iam.Client, name string) {
	out, err := client.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	if err != nil {
		r.failed("permissions", err)
		return
	}
	if aws.ToString(out.Role.Arn) != r.arn {
		return // a role with another path or account
	}
	if r.document, err = url.PathUnescape(aws.ToString(out.Role.AssumeRolePolicyDocument)); err != nil {
		r.failed("permissions", err)
	}
	for _, t := range out.Role.Tags {
		r.tag("iam", aws.ToString(t.Key), aws.ToString(t.Value))
	}
}
