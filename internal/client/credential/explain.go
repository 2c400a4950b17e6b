package credential

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/smithy-go"

	"github.com/gatehouse-registry/gatehouse/authtoken"
)

// About is what a token was asked for.
type About struct {
	Service       string // codeartifact, ecr or ecr-public
	Domain, Owner string
	Region        string
	Endpoint      string // empty for AWS's own
	// Profile is the one that was named on the command line, if one was.
	Profile string
}

// A Kind tells apart what a program handles differently.
type Kind string

// The kinds of trouble.
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

// A Trouble is why there is no token, in words for a person.
type Trouble struct {
	Kind Kind
	// What is wrong: half a sentence.
	What string
	// Advice is what to do about it: the other half.
	Advice string
	// Mend is a line of a POSIX shell that does it; "" where only a person can.
	Mend string
	// Missing is the action that IAM does not allow, as "ecr:GetAuthorizationToken";
	// "" where it is not about permissions, or the endpoint does not say which.
	Missing string
}

func (t Trouble) String() string { return t.What + ": " + t.Advice }

// Explain says in front of an error what a person can do about it. The error
// itself stays in the chain, for [errors.As].
func Explain(err error, about About) error {
	if err == nil {
		return nil
	}
	t, ok := Diagnose(err, about)
	if !ok {
		return err
	}
	return fmt.Errorf("%s (%w)", t, err)
}

// Diagnose finds out what an error of the SDK or of package authtoken means; ok
// is false where it is none that a person causes or mends.
func Diagnose(err error, about About) (t Trouble, ok bool) {
	for _, diagnose := range []func(error, About) (Trouble, bool){diagnoseConfiguration, diagnoseCredentials, diagnoseAnswer, diagnoseConnection} {
		if t, ok := diagnose(err, about); ok {
			return t, true
		}
	}
	return Trouble{}, false
}

// diagnoseConfiguration is about what is wrong before anything is sent.
func diagnoseConfiguration(err error, _ About) (Trouble, bool) {
	var (
		noProfile config.SharedConfigProfileNotExistError
		noRegion  *aws.MissingRegionError
	)
	switch {
	case errors.As(err, &noProfile):
		return Trouble{
			Kind:   NoProfile,
			What:   fmt.Sprintf("there is no AWS profile %q", noProfile.Profile),
			Advice: "set AWS_PROFILE or --profile to one of `aws configure list-profiles`",
			Mend:   "aws configure list-profiles",
		}, true
	case errors.As(err, &noRegion), strings.Contains(err.Error(), "Missing Region"): // for which most clients have no type
		return Trouble{
			Kind: NoRegion,
			What: "no region", Advice: "set --region, AWS_REGION, or region in the profile",
			Mend: "export AWS_REGION=us-east-1",
		}, true
	}
	return Trouble{}, false
}

// diagnoseCredentials is about credentials that cannot be had.
func diagnoseCredentials(err error, about About) (Trouble, bool) {
	var (
		noCredentials *authtoken.CredentialsError
		operation     *smithy.OperationError
		answer        smithy.APIError
		process       *processcreds.ProviderError
	)
	switch {
	case signInExpired(err):
		login := "aws sso login"
		if about.Profile != "" {
			login += " --profile " + about.Profile
		}
		return Trouble{
			Kind:   SignInExpired,
			What:   "the sign-in of IAM Identity Center has expired",
			Advice: "run `aws sso login` with the same profile",
			Mend:   login,
		}, true
	case !errors.As(err, &noCredentials):
		return Trouble{}, false
	case errors.As(err, &process):
		return Trouble{
			Kind:   NoCredentials,
			What:   "the command that the profile names as credential_process gave no credentials",
			Advice: "run it by hand, and mend what it complains of",
		}, true
	case errors.As(noCredentials.Err, &operation) && operation.Service() != "ec2imds": // where the SDK looks when all else has failed
		reason := "which does not answer"
		if errors.As(noCredentials.Err, &answer) {
			reason = "which answers " + answer.ErrorCode()
		}
		return Trouble{
			Kind:   NoCredentials,
			What:   fmt.Sprintf("the credentials of the profile cannot be had from %s, %s", operation.Service(), reason),
			Advice: "check its role_arn, source_profile and web_identity_token_file, that the role trusts the caller, and the network",
		}, true
	}
	return Trouble{
		Kind:   NoCredentials,
		What:   "no AWS credentials were found",
		Advice: "set AWS_PROFILE, run `aws configure`, or for a Gatehouse on this machine eval \"$(gatehouse env)\"",
		Mend:   "aws configure",
	}, true
}

// signInExpired reports whether a sign-in of IAM Identity Center is over, or was
// never made. For profiles with an sso-session the SDK says so in words alone.
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

// diagnoseAnswer is about what the service answered.
func diagnoseAnswer(err error, about About) (Trouble, bool) {
	var answer smithy.APIError
	if !errors.As(err, &answer) {
		return Trouble{}, false
	}
	switch strings.TrimSuffix(answer.ErrorCode(), "Exception") {
	case "AccessDenied":
		missing, advice := missingPermission(answer.ErrorMessage(), about)
		return Trouble{Kind: NotPermitted, What: "not permitted", Advice: advice, Missing: missing}, true
	case "ResourceNotFound":
		owner := "the caller's own account"
		if about.Owner != "" {
			owner = "account " + about.Owner
		}
		return Trouble{
			Kind:   NoDomain,
			What:   fmt.Sprintf("there is no domain %q of %s in region %s", about.Domain, owner, about.Region),
			Advice: "check --domain, --domain-owner and --region",
			Mend:   "aws codeartifact list-domains",
		}, true
	case "UnrecognizedClient", "InvalidClientTokenId":
		return Trouble{
			Kind:   UnknownKey,
			What:   "the endpoint does not know this access key",
			Advice: "the profile belongs to another endpoint, or the key was deleted",
		}, true
	case "InvalidSignature", "SignatureDoesNotMatch":
		return Trouble{
			Kind:   BadSignature,
			What:   "the endpoint does not accept the signature",
			Advice: fmt.Sprintf("check the secret access key, the region (%s) and this machine's clock", about.Region),
		}, true
	case "ExpiredToken":
		return Trouble{
			Kind:   SessionExpired,
			What:   "the AWS session has expired",
			Advice: "sign in again (`aws sso login`), or renew the temporary credentials",
			Mend:   "aws sso login",
		}, true
	case "UnknownOperation":
		advice := "check endpoint_url"
		if about.Service == "ecr-public" {
			advice = "only AWS has public registries: use a profile without endpoint_url"
		}
		return Trouble{What: "the endpoint does not offer " + about.Service, Advice: advice}, true
	case "RequestExpired", "RequestTimeTooSkewed":
		return Trouble{Kind: WrongClock, What: "this machine's clock differs from the endpoint's", Advice: "set it right"}, true
	}
	return Trouble{}, false
}

// The permissions that tokens need.
const (
	ActionECR          = "ecr:GetAuthorizationToken"
	ActionECRPublic    = "ecr-public:GetAuthorizationToken"
	ActionCodeArtifact = "codeartifact:GetAuthorizationToken"
	ActionBearer       = "sts:GetServiceBearerToken" // besides ActionCodeArtifact and ActionECRPublic
)

// deniedAction is how AWS says which action on what it denies (IAM User Guide,
// "Troubleshoot access denied error messages").
var deniedAction = regexp.MustCompile(`not authorized to perform: ([a-z0-9-]+:[A-Za-z0-9]+)(?: on resource: (\S+))?`)

// missingPermission says which of the two permissions of CodeArtifact or of ECR
// Public is missing, or the one of ECR.
func missingPermission(message string, about About) (action, advice string) {
	if about.Service == "ecr" {
		return ActionECR, "the caller needs " + ActionECR + " on *"
	}
	action = ActionCodeArtifact
	if about.Service == "ecr-public" {
		action = ActionECRPublic
	}
	switch {
	case strings.Contains(message, ActionBearer):
		return ActionBearer, "the caller needs " + ActionBearer + " on *, besides " + action
	case about.Service == "ecr-public":
		return ActionECRPublic, "the caller needs " + ActionECRPublic + " and " + ActionBearer + " on *"
	case strings.Contains(message, "root user"):
		return "", "the account's root user cannot have a token: use a user or a role"
	case strings.Contains(message, ActionCodeArtifact):
		return ActionCodeArtifact, "the caller needs " + ActionCodeArtifact + fmt.Sprintf(" on the domain %q, and ", about.Domain) + ActionBearer + " on *"
	}
	if m := deniedAction.FindStringSubmatch(message); m != nil {
		return m[1], "the caller needs " + m[1] + " on " + cmp.Or(m[2], "*")
	}
	return "", "see the endpoint's message"
}

// diagnoseConnection is about why nothing was answered.
func diagnoseConnection(err error, about About) (Trouble, bool) {
	endpoint, advice := about.Endpoint, "check endpoint_url and that it runs"
	if endpoint == "" {
		endpoint, advice = "the endpoint of "+about.Service+" in region "+about.Region, "check the region and the network"
	}
	var (
		name        *net.DNSError
		op          *net.OpError
		certificate *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &certificate):
		return Trouble{
			Kind:   Untrusted,
			What:   fmt.Sprintf("the certificate of %s is not trusted", endpoint),
			Advice: "set AWS_CA_BUNDLE, or ca_bundle in the profile, to its authority's",
		}, true
	case errors.As(err, &name):
		return Trouble{Kind: Unreachable, What: endpoint + " has no address", Advice: advice}, true
	case errors.As(err, &op), errors.Is(err, context.DeadlineExceeded):
		return Trouble{Kind: Unreachable, What: endpoint + " cannot be reached", Advice: advice}, true
	}
	return Trouble{}, false
}
