package managed

import (
	"slices"
	"time"
)

// bearerToken lets its holder obtain a CodeArtifact token, beside
// codeartifact:GetAuthorizationToken.
var bearerToken = allow("sts:GetServiceBearerToken").when("sts:AWSServiceName", "codeartifact.amazonaws.com")

// pull is what ECR's read-only and power users have in common.
var pull = []string{
	"ecr:GetAuthorizationToken",
	"ecr:BatchCheckLayerAvailability",
	"ecr:GetDownloadUrlForLayer",
	"ecr:GetRepositoryPolicy",
	"ecr:DescribeRepositories",
	"ecr:ListImages",
	"ecr:DescribeImages",
	"ecr:BatchGetImage",
	"ecr:GetLifecyclePolicy",
	"ecr:GetLifecyclePolicyPreview",
	"ecr:ListTagsForResource",
	"ecr:DescribeImageScanFindings",
}

var push = []string{
	"ecr:InitiateLayerUpload",
	"ecr:UploadLayerPart",
	"ecr:CompleteLayerUpload",
	"ecr:PutImage",
}

// table is ordered by name.
var table = []entry{
	{
		name: "AWSCodeArtifactAdminAccess", version: "v1", updated: on(2020, time.June, 16, 23, 53, 23),
		description: "Everything in CodeArtifact, and obtaining its tokens.",
		statements:  []statement{allow("codeartifact:*"), bearerToken},
	},
	{
		name: "AWSCodeArtifactReadOnlyAccess", version: "v1", updated: on(2020, time.June, 25, 21, 23, 52),
		description: "Reading everything in CodeArtifact, packages too, and obtaining its tokens.",
		statements: []statement{
			allow("codeartifact:Describe*", "codeartifact:Get*", "codeartifact:List*", "codeartifact:ReadFromRepository"),
			bearerToken,
		},
	},
	{
		name: "AWSECRPullThroughCache_ServiceRolePolicy", path: "/aws-service-role/", version: "v3", updated: on(2025, time.March, 12, 18, 2, 24),
		description: "What ECR does to fill a pull-through cache. Only the service-linked role has it.",
		statements: []statement{
			allow("ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart",
				"ecr:CompleteLayerUpload", "ecr:PutImage", "ecr:BatchGetImage", "ecr:BatchImportUpstreamImage", "ecr:GetDownloadUrlForLayer", "ecr:GetImageCopyStatus"),
		},
	},
	{
		name: "AdministratorAccess", version: "v1", updated: on(2015, time.February, 6, 18, 39, 46),
		description: "Everything.",
		statements:  []statement{allow("*")},
	},
	{
		name: "AmazonEC2ContainerRegistryFullAccess", version: "v3", updated: on(2020, time.December, 5, 0, 4, 19),
		description: "Everything in ECR.",
		statements: []statement{
			allow("ecr:*", "cloudtrail:LookupEvents"),
			allow("iam:CreateServiceLinkedRole").when("iam:AWSServiceName", "replication.ecr.amazonaws.com"),
		},
	},
	{
		name: "AmazonEC2ContainerRegistryPowerUser", version: "v3", updated: on(2019, time.December, 10, 20, 48, 8),
		description: "Pulling and pushing in ECR, without deleting repositories or changing their policies.",
		statements:  []statement{allow(slices.Concat(pull, push)...)},
	},
	{
		name: "AmazonEC2ContainerRegistryPullOnly", version: "v1", updated: on(2024, time.October, 4, 16, 58, 49),
		description: "Pulling images from ECR, and nothing else.",
		statements: []statement{allow(
			"ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchImportUpstreamImage")},
	},
	{
		name: "AmazonEC2ContainerRegistryReadOnly", version: "v3", updated: on(2019, time.December, 10, 20, 56, 32),
		description: "Pulling from ECR and seeing what is there.",
		statements:  []statement{allow(pull...)},
	},
	{
		name: "ECRReplicationServiceRolePolicy", path: "/aws-service-role/", version: "v1", updated: on(2020, time.December, 4, 22, 11, 18),
		description: "What ECR does to replicate images. Only the service-linked role has it.",
		statements:  []statement{allow("ecr:CreateRepository", "ecr:ReplicateImage")},
	},
	{
		name: "IAMFullAccess", version: "v2", updated: on(2019, time.June, 21, 19, 40, 0),
		description: "Everything in IAM.",
		statements: []statement{allow(
			"iam:*",
			"organizations:DescribeAccount", "organizations:DescribeOrganization",
			"organizations:DescribeOrganizationalUnit", "organizations:DescribePolicy",
			"organizations:ListChildren", "organizations:ListParents", "organizations:ListPoliciesForTarget",
			"organizations:ListRoots", "organizations:ListPolicies", "organizations:ListTargetsForPolicy")},
	},
	{
		name: "IAMReadOnlyAccess", version: "v4", updated: on(2018, time.January, 25, 19, 11, 27),
		description: "Reading everything in IAM.",
		statements: []statement{allow(
			"iam:GenerateCredentialReport", "iam:GenerateServiceLastAccessedDetails",
			"iam:Get*", "iam:List*", "iam:SimulateCustomPolicy", "iam:SimulatePrincipalPolicy")},
	},
	{
		name: "PowerUserAccess", version: "v12", updated: on(2026, time.February, 12, 17, 59, 14),
		description: "Everything but the management of identities, organizations and accounts.",
		statements: []statement{
			allowAllBut("iam:*", "organizations:*", "account:*"),
			allow("account:GetAccountInformation", "account:GetGovCloudAccountInformation", "account:GetPrimaryEmail",
				"account:ListRegions", "iam:CreateServiceLinkedRole", "iam:DeleteServiceLinkedRole", "iam:ListRoles",
				"organizations:DescribeEffectivePolicy", "organizations:DescribeOrganization"),
		},
	},
	{
		// As on AWS it does not have sts:GetServiceBearerToken, without which no
		// CodeArtifact token can be obtained.
		name: "ReadOnlyAccess", version: "v178", updated: on(2026, time.February, 12, 18, 1, 33),
		description: "Reading everything.",
		statements: []statement{allow(
			"codeartifact:DescribeDomain", "codeartifact:DescribePackage", "codeartifact:DescribePackageVersion",
			"codeartifact:DescribeRepository", "codeartifact:GetAuthorizationToken",
			"codeartifact:GetDomainPermissionsPolicy", "codeartifact:GetPackageVersionAsset",
			"codeartifact:GetPackageVersionReadme", "codeartifact:GetRepositoryEndpoint",
			"codeartifact:GetRepositoryPermissionsPolicy", "codeartifact:ListDomains", "codeartifact:ListPackages",
			"codeartifact:ListPackageVersionAssets", "codeartifact:ListPackageVersionDependencies",
			"codeartifact:ListPackageVersions", "codeartifact:ListRepositories",
			"codeartifact:ListRepositoriesInDomain", "codeartifact:ListTagsForResource", "codeartifact:ReadFromRepository",
			"ecr:BatchCheck*", "ecr:BatchGet*", "ecr:Describe*", "ecr:Get*", "ecr:List*",
			"iam:Generate*", "iam:Get*", "iam:List*", "iam:Simulate*",
			"sts:GetAccessKeyInfo", "sts:GetCallerIdentity", "sts:GetSessionToken")},
	},
}
