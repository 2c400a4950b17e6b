package stsapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
)

// TestAssumeRole_ConditionKeys: each condition key of AssumeRole reaches
// the trust policy, with and without the value that it asks for.
func TestAssumeRole_ConditionKeys(t *testing.T) {
	f := serve(t)
	_, alice := f.user("alice", mayAssume)
	tags := []types.Tag{{Key: aws.String("team"), Value: aws.String("red")}, {Key: aws.String("cost"), Value: aws.String("7")}}
	for name, c := range map[string]struct {
		condition    string
		right, other func(*api.AssumeRoleInput)
	}{
		"session-name": {
			`{"StringLike":{"sts:RoleSessionName":"build-*"}}`,
			func(in *api.AssumeRoleInput) { in.RoleSessionName = aws.String("build-7") }, func(*api.AssumeRoleInput) {},
		},
		"external-id": {
			`{"StringEquals":{"sts:ExternalId":"4711"}}`,
			func(in *api.AssumeRoleInput) { in.ExternalId = aws.String("4711") }, func(in *api.AssumeRoleInput) { in.ExternalId = aws.String("4712") },
		},
		"source-identity": {
			`{"StringEquals":{"sts:SourceIdentity":"alice"}}`,
			func(in *api.AssumeRoleInput) { in.SourceIdentity = aws.String("alice") }, func(in *api.AssumeRoleInput) { in.SourceIdentity = aws.String("bob") },
		},
		"duration": {
			`{"NumericLessThanEquals":{"sts:DurationSeconds":1800}}`,
			func(in *api.AssumeRoleInput) { in.DurationSeconds = aws.Int32(1800) }, func(*api.AssumeRoleInput) {}, // an hour
		},
		"transitive": {
			`{"ForAllValues:StringEquals":{"sts:TransitiveTagKeys":"team"},"Null":{"sts:TransitiveTagKeys":false}}`,
			func(in *api.AssumeRoleInput) { in.Tags, in.TransitiveTagKeys = tags, []string{"team"} },
			func(in *api.AssumeRoleInput) { in.Tags, in.TransitiveTagKeys = tags, []string{"team", "cost"} },
		},
		"tags": {
			`{"StringEquals":{"aws:RequestTag/team":"red"},"ForAllValues:StringEquals":{"aws:TagKeys":["team","cost"]}}`,
			func(in *api.AssumeRoleInput) { in.Tags = tags }, func(in *api.AssumeRoleInput) { in.Tags = tags[1:] },
		},
	} {
		trust := strings.TrimSuffix(trusts(account), "}") + `,"Condition":` + c.condition + `}`
		role := f.role(name, trust, "")
		f.assumed(role, alice, c.right)
		f.refused("AccessDenied", role, alice, c.other)
	}
}

func TestSessions_Limits(t *testing.T) {
	f := serve(t)
	_, alice := f.user("alice", mayAssume)
	role := f.role("r", trusts(account), "")
	named := func(n int) func(*api.AssumeRoleInput) {
		return func(in *api.AssumeRoleInput) { in.RoleSessionName = aws.String(strings.Repeat("s", n)) }
	}
	external := func(n int) func(*api.AssumeRoleInput) {
		return func(in *api.AssumeRoleInput) { in.ExternalId = aws.String(strings.Repeat("e", n)) }
	}
	tagged := func(n int) func(*api.AssumeRoleInput) {
		return func(in *api.AssumeRoleInput) {
			for i := range n {
				in.Tags = append(in.Tags, types.Tag{Key: aws.String(fmt.Sprint("k", i)), Value: aws.String("v")})
			}
		}
	}
	limited := func(n int) func(*api.AssumeRoleInput) {
		const begin, end = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ecr:*","Resource":"*","Sid":"`, `"}}`
		return func(in *api.AssumeRoleInput) {
			in.Policy = aws.String(begin + strings.Repeat("s", n-len(begin)-len(end)) + end)
		}
	}
	for _, within := range []func(*api.AssumeRoleInput){named(2), named(64), external(2), external(1224), tagged(50), limited(2048)} {
		f.assumed(role, alice, within)
	}
	for name, beyond := range map[string]func(*api.AssumeRoleInput){
		"a name of one": named(1), "a name of 65": named(65), "an external id of one": external(1), "an external id of 1225": external(1225),
		"51 tags": tagged(51), "a policy of 2049": limited(2049),
	} {
		_, err := f.assume(role, alice, beyond)
		switch got := code(err); got {
		case "ValidationError", "LimitExceeded", "PackedPolicyTooLarge":
		default:
			t.Errorf("%s: %s", name, got)
		}
	}
	arns := func(in *api.AssumeRoleInput) {
		limited(2000)(in)
		in.PolicyArns = []types.PolicyDescriptorType{{Arn: aws.String("arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly")}}
	}
	f.refused("PackedPolicyTooLarge", role, alice, arns)
}
