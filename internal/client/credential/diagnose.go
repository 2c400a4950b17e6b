package credential

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/smithy-go"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
)

// A Request says what a token was requested for.
type Request struct {
	Service       string // codeartifact, ecr or ecr-public
	Domain, Owner string
	Region        string
	Endpoint      string // empty for AWS's own endpoint
	// Profile is the profile that was named on the command line, if any.
	Profile string
}

// A Kind tells apart problems that a program handles in different ways.
type Kind string

// The kinds of problems.
const (
	NoProfile      Kind = "no profile"
	NoRegion       Kind = "no region"
	NoCredentials  Kind = "no credentials"
	SignInExpired  Kind = "sign-in expired" // of IAM Identity Center
	SessionExpired Kind = "session expired" // of temporary credentials
	NotPermitted   Kind = "not permitted"
	NoDomain       Kind = "no domain"
	UnknownKey     Kind = "unknown key"
	BadSignature   Kind = "bad signature"
	WrongClock     Kind = "wrong clock"
	Untrusted      Kind = "untrusted"
	Unreachable    Kind = "unreachable"
)

// A Problem says why there is no token, in words for people.
type Problem struct {
	Kind Kind
	// Summary says what is wrong: the first half of a sentence.
	Summary string
	// Advice says what to do about it: the second half.
	Advice string
	// Fix is a line for a POSIX shell that does it; "" if no command can.
	Fix string
	// Missing is the action that IAM does not allow, such as
	// "ecr:GetAuthorizationToken"; "" if the problem is not a missing permission, or
	// the endpoint does not say which one is missing.
	Missing string
}

func (t Problem) String() string { return t.Summary + ": " + t.Advice }

// Explain puts what a person can do about an error in front of it. The error stays
// in the chain, for [errors.As].
func Explain(err error, req Request) error {
	if err == nil {
		return nil
	}
	t, ok := Diagnose(err, req)
	if !ok {
		return err
	}
	return fmt.Errorf("%s (%w)", t, err)
}

// Diagnose finds out what an error of the SDK or of package authtoken means; ok is
// false if it is not a problem that a person can fix.
func Diagnose(err error, req Request) (t Problem, ok bool) {
	for _, diagnose := range []func(error, Request) (Problem, bool){diagnoseConfiguration, diagnoseCredentials, diagnoseAnswer, diagnoseConnection} {
		if t, ok := diagnose(err, req); ok {
			return t, true
		}
	}
	return Problem{}, false
}

// diagnoseConfiguration handles what is wrong before a request is sent.
func diagnoseConfiguration(err error, _ Request) (Problem, bool) {
	var (
		noProfile config.SharedConfigProfileNotExistError
		noRegion  *aws.MissingRegionError
	)
	switch {
	case errors.As(err, &noProfile):
		return Problem{
			Kind:    NoProfile,
			Summary: fmt.Sprintf("there is no AWS profile %q", noProfile.Profile),
			Advice:  "set AWS_PROFILE or --profile to one of `aws configure list-profiles`",
			Fix:     "aws configure list-profiles",
		}, true
	case errors.As(err, &noRegion), strings.Contains(err.Error(), "Missing Region"): // for which most clients have no type
		return Problem{
			Kind:    NoRegion,
			Summary: "no region", Advice: "set --region, AWS_REGION, or region in the profile",
			Fix: "export AWS_REGION=us-east-1",
		}, true
	}
	return Problem{}, false
}

// diagnoseCredentials handles missing credentials.
func diagnoseCredentials(err error, req Request) (Problem, bool) {
	var (
		noCredentials *authtoken.CredentialsError
		operation     *smithy.OperationError
		answer        smithy.APIError
		process       *processcreds.ProviderError
	)
	switch {
	case signInExpired(err):
		login := "aws sso login"
		if req.Profile != "" {
			login += " --profile " + req.Profile
		}
		return Problem{
			Kind:    SignInExpired,
			Summary: "the sign-in of IAM Identity Center has expired",
			Advice:  "run `aws sso login` with the same profile",
			Fix:     login,
		}, true
	case !errors.As(err, &noCredentials):
		return Problem{}, false
	case errors.As(err, &process):
		return Problem{
			Kind:    NoCredentials,
			Summary: "the command that the profile names as credential_process gave no credentials",
			Advice:  "run it by hand, and fix what it reports",
		}, true
	case errors.As(noCredentials.Err, &operation) && operation.Service() != "ec2imds": // where the SDK looks when all else has failed
		reason := "which does not answer"
		if errors.As(noCredentials.Err, &answer) {
			reason = "which answers " + answer.ErrorCode()
		}
		return Problem{
			Kind:    NoCredentials,
			Summary: fmt.Sprintf("the credentials of the profile cannot be had from %s, %s", operation.Service(), reason),
			Advice:  "check its role_arn, source_profile and web_identity_token_file, that the role trusts the caller, and the network",
		}, true
	}
	return Problem{
		Kind:    NoCredentials,
		Summary: "no AWS credentials were found",
		Advice:  "set AWS_PROFILE, run `aws configure`, or for a Gatehouse on this machine eval \"$(gatehouse env)\"",
		Fix:     "aws configure",
	}, true
}

// signInExpired reports whether a sign-in of IAM Identity Center has expired or was
// never made. For profiles with an sso-session, only the SDK's message says so.
func signInExpired(err error) bool {
	var (
		expired       *ssocreds.InvalidTokenError
		noCredentials *authtoken.CredentialsError
		refused       smithy.APIError
	)
	if errors.As(err, &expired) {
		return true
	}
	return errors.As(err, &noCredentials) &&
		(strings.Contains(noCredentials.Error(), "SSO token") || errors.As(err, &refused) && refused.ErrorCode() == "UnauthorizedException")
}

// diagnoseAnswer handles errors that the service answered with.
func diagnoseAnswer(err error, req Request) (Problem, bool) {
	var answer smithy.APIError
	if !errors.As(err, &answer) {
		return Problem{}, false
	}
	switch strings.TrimSuffix(answer.ErrorCode(), "Exception") {
	case "AccessDenied":
		missing, advice := missingPermission(answer.ErrorMessage(), req)
		return Problem{Kind: NotPermitted, Summary: "not permitted", Advice: advice, Missing: missing}, true
	case "ResourceNotFound":
		if req.Domain == "" {
			return Problem{}, false // something else than a domain: the answer says what
		}
		owner := "the caller's own account"
		if req.Owner != "" {
			owner = "account " + req.Owner
		}
		return Problem{
			Kind:    NoDomain,
			Summary: fmt.Sprintf("there is no domain %q of %s in region %s", req.Domain, owner, req.Region),
			Advice:  "check --domain, --domain-owner and --region",
			Fix:     "aws codeartifact list-domains",
		}, true
	case "UnrecognizedClient", "InvalidClientTokenId":
		return Problem{
			Kind:    UnknownKey,
			Summary: "the endpoint does not know this access key",
			Advice:  "the profile belongs to another endpoint, or the key was deleted",
		}, true
	case "InvalidSignature", "SignatureDoesNotMatch":
		return Problem{
			Kind:    BadSignature,
			Summary: "the endpoint does not accept the signature",
			Advice:  fmt.Sprintf("check the secret access key, the region (%s) and this machine's clock", req.Region),
		}, true
	case "ExpiredToken":
		return Problem{
			Kind:    SessionExpired,
			Summary: "the AWS session has expired",
			Advice:  "sign in again (`aws sso login`), or renew the temporary credentials",
			Fix:     "aws sso login",
		}, true
	case "UnknownOperation":
		advice := "check endpoint_url"
		if req.Service == "ecr-public" {
			advice = "only AWS has public registries: use a profile without endpoint_url"
		}
		return Problem{Summary: "the endpoint does not offer " + req.Service, Advice: advice}, true
	case "RequestExpired", "RequestTimeTooSkewed":
		return Problem{Kind: WrongClock, Summary: "this machine's clock differs from the endpoint's", Advice: "set the clock"}, true
	}
	return Problem{}, false
}

// The permissions that tokens need.
const (
	ActionECR          = "ecr:GetAuthorizationToken"
	ActionECRPublic    = "ecr-public:GetAuthorizationToken"
	ActionCodeArtifact = "codeartifact:GetAuthorizationToken"
	ActionBearer       = "sts:GetServiceBearerToken" // besides ActionCodeArtifact and ActionECRPublic
)

// deniedAction matches AWS's message about an action that is denied on a resource
// (IAM User Guide, "Troubleshoot access denied error messages").
var deniedAction = lazyregexp.New(`not authorized to perform: ([a-z0-9-]+:[A-Za-z0-9]+)(?: on resource: (\S+))?`)

// missingPermission says which permission is missing: the one of ECR, or which of
// the two of CodeArtifact and of ECR Public.
func missingPermission(message string, req Request) (action, advice string) {
	if req.Service == "ecr" {
		return ActionECR, "the caller needs " + ActionECR + " on *"
	}
	action = ActionCodeArtifact
	if req.Service == "ecr-public" {
		action = ActionECRPublic
	}
	switch {
	case strings.Contains(message, ActionBearer):
		return ActionBearer, "the caller needs " + ActionBearer + " on *, besides " + action
	case req.Service == "ecr-public":
		return ActionECRPublic, "the caller needs " + ActionECRPublic + " and " + ActionBearer + " on *"
	case strings.Contains(message, "root user"):
		return "", "the account's root user cannot have a token: use a user or a role"
	case strings.Contains(message, ActionCodeArtifact):
		return ActionCodeArtifact, "the caller needs " + ActionCodeArtifact + fmt.Sprintf(" on the domain %q, and ", req.Domain) + ActionBearer + " on *"
	}
	if m := deniedAction.FindStringSubmatch(message); m != nil {
		return m[1], "the caller needs " + m[1] + " on " + cmp.Or(m[2], "*")
	}
	return "", "see the endpoint's message"
}

// diagnoseConnection handles requests that were not answered.
func diagnoseConnection(err error, req Request) (Problem, bool) {
	endpoint, advice := req.Endpoint, "check endpoint_url and that it runs"
	if endpoint == "" {
		endpoint, advice = "the endpoint of "+req.Service+" in region "+req.Region, "check the region and the network"
	}
	var (
		name        *net.DNSError
		op          *net.OpError
		certificate *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &certificate):
		return Problem{
			Kind:    Untrusted,
			Summary: fmt.Sprintf("the certificate of %s is not trusted", endpoint),
			Advice:  "set AWS_CA_BUNDLE, or ca_bundle in the profile, to its authority's",
		}, true
	case errors.As(err, &name):
		return Problem{Kind: Unreachable, Summary: endpoint + " has no address", Advice: advice}, true
	case errors.As(err, &op), errors.Is(err, context.DeadlineExceeded):
		return Problem{Kind: Unreachable, Summary: endpoint + " cannot be reached", Advice: advice}, true
	}
	return Problem{}, false
}
