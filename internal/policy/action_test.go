package policy_test

import (
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
)

func TestGrantsService(t *testing.T) {
	for statement, want := range map[string]bool{
		`"Effect":"Allow","Action":"ecr:GetAuthorizationToken"`:     true,
		`"Effect":"Allow","Action":"ECR:*"`:                         true,
		`"Effect":"Allow","Action":"*"`:                             true,
		`"Effect":"Allow","Action":"*:*"`:                           true,
		`"Effect":"Allow","Action":["iam:*","ecr:Get*"]`:            true,
		`"Effect":"Allow","Action":"ecr-public:GetRepository"`:      false,
		`"Effect":"Allow","Action":"iam:*"`:                         false,
		`"Effect":"Deny","Action":"ecr:*"`:                          false,
		`"Effect":"Allow","NotAction":"iam:*"`:                      true,
		`"Effect":"Allow","NotAction":["iam:*","ecr:PutImage"]`:     true,
		`"Effect":"Allow","NotAction":["iam:*","ecr:*"]`:            false,
		`"Effect":"Allow","NotAction":"*"`:                          false,
		`"Effect":"Allow","NotAction":["ecr:Get*","ecr:Describe*"]`: true,
	} {
		p, err := policy.Parse(`{"Version":"2012-10-17","Statement":{`+statement+`,"Resource":"*"}}`, policy.Identity)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.GrantsService("ecr"); got != want {
			t.Errorf("%s: %v", statement, got)
		}
	}
}
