package credential_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/smithy-go"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
)

// What is missing need not be a domain. Then the answer of the service stays as it is.
func TestExplain_NoDomainInTheRequest(t *testing.T) {
	err := &smithy.GenericAPIError{Code: "ResourceNotFoundException", Message: "There is no quarantine x here."}
	if got := credential.Explain(err, credential.Request{}); got != error(err) {
		t.Error(got)
	}
}

// Each problem says how to fix it, and stays the error that it was.
func TestExplain(t *testing.T) {
	answer := func(code, message string) error { return &smithy.GenericAPIError{Code: code, Message: message} }
	ca := credential.Request{Service: "codeartifact", Domain: "acme", Owner: "111122223333", Region: "eu-west-1"}
	for name, c := range map[string]struct {
		err   error
		about credential.Request
		want  string
	}{
		"no profile":             {config.SharedConfigProfileNotExistError{Profile: "work"}, ca, `no AWS profile "work"`},
		"no region":              {&aws.MissingRegionError{}, ca, "--region"},
		"no credentials":         {&authtoken.CredentialsError{Err: errors.New("none")}, ca, "gatehouse env"},
		"expired SSO":            {&authtoken.CredentialsError{Err: &ssocreds.InvalidTokenError{}}, ca, "aws sso login"},
		"expired session of SSO": {&authtoken.CredentialsError{Err: errors.New("cached SSO token is expired, or not present, and cannot be refreshed")}, ca, "aws sso login"},
		"refused SSO":            {&authtoken.CredentialsError{Err: answer("UnauthorizedException", "Session token not found or invalid")}, ca, "aws sso login"},
		"process":                {&authtoken.CredentialsError{Err: &processcreds.ProviderError{Err: errors.New("exit status 1")}}, ca, "credential_process"},
		"no role":                {&authtoken.CredentialsError{Err: &smithy.OperationError{ServiceID: "STS", OperationName: "AssumeRole", Err: answer("AccessDenied", "sts:AssumeRole")}}, ca, "from STS, which answers AccessDenied: check its role_arn"},
		"no STS":                 {&authtoken.CredentialsError{Err: &smithy.OperationError{ServiceID: "STS", OperationName: "AssumeRole", Err: &net.DNSError{IsNotFound: true}}}, ca, "from STS, which does not answer"},
		"no role of the machine": {&authtoken.CredentialsError{Err: &smithy.OperationError{ServiceID: "ec2imds", OperationName: "GetMetadata", Err: &net.OpError{Op: "dial", Err: errors.New("refused")}}}, ca, "no AWS credentials were found"},
		"none to sign with":      {&smithy.OperationError{ServiceID: "codeartifact", OperationName: "GetRepositoryEndpoint", Err: &authtoken.CredentialsError{Err: errors.New("none")}}, ca, "no AWS credentials were found"},
		"another action":         {answer("AccessDeniedException", "User: x is not authorized to perform: codeartifact:GetRepositoryEndpoint on resource: arn:aws:codeartifact:y because no identity-based policy allows it"), ca, "the caller needs codeartifact:GetRepositoryEndpoint on arn:aws:codeartifact:y "},
		"no region anywhere":     {errors.New("endpoint rule error, Invalid Configuration: Missing Region"), ca, "no region"},
		"no token action":        {answer("AccessDeniedException", "not authorized to perform: codeartifact:GetAuthorizationToken on"), ca, `codeartifact:GetAuthorizationToken on the domain "acme"`},
		"no bearer action":       {answer("AccessDeniedException", "not authorized to perform: sts:GetServiceBearerToken on"), ca, "needs sts:GetServiceBearerToken"},
		"root":                   {answer("AccessDeniedException", "because the root user cannot call this operation"), ca, "use a user or a role"},
		"ECR denied":             {answer("AccessDeniedException", "x"), credential.Request{Service: "ecr"}, "ecr:GetAuthorizationToken"},
		"public denied":          {answer("AccessDeniedException", "x"), credential.Request{Service: "ecr-public"}, "ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken on *"},
		"public without bearer":  {answer("AccessDeniedException", "sts:GetServiceBearerToken"), credential.Request{Service: "ecr-public"}, "sts:GetServiceBearerToken on *, besides ecr-public:"},
		"no public registries":   {answer("UnknownOperationException", "x"), credential.Request{Service: "ecr-public"}, "only AWS has public registries"},
		"unknown domain":         {answer("ResourceNotFoundException", "x"), ca, `no domain "acme" of account 111122223333 in region eu-west-1`},
		"unknown key":            {answer("UnrecognizedClientException", "x"), ca, "does not know this access key"},
		"wrong region":           {answer("InvalidSignatureException", "x"), ca, "region (eu-west-1)"},
		"expired session":        {answer("ExpiredTokenException", "x"), ca, "session has expired"},
		"clock":                  {answer("RequestExpired", "x"), ca, "clock"},
		"no such host":           {&net.DNSError{Err: "no such host", IsNotFound: true}, ca, "region eu-west-1 has no address"},
		"refused":                {&net.OpError{Op: "dial", Err: errors.New("refused")}, credential.Request{Endpoint: "http://gate.example"}, "http://gate.example cannot be reached"},
		"untrusted":              {&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, ca, "AWS_CA_BUNDLE"},
	} {
		got := credential.Explain(c.err, c.about)
		if !strings.Contains(got.Error(), c.want) || errors.Unwrap(got) == nil || errors.Unwrap(got).Error() != c.err.Error() {
			t.Errorf("%s: %v", name, got)
		}
	}
	if plain := errors.New("else"); credential.Explain(plain, ca) != plain || credential.Explain(nil, ca) != nil {
		t.Error("changed what it does not know")
	}
}

// What a program says to a person is told apart from what it may do itself.
func TestDiagnose(t *testing.T) {
	denied := &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "not authorized to perform: sts:GetServiceBearerToken on"}
	for name, c := range map[string]struct {
		err          error
		about        credential.Request
		fix, missing string
	}{
		"expired SSO":       {&authtoken.CredentialsError{Err: &ssocreds.InvalidTokenError{}}, credential.Request{Profile: "work"}, "aws sso login --profile work", ""},
		"no region":         {&aws.MissingRegionError{}, credential.Request{}, "export AWS_REGION=us-east-1", ""},
		"bearer":            {denied, credential.Request{Service: "codeartifact"}, "", credential.ActionBearer},
		"ECR, whatever for": {denied, credential.Request{Service: "ecr"}, "", credential.ActionECR},
	} {
		got, ok := credential.Diagnose(c.err, c.about)
		if !ok || got.Fix != c.fix || got.Missing != c.missing {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
	if got, ok := credential.Diagnose(errors.New("else"), credential.Request{}); ok {
		t.Errorf("%+v", got)
	}
}
