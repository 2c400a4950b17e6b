package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
)

// tenStatements is a policy as a platform's roles have them: nine statements
// about other things, and one that allows pushing to the team's repositories.
func tenStatements(n int) string {
	var statements []string
	for i := range 9 {
		statements = append(statements, fmt.Sprintf(`{"Sid":"S%d","Effect":"Allow",
			"Action":["codeartifact:Describe*","codeartifact:Get*","codeartifact:List*","codeartifact:ReadFromRepository"],
			"Resource":["arn:aws:codeartifact:us-east-1:%s:repository/d/r%d-%d","arn:aws:codeartifact:us-east-1:%s:package/d/r%d-%d/*"]}`, i, ours, n, i, ours, n, i))
	}
	statements = append(statements, fmt.Sprintf(`{"Sid":"Push","Effect":"Allow",
		"Action":["ecr:BatchCheckLayerAvailability","ecr:InitiateLayerUpload","ecr:UploadLayerPart","ecr:CompleteLayerUpload","ecr:PutImage"],
		"Resource":"arn:aws:ecr:*:%s:repository/team-%d/*"}`, ours, n))
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

// BenchmarkEvaluate is a role session that pushes an image; the policy that lets
// it is the last of all.
func BenchmarkEvaluate(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("policies=%d", n), func(b *testing.B) {
			in := &policy.Input{
				Principal: session, Action: "ecr:PutImage", Resource: fmt.Sprintf("%steam-%d/app", aRepository, n-1), Context: keys{},
			}
			for i := range n {
				in.Identity = append(in.Identity, parse(b, tenStatements(i), policy.Identity))
			}
			b.ReportAllocs()
			for b.Loop() {
				if !policy.Evaluate(in).Allowed() {
					b.Fatal("denied")
				}
			}
		})
	}
}

// BenchmarkEvaluateEverything has every kind of policy and conditions.
func BenchmarkEvaluateEverything(b *testing.B) {
	in := &policy.Input{
		Principal: session, Action: "ecr:PutImage", Resource: aRepository + "team-0/app",
		Context: keys{"aws:principaltag/team": {"team-0"}, "aws:sourceip": {"10.1.2.3"}, "aws:securetransport": {"true"}},
		Identity: []*policy.Policy{parse(b, statement(`"Effect":"Allow","Action":"ecr:*","Resource":"arn:aws:ecr:*:*:repository/${aws:PrincipalTag/team}/*",
			"Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"},"Bool":{"aws:SecureTransport":true}}`), policy.Identity)},
		Boundary:  parse(b, statement(`"Effect":"Allow","NotAction":"iam:*","Resource":"*"`), policy.Identity),
		Session:   []*policy.Policy{parse(b, tenStatements(0), policy.Identity)},
		Resources: []*policy.Policy{parse(b, statement(`"Effect":"Deny","Principal":"*","Action":"*","Condition":{"StringNotEquals":{"aws:PrincipalTag/team":"team-0"}}`), policy.Resource)},
	}
	b.ReportAllocs()
	for b.Loop() {
		if !policy.Evaluate(in).Allowed() {
			b.Fatal("denied")
		}
	}
}

func BenchmarkParse(b *testing.B) {
	document := tenStatements(0)
	b.ReportAllocs()
	b.SetBytes(int64(len(document)))
	for b.Loop() {
		parse(b, document, policy.Identity)
	}
}

func TestEvaluate_Allocations(t *testing.T) {
	in := &policy.Input{
		Principal: session, Action: "ecr:PutImage", Resource: aRepository + "team-0/app", Context: keys{"aws:username": {"x"}},
		Identity:  []*policy.Policy{parse(t, tenStatements(0), policy.Identity)},
		Boundary:  parse(t, statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringLike":{"aws:username":"?"}}`), policy.Identity),
		Resources: []*policy.Policy{parse(t, statement(`"Effect":"Deny","Principal":{"AWS":"000000000002"},"Action":"*"`), policy.Resource)},
	}
	if n := testing.AllocsPerRun(100, func() {
		if !policy.Evaluate(in).Allowed() {
			t.Error("denied")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
