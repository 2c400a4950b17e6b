package main

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/gatehouse-registry/gatehouse/authtoken"
)

// The host of a domain is known without asking, in every partition.
func TestTokenCodeArtifact_Host(t *testing.T) {
	for region, want := range map[string]string{
		"eu-west-1":     "acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com",
		"us-gov-west-1": "acme-111122223333.d.codeartifact.us-gov-west-1.amazonaws.com",
		"cn-north-1":    "acme-111122223333.d.codeartifact.cn-north-1.amazonaws.com.cn",
		"us-iso-east-1": "acme-111122223333.d.codeartifact.us-iso-east-1.c2s.ic.gov",
	} {
		c := codeArtifactCommand{Domain: "acme", DomainOwner: "111122223333"}
		if got := c.host(t.Context(), aws.Config{Region: region}, ""); got != want {
			t.Errorf("%s: %q", region, got)
		}
	}
	own := codeArtifactCommand{Domain: "acme"}
	if got := own.host(t.Context(), aws.Config{Region: "eu-west-1"}, ""); got != "" {
		t.Errorf("without an owner: %q", got)
	}
	if got := own.host(t.Context(), aws.Config{Region: "eu-west-1"}, "https://gate.example:8443"); got != "gate.example" {
		t.Errorf("elsewhere: %q", got)
	}
}

func TestTokenOutput_Netrc(t *testing.T) {
	var out strings.Builder
	token := authtoken.Token{Username: "aws", Password: "secret", Expires: time.Now()}
	if err := (tokenOutputFlags{Output: "netrc"}).print(&out, token, tokenOutput{host: "gate.example"}); err != nil || out.String() != "machine gate.example login aws password secret\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}
