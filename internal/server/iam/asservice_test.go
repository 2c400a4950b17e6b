package iam_test

import (
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
)

// A service is the session of a role only if the role's trust policy names the service.
func TestAsService(t *testing.T) {
	f := iamtest.New(t)
	trust := func(statement string) string { return `{"Version":"2012-10-17","Statement":` + statement + `}` }
	arns := map[string]string{}
	for name, statement := range map[string]string{
		"trusts":  `{"Effect":"Allow","Principal":{"Service":"ecr.amazonaws.com"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:SourceAccount":"` + iamtest.Account + `"}}}`,
		"account": `{"Effect":"Allow","Principal":{"AWS":"` + iamtest.Account + `"},"Action":"sts:AssumeRole"}`,
		"other":   `{"Effect":"Allow","Principal":{"Service":"ecr.amazonaws.com"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:SourceAccount":"` + iamtest.Other + `"}}}`,
		"denies":  `[{"Effect":"Allow","Principal":{"Service":"ecr.amazonaws.com"},"Action":"sts:AssumeRole"},{"Effect":"Deny","Principal":{"Service":"ecr.amazonaws.com"},"Action":"sts:AssumeRole"}]`,
	} {
		role, err := f.IAM.CreateRole(f.AsAdmin(), iam.NewEntity{Name: name, Path: "/path/"}, "", trust(statement), 3600)
		if err != nil {
			t.Fatal(err)
		}
		arns[name] = role.ARN()
	}
	p, err := f.IAM.AsService(arns["trusts"], "ecr.amazonaws.com")
	if err != nil || p.ARN != "arn:aws:sts::"+iamtest.Account+":assumed-role/trusts/ecr.amazonaws.com" || p.PrincipalARN != arns["trusts"] || p.UserID != p.UniqueID+":ecr.amazonaws.com" {
		t.Errorf("%+v, %v", p, err)
	}
	for _, name := range []string{"account", "other", "denies"} {
		if _, err := f.IAM.AsService(arns[name], "ecr.amazonaws.com"); !fault.Is(err, "AccessDenied") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := f.IAM.AsService(arns["trusts"], "signer.amazonaws.com"); !fault.Is(err, "AccessDenied") {
		t.Error(err)
	}
	if _, err := f.IAM.AsService("arn:aws:iam::"+iamtest.Account+":role/none", "ecr.amazonaws.com"); !fault.Is(err, "NoSuchEntity") {
		t.Error(err)
	}
}
