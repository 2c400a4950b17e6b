package ratelimit

// AWSQuotas are the requests a second that AWS documents as the default quotas of one
// account in one region, by IAM action (Amazon ECR User Guide, "Amazon ECR service
// quotas"; CodeArtifact User Guide, "Quotas in AWS CodeArtifact"). Actions that are
// not listed have no documented quota.
var AWSQuotas = map[string]int{
	"ecr:GetAuthorizationToken":       500,
	"ecr:BatchCheckLayerAvailability": 1000,
	"ecr:BatchGetImage":               2000,
	"ecr:GetDownloadUrlForLayer":      3000,
	"ecr:InitiateLayerUpload":         100,
	"ecr:UploadLayerPart":             500,
	"ecr:CompleteLayerUpload":         100,
	"ecr:PutImage":                    10,

	"codeartifact:GetAuthorizationToken":  40,
	"codeartifact:CopyPackageVersions":    5,
	"codeartifact:PublishPackageVersion":  10,
	"codeartifact:GetPackageVersionAsset": 50,
	"codeartifact:ReadFromRepository":     800,
}
