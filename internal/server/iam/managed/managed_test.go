package managed_test

import (
	"slices"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/managed"
)

func TestPolicies_Valid(t *testing.T) {
	var names []string
	for _, p := range managed.Policies() {
		if _, err := policy.Parse(p.Document, policy.Identity); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		if size := policy.Size(p.Document); size > 6144 {
			t.Errorf("%s has %d characters, more than a managed policy may have", p.Name, size)
		}
		if p.ARN != "arn:aws:iam::aws:policy"+p.Path+p.Name || p.Path != "/" && p.Path != "/aws-service-role/" || p.Description == "" || p.VersionID == "" || p.Updated.IsZero() {
			t.Errorf("%+v is not complete", p)
		}
		names = append(names, p.Name)
	}
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("the names are not in order, or not unique: %v", names)
	}
}

func TestPolicies_Grants(t *testing.T) {
	const account = "000000000001"
	compiled := map[string]*policy.Policy{}
	for _, p := range managed.Policies() {
		var err error
		if compiled[p.Name], err = policy.Parse(p.Document, policy.Identity); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		policy  string
		allowed []string
		denied  []string
	}{
		{"AdministratorAccess", []string{"ecr:DeleteRepository", "iam:CreateUser"}, nil},
		{
			"AmazonEC2ContainerRegistryPullOnly",
			[]string{"ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"},
			[]string{"ecr:DescribeImages", "ecr:BatchCheckLayerAvailability", "ecr:PutImage"},
		},
		{
			"AmazonEC2ContainerRegistryReadOnly",
			[]string{"ecr:DescribeImages", "ecr:BatchCheckLayerAvailability"},
			[]string{"ecr:PutImage", "ecr:BatchDeleteImage"},
		},
		{
			"AmazonEC2ContainerRegistryPowerUser",
			[]string{"ecr:PutImage", "ecr:BatchGetImage"},
			[]string{"ecr:BatchDeleteImage", "ecr:CreateRepository", "ecr:SetRepositoryPolicy"},
		},
		{
			"AmazonEC2ContainerRegistryFullAccess",
			[]string{"ecr:SetRepositoryPolicy", "ecr:DeleteRepository"},
			[]string{"iam:CreateServiceLinkedRole", "codeartifact:ListDomains"},
		},
		{
			"AWSCodeArtifactAdminAccess",
			[]string{"codeartifact:DeleteDomain", "sts:GetServiceBearerToken"},
			[]string{"sts:AssumeRole", "ecr:GetAuthorizationToken"},
		},
		{
			"AWSCodeArtifactReadOnlyAccess",
			[]string{"codeartifact:GetAuthorizationToken", "codeartifact:ReadFromRepository", "sts:GetServiceBearerToken"},
			[]string{"codeartifact:PublishPackageVersion", "codeartifact:CreateRepository"},
		},
		{"ECRReplicationServiceRolePolicy", []string{"ecr:ReplicateImage", "ecr:CreateRepository"}, []string{"ecr:DeleteRepository"}},
		{"AWSECRPullThroughCache_ServiceRolePolicy", []string{"ecr:BatchImportUpstreamImage", "ecr:PutImage"}, []string{"ecr:DeleteRepository", "ecr:SetRepositoryPolicy"}},
		{"IAMFullAccess", []string{"iam:CreateUser"}, []string{"sts:AssumeRole"}},
		{"IAMReadOnlyAccess", []string{"iam:GetUser", "iam:SimulatePrincipalPolicy"}, []string{"iam:CreateUser"}},
		{"PowerUserAccess", []string{"ecr:DeleteRepository", "sts:AssumeRole", "iam:ListRoles"}, []string{"iam:CreateUser"}},
		{
			"ReadOnlyAccess",
			[]string{"ecr:BatchGetImage", "codeartifact:ReadFromRepository", "iam:GetUser", "sts:GetSessionToken"},
			[]string{"ecr:PutImage", "codeartifact:DeletePackage", "sts:GetServiceBearerToken", "iam:CreateUser"},
		},
	} {
		p := compiled[c.policy]
		if p == nil {
			t.Errorf("there is no %s", c.policy)
			continue
		}
		allowed := func(action string) bool {
			return policy.Evaluate(&policy.Input{
				Principal: policy.Principal{Type: policy.User, Account: account, ARN: "arn:aws:iam::" + account + ":user/u"},
				Action:    action, Resource: "*", Context: serviceName{}, Identity: []*policy.Policy{p},
			}).Allowed()
		}
		for _, action := range c.allowed {
			if !allowed(action) {
				t.Errorf("%s does not allow %s", c.policy, action)
			}
		}
		for _, action := range c.denied {
			if allowed(action) {
				t.Errorf("%s allows %s", c.policy, action)
			}
		}
		delete(compiled, c.policy)
	}
	for name := range compiled {
		t.Errorf("nothing is tested of %s", name)
	}
}

// serviceName is the context of a request for a CodeArtifact token.
type serviceName struct{}

func (serviceName) Lookup(key string) ([]string, bool) {
	if key == "sts:awsservicename" {
		return []string{"codeartifact.amazonaws.com"}, true
	}
	return nil, false
}
