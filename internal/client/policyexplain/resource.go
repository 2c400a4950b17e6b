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
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/smithy-go"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
)

// A resourcePolicy is one of the policies that count for a resource.
type resourcePolicy struct {
	name     string // registryPolicy, domainPolicy, or empty for that of the resource itself
	document string
}

const (
	registryPolicy = "RegistryPolicy"
	domainPolicy   = "DomainPolicy"
)

// readResource reads the policies that count for a resource, and its tags as condition
// keys. What cannot be read becomes a note.
func readResource(ctx context.Context, c aws.Config, resource string) (policies []resourcePolicy, tags map[string][]string, notes []string) {
	a, err := arn.Parse(resource)
	if err != nil || strings.ContainsAny(resource, "*?") {
		return nil, nil, nil
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
	return r.policies, r.tags, r.notes
}

type resourceReader struct {
	arn      string
	policies []resourcePolicy
	tags     map[string][]string
	notes    []string
}

func (r *resourceReader) tag(service, key, value string) {
	r.tags["aws:ResourceTag/"+key] = []string{value}
	if service != "" {
		r.tags[service+":ResourceTag/"+key] = []string{value}
	}
}

// add adds a policy, which a resource may not have.
func (r *resourceReader) add(name, document string) {
	if document != "" {
		r.policies = append(r.policies, resourcePolicy{name, document})
	}
}

// failed adds a note for an error, unless the error says that there is none.
func (r *resourceReader) failed(what string, err error) {
	var e smithy.APIError
	if errors.As(err, &e) && strings.Contains(e.ErrorCode(), "NotFound") {
		return
	}
	r.notes = append(r.notes, fmt.Sprintf("the %s of %s could not be read and are ignored: %s", what, r.arn, reason(err)))
}

// reason is what an error of the server says, without the encoded message of a denial, which
// is of no use here.
func reason(err error) string {
	var e smithy.APIError
	if !errors.As(err, &e) {
		return err.Error()
	}
	text, _, _ := strings.Cut(e.ErrorMessage(), ". Encoded authorization failure message:")
	return text
}

func (r *resourceReader) repository(ctx context.Context, client *ecr.Client, account, name string) {
	p, err := client.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RegistryId: &account, RepositoryName: &name})
	if err == nil {
		r.add("", aws.ToString(p.PolicyText))
	} else {
		r.failed("permissions", err)
	}
	r.registry(ctx, client, account)
	tags, err := client.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: &r.arn})
	if err != nil {
		r.failed("tags", err)
		return
	}
	for _, t := range tags.Tags {
		r.tag("ecr", aws.ToString(t.Key), aws.ToString(t.Value))
	}
}

// registry reads the policy of a registry, which only callers of its account can.
func (r *resourceReader) registry(ctx context.Context, client *ecr.Client, account string) {
	p, err := client.GetRegistryPolicy(ctx, &ecr.GetRegistryPolicyInput{})
	var none *types.RegistryPolicyNotFoundException
	switch {
	case errors.As(err, &none):
	case err != nil:
		r.failed("permissions of the registry", err)
	case aws.ToString(p.RegistryId) != account:
		r.notes = append(r.notes, fmt.Sprintf("the policy of the registry %s is ignored: only its own account can read it", account))
	default:
		r.add(registryPolicy, aws.ToString(p.PolicyText))
	}
}

// codeArtifact reads a domain, a repository or a package, whose permissions and
// tags are the repository's.
func (r *resourceReader) codeArtifact(ctx context.Context, client *codeartifact.Client, owner, kind, name string) {
	parts := strings.Split(name, "/")
	resource := r.arn
	switch {
	case kind == "domain":
		r.domain(ctx, client, owner, parts[0], "")
	case len(parts) > 1:
		p, err := client.GetRepositoryPermissionsPolicy(ctx, &codeartifact.GetRepositoryPermissionsPolicyInput{Domain: &parts[0], DomainOwner: &owner, Repository: &parts[1]})
		if err == nil {
			r.add("", aws.ToString(p.Policy.Document))
		} else {
			r.failed("permissions", err)
		}
		r.domain(ctx, client, owner, parts[0], domainPolicy)
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

func (r *resourceReader) domain(ctx context.Context, client *codeartifact.Client, owner, domain, name string) {
	p, err := client.GetDomainPermissionsPolicy(ctx, &codeartifact.GetDomainPermissionsPolicyInput{Domain: &domain, DomainOwner: &owner})
	if err != nil {
		r.failed("permissions", err)
		return
	}
	r.add(name, aws.ToString(p.Policy.Document))
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
	document, err := url.PathUnescape(aws.ToString(out.Role.AssumeRolePolicyDocument))
	if err != nil {
		r.failed("permissions", err)
	}
	r.add("", document)
	for _, t := range out.Role.Tags {
		r.tag("iam", aws.ToString(t.Key), aws.ToString(t.Value))
	}
}
