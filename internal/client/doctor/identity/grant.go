package identity

import (
	"cmp"
	"encoding/json"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/shellquote"
)

// A document is an IAM policy.
type document struct {
	Version   string
	Statement []statement
}

type statement struct {
	Effect    string
	Action    string
	Resource  string
	Condition map[string]map[string]string `json:",omitempty"`
}

// Grant is the command with which an administrator of the caller's account grants the
// missing permission. It is "" if no permission is missing, and for callers whose
// policies IAM cannot change: root, and the roles of IAM Identity Center.
func (c Caller) Grant(p Permission, region string) string {
	kind, name := c.Entity()
	if kind == "" || strings.HasPrefix(name, "AWSReservedSSO_") {
		return ""
	}
	var (
		policy     string
		statements []statement
	)
	switch p.Missing {
	default: // a person has to decide what it is for
		return ""
	case credential.ActionECR:
		policy = "gatehouse-ecr-tokens"
		statements = []statement{{Effect: "Allow", Action: credential.ActionECR, Resource: "*"}}
	case credential.ActionCodeArtifact, credential.ActionBearer:
		// Both, since one is useless without the other, and since replacing the policy
		// must not remove one that was granted before.
		policy = "gatehouse-codeartifact-" + p.Domain
		statements = []statement{
			{Effect: "Allow", Action: credential.ActionCodeArtifact, Resource: c.domainARN(p, region)},
			{
				Effect: "Allow", Action: credential.ActionBearer, Resource: "*",
				Condition: map[string]map[string]string{"StringEquals": {"sts:AWSServiceName": "codeartifact.amazonaws.com"}},
			},
		}
	}
	text, err := json.Marshal(document{Version: "2012-10-17", Statement: statements})
	if err != nil { // strings alone
		return ""
	}
	return shellquote.Line("aws", "iam", "put-"+kind+"-policy", "--"+kind+"-name", name, "--policy-name", policy, "--policy-document", string(text))
}

func (c Caller) domainARN(p Permission, region string) string {
	partition := "aws"
	if parts := strings.SplitN(c.ARN, ":", 3); len(parts) == 3 {
		partition = parts[1]
	}
	return strings.Join([]string{"arn", partition, "codeartifact", region, cmp.Or(p.Owner, c.Account), "domain/" + p.Domain}, ":")
}
