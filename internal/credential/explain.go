package credential

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/smithy-go"

	"github.com/gatehouse-registry/gatehouse/authtoken"
)

// About is what a token was asked for.
type About struct {
	Service       string // codeartifact or ecr
	Domain, Owner string
	Region        string
	Endpoint      string // empty for AWS's own
}

// Explain says in front of an error what a person can do about it. The error
// itself stays in the chain, for [errors.As].
func Explain(err error, about About) error {
	if err == nil {
		return nil
	}
	advice := explainConfiguration(err)
	if advice == "" {
		advice = explainAnswer(err, about)
	}
	if advice == "" {
		advice = explainConnection(err, about)
	}
	if advice == "" {
		return err
	}
	return fmt.Errorf("%s (%w)", advice, err)
}

// explainConfiguration explains what is wrong before anything is sent.
func explainConfiguration(err error) string {
	var (
		noProfile     config.SharedConfigProfileNotExistError
		noRegion      *aws.MissingRegionError
		expired       *ssocreds.InvalidTokenError
		noCredentials *authtoken.CredentialsError
	)
	switch {
	case errors.As(err, &noProfile):
		return fmt.Sprintf("there is no AWS profile %q: set AWS_PROFILE or --profile to one of `aws configure list-profiles`", noProfile.Profile)
	case errors.As(err, &noRegion):
		return "no region: set --region, AWS_REGION, or region in the profile"
	case errors.As(err, &expired):
		return "the sign-in of IAM Identity Center has expired: run `aws sso login` with the same profile"
	case errors.As(err, &noCredentials):
		return "no AWS credentials were found: set AWS_PROFILE, run `aws configure`, or for a Gatehouse on this machine eval \"$(gatehouse env)\""
	}
	return ""
}

// explainAnswer explains what the service answered.
func explainAnswer(err error, about About) string {
	var answer smithy.APIError
	if !errors.As(err, &answer) {
		return ""
	}
	switch strings.TrimSuffix(answer.ErrorCode(), "Exception") {
	case "AccessDenied":
		return "not permitted: " + missingPermission(answer.ErrorMessage(), about)
	case "ResourceNotFound":
		owner := "the caller's own account"
		if about.Owner != "" {
			owner = "account " + about.Owner
		}
		return fmt.Sprintf("there is no domain %q of %s in region %s: check --domain, --domain-owner and --region", about.Domain, owner, about.Region)
	case "UnrecognizedClient", "InvalidClientTokenId":
		return "the endpoint does not know this access key: the profile belongs to another endpoint, or the key was deleted"
	case "InvalidSignature", "SignatureDoesNotMatch":
		return fmt.Sprintf("the endpoint does not accept the signature: check the secret access key, the region (%s) and this machine's clock", about.Region)
	case "ExpiredToken":
		return "the AWS session has expired: sign in again (`aws sso login`), or renew the temporary credentials"
	case "RequestExpired", "RequestTimeTooSkewed":
		return "this machine's clock differs from the endpoint's: set it right"
	}
	return ""
}

// missingPermission says which of the two permissions of CodeArtifact is
// missing, or the one of ECR.
func missingPermission(message string, about About) string {
	if about.Service == "ecr" {
		return "the caller needs ecr:GetAuthorizationToken on *"
	}
	const token, bearer = "codeartifact:GetAuthorizationToken", "sts:GetServiceBearerToken"
	switch {
	case strings.Contains(message, bearer):
		return "the caller needs " + bearer + ` on *, besides ` + token
	case strings.Contains(message, "root user"):
		return "the account's root user cannot have a token: use a user or a role"
	case strings.Contains(message, token):
		return "the caller needs " + token + fmt.Sprintf(" on the domain %q, and ", about.Domain) + bearer + " on *"
	}
	return "see the endpoint's message"
}

// explainConnection explains why nothing was answered.
func explainConnection(err error, about About) string {
	endpoint, mend := about.Endpoint, "check endpoint_url and that it runs"
	if endpoint == "" {
		endpoint, mend = "the endpoint of "+about.Service+" in region "+about.Region, "check the region and the network"
	}
	var (
		name        *net.DNSError
		op          *net.OpError
		certificate *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &certificate):
		return fmt.Sprintf("the certificate of %s is not trusted: set AWS_CA_BUNDLE, or ca_bundle in the profile, to its authority's", endpoint)
	case errors.As(err, &name):
		return fmt.Sprintf("%s has no address: %s", endpoint, mend)
	case errors.As(err, &op), errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("%s cannot be reached: %s", endpoint, mend)
	}
	return ""
}
