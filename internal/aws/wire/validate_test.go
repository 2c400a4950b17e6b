package wire

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// check validates an input as its service does.
func check(t *testing.T, service string, in any) *ValidationError {
	t.Helper()
	s, v := newService(t, service, Options{}), reflect.ValueOf(in).Elem()
	n, err := s.planner.plan(s.ops[strings.TrimSuffix(v.Type().Name(), "Input")].Input, v.Type())
	if err != nil {
		t.Fatal(err)
	}
	err = validate(n, v)
	if err == nil {
		return nil
	}
	var bad *ValidationError
	if !errors.As(err, &bad) {
		t.Fatalf("err = %v", err)
	}
	return bad
}

func TestValidate_Constraints(t *testing.T) {
	long := strings.Repeat("x", 3000)
	for _, c := range []struct {
		service string
		in      any
		want    string // "" if it is valid
	}{
		{"ecr", &ecr.CreateRepositoryInput{RepositoryName: aws.String("team/app.x__y--z")}, ""},
		{"ecr", &ecr.CreateRepositoryInput{}, "1 validation error detected: Value null at 'repositoryName' failed to satisfy constraint: Member must not be null"},
		{"ecr", &ecr.CreateRepositoryInput{RepositoryName: aws.String("a\n")}, "1 validation error detected: Value 'a\n' at 'repositoryName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(\\/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*"},
		{
			"ecr", &ecr.CreateRepositoryInput{RepositoryName: aws.String("ab"), ImageTagMutability: "NEVER", Tags: []ecrtypes.Tag{{Key: aws.String("k"), Value: aws.String("v")}, {Value: aws.String("v")}}},
			"2 validation errors detected: Value 'NEVER' at 'imageTagMutability' failed to satisfy constraint: Member must satisfy enum value set: [MUTABLE, IMMUTABLE, IMMUTABLE_WITH_EXCLUSION, MUTABLE_WITH_EXCLUSION]; Value null at 'tags.2.member.key' failed to satisfy constraint: Member must not be null",
		},
		{"ecr", &ecr.ListImagesInput{RepositoryName: aws.String("ab"), MaxResults: aws.Int32(0)}, "1 validation error detected: Value '0' at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"ecr", &ecr.ListImagesInput{RepositoryName: aws.String("ab"), MaxResults: aws.Int32(1001)}, "1 validation error detected: Value '1001' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 1000"},
		{"ecr", &ecr.DescribeRepositoriesInput{RepositoryNames: []string{}}, "1 validation error detected: Value '[]' at 'repositoryNames' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{"ecr", &ecr.CreatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("ROOT"), UpstreamRegistryUrl: aws.String("quay.io")}, ""},
		{"codeartifact", &codeartifact.GetAuthorizationTokenInput{Domain: aws.String("my-domain"), DomainOwner: aws.String("111122223333"), DurationSeconds: aws.Int64(43200)}, ""},
		{"codeartifact", &codeartifact.GetAuthorizationTokenInput{Domain: aws.String("my-domain"), DurationSeconds: aws.Int64(43201)}, "1 validation error detected: Value '43201' at 'durationSeconds' failed to satisfy constraint: Member must have value less than or equal to 43200"},
		{"sts", &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::111122223333:role/r"), RoleSessionName: aws.String("s 1")}, `1 validation error detected: Value 's 1' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]*`},
		{"iam", &iam.CreateAccountAliasInput{AccountAlias: aws.String("a-b-c")}, ""},
		{"iam", &iam.CreateAccountAliasInput{AccountAlias: aws.String("a--b")}, `1 validation error detected: Value 'a--b' at 'accountAlias' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$`},
		{"iam", &iam.CreateLoginProfileInput{UserName: aws.String("u"), Password: aws.String("пароль")}, `1 validation error detected: Value '***' at 'password' failed to satisfy constraint: Member must satisfy regular expression pattern: [\u0009\u000A\u000D\u0020-\u00FF]+`},
		{"iam", &iam.GetUserInput{UserName: &long}, "1 validation error detected: Value '" + long[:256] + "…' at 'userName' failed to satisfy constraint: Member must have length less than or equal to 128"},
		{"iam", &iam.TagRoleInput{RoleName: aws.String("r"), Tags: []iamtypes.Tag{{Key: aws.String("é 1"), Value: aws.String("")}}}, ""},
	} {
		got := ""
		if bad := check(t, c.service, c.in); bad != nil {
			got = bad.Error()
		}
		if got != c.want {
			t.Errorf("%T\n got %s\nwant %s", c.in, got, c.want)
		}
	}
}

func TestValidationError_InvalidParameter(t *testing.T) {
	bad := check(t, "ecr", &ecr.DescribeRepositoriesInput{RegistryId: aws.String("1"), MaxResults: aws.Int32(0)})
	want := "Invalid parameter at 'maxResults' failed to satisfy constraint: 'must have value greater than or equal to 1'; " +
		"Invalid parameter at 'registryId' failed to satisfy constraint: 'must satisfy regular expression '[0-9]{12}''"
	if got := bad.InvalidParameter(); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestValidate_FailuresAreBounded(t *testing.T) {
	names := make([]string, 100)
	for i := range names {
		names[i] = "BAD"
	}
	bad := check(t, "ecr", &ecr.DescribeRepositoriesInput{RepositoryNames: names})
	if len(bad.Failures) != maxFailures || bad.Failures[19].Member != "repositoryNames.20.member" {
		t.Errorf("%d failures, the last %+v", len(bad.Failures), bad.Failures[len(bad.Failures)-1])
	}
}
