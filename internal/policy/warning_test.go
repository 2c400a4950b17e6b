package policy_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
)

func TestPolicy_Warnings(t *testing.T) {
	const condition = `,"Condition":{"StringEquals":{"aws:PrincipalAccount":"000000000001"}}`
	for name, c := range map[string]struct {
		kind     policy.Kind
		document string
		want     string // a part of the one warning; "" if there is none
	}{
		"everything":                  {policy.Identity, statement(`"Sid":"All",` + allowAll), "statement 0 (All) allows every action on every resource"},
		"everything by *:*":           {policy.Identity, statement(`"Effect":"Allow","Action":"*:*","Resource":"*"`), "every action"},
		"everything, denied":          {policy.Identity, statement(`"Effect":"Deny","Action":"*","Resource":"*"`), ""},
		"everything, with conditions": {policy.Identity, statement(allowAll + condition), ""},
		"one service":                 {policy.Identity, statement(`"Effect":"Allow","Action":"ecr:*","Resource":"*"`), ""},
		"NotAction":                   {policy.Identity, statement(`"Effect":"Allow","NotAction":"iam:*","Resource":"arn:aws:ecr:*"`), "NotAction"},
		"a key with a wrong name":     {policy.Identity, statement(`"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"gatehouse:Licence":"MIT"}}`), "gatehouse:licence, which no request has"},
		"several licences as one":     {policy.Identity, statement(`"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringNotEquals":{"gatehouse:License":"MIT"}}`), "may have several values"},
		"several licences":            {policy.Identity, statement(`"Effect":"Deny","Action":"*","Resource":"*","Condition":{"ForAllValues:StringNotEquals":{"gatehouse:License":"MIT"}}`), ""},
		"NotAction, denied":           {policy.Identity, statement(`"Effect":"Deny","NotAction":"iam:*","Resource":"*"`), ""},
		"NotResource":                 {policy.Identity, statement(`"Effect":"Allow","Action":"ecr:*","NotResource":"arn:aws:ecr:*"`), "NotResource"},
		"PassRole":                    {policy.Identity, statement(`"Effect":"Allow","Action":"iam:Pass*","Resource":"*"`), "passing every role"},
		"AssumeRole":                  {policy.Identity, statement(`"Effect":"Allow","Action":"sts:*","Resource":"*"`), "assuming every role"},
		"AssumeRole of one":           {policy.Identity, statement(`"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::000000000001:role/ci"`), ""},
		"everybody":                   {policy.Resource, statement(`"Effect":"Allow","Principal":{"AWS":"*"},"Action":"ecr:BatchGetImage"`), "everyone, in every account"},
		"everybody of an account":     {policy.Resource, statement(`"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"` + condition), ""},
		"everybody in a trust policy": {policy.Trust, statement(`"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"`), "everyone, in every account"},
		"NotPrincipal, a role":        {policy.Resource, statement(`"Effect":"Deny","NotPrincipal":{"AWS":["000000000001","arn:aws:iam::000000000001:role/ci"]},"Action":"ecr:*"`), "none of its sessions"},
		"NotPrincipal, a session":     {policy.Resource, statement(`"Effect":"Deny","NotPrincipal":{"AWS":["000000000001","arn:aws:iam::000000000001:role/ci","arn:aws:sts::000000000001:assumed-role/ci/s"]},"Action":"ecr:*"`), ""},
		"NotPrincipal, a user":        {policy.Resource, statement(`"Effect":"Deny","NotPrincipal":{"AWS":["000000000001","arn:aws:iam::000000000001:user/alice"]},"Action":"ecr:*"`), ""},
		"a variable in 2008":          {policy.Identity, `{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"ecr:*","Resource":"arn:aws:ecr:*:*:repository/${aws:username}"}}`, "Version 2012-10-17"},
		"a variable in 2012":          {policy.Identity, statement(`"Effect":"Allow","Action":"ecr:*","Resource":"arn:aws:ecr:*:*:repository/${aws:username}"`), ""},
		"ForAllValues alone":          {policy.Identity, statement(`"Effect":"Allow","Action":"ecr:TagResource","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":"team"}}`), "ForAllValues"},
		"ForAllValues, and there":     {policy.Identity, statement(`"Effect":"Allow","Action":"ecr:TagResource","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":"team"},"Null":{"aws:TagKeys":"false"}}`), ""},
	} {
		got := parse(t, c.document, c.kind).Warnings()
		switch {
		case c.want == "" && len(got) > 0:
			t.Errorf("%s: warnings %q", name, got)
		case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)):
			t.Errorf("%s: warnings %q, want %q", name, got, c.want)
		}
	}
}
