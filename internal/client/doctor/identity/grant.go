package identity

import (
	"cmp"
	"encoding/json"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/shellquote"
)

// A document is a policy of IAM.
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

// Grant is the line by which somebody who administers the caller's account lets
// the caller have the token; "" where no permission is missing, and where the
// caller has no policies that IAM changes: root, and the roles that IAM Identity
// Center makes.
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
	default: // somebody has to see first what it is for
		return ""
	case credential.ActionECR:
		policy = "gatehouse-ecr-tokens"
		statements = []statement{{Effect: "Allow", Action: credential.ActionECR, Resource: "*"}}
	case credential.ActionCodeArtifact, credential.ActionBearer:
		// Both, since one is useless without the other, and replacing a policy that
		// was granted before must not take one away.
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
