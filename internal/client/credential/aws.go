package credential

import (
	"cmp"
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/gatehouse-registry/gatehouse/authtoken"
)

// AWS is what a person chooses about the AWS configuration. An empty field means
// what the SDK finds in the environment, in the profile, or on the machine.
type AWS struct {
	Profile     string
	Region      string
	EndpointURL string
}

// Load reads the configuration. A given region wins over everything else: it is the
// region of the address that a token is for.
func (a AWS) Load(ctx context.Context, region string) (aws.Config, error) {
	if region == "" {
		region = a.Region
	}
	endpoint := new(stsEndpoint)
	cfg, err := config.LoadDefaultConfig(ctx, config.WithSharedConfigProfile(a.Profile), config.WithRegion(region),
		config.WithAssumeRoleCredentialOptions(func(o *stscreds.AssumeRoleOptions) {
			if o.Client != nil { // the SDK also calls this to see what else is set
				o.Client = &assumeRoleClient{o.Client, endpoint}
			}
		}),
		config.WithWebIdentityRoleCredentialOptions(func(o *stscreds.WebIdentityRoleOptions) {
			if o.Client != nil {
				o.Client = &webIdentityClient{o.Client, endpoint}
			}
		}))
	if err != nil {
		return aws.Config{}, err
	}
	if a.EndpointURL != "" {
		cfg.BaseEndpoint = &a.EndpointURL
	}
	endpoint.url = aws.ToString(sts.NewFromConfig(cfg).Options().BaseEndpoint)
	if cfg.Credentials != nil {
		cfg.Credentials = markedCredentials{cfg.Credentials}
	}
	return cfg, nil
}

// A stsEndpoint is the configuration's endpoint of STS, at which a profile's role is
// assumed. The SDK would use AWS's own unless AWS_ENDPOINT_URL_STS is set, since it
// resolves the credentials before the endpoint.
type stsEndpoint struct{ url string }

func (e *stsEndpoint) options(more []func(*sts.Options)) []func(*sts.Options) {
	return append([]func(*sts.Options){func(o *sts.Options) {
		if e.url != "" {
			o.BaseEndpoint = &e.url
		}
	}}, more...)
}

type assumeRoleClient struct {
	client   stscreds.AssumeRoleAPIClient
	endpoint *stsEndpoint
}

// AssumeRole implements stscreds.AssumeRoleAPIClient.
func (r *assumeRoleClient) AssumeRole(ctx context.Context, in *sts.AssumeRoleInput, options ...func(*sts.Options)) (*sts.AssumeRoleOutput, error) {
	return r.client.AssumeRole(ctx, in, r.endpoint.options(options)...)
}

type webIdentityClient struct {
	client   stscreds.AssumeRoleWithWebIdentityAPIClient
	endpoint *stsEndpoint
}

// AssumeRoleWithWebIdentity implements stscreds.AssumeRoleWithWebIdentityAPIClient.
func (i *webIdentityClient) AssumeRoleWithWebIdentity(ctx context.Context, in *sts.AssumeRoleWithWebIdentityInput, options ...func(*sts.Options)) (*sts.AssumeRoleWithWebIdentityOutput, error) {
	return i.client.AssumeRoleWithWebIdentity(ctx, in, i.endpoint.options(options)...)
}

// markedCredentials give errors about credentials a type of their own. The SDK
// reports them as errors of the operation that was to be signed.
type markedCredentials struct{ source aws.CredentialsProvider }

// Retrieve implements aws.CredentialsProvider. The error is a
// [*authtoken.CredentialsError].
func (m markedCredentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := m.source.Retrieve(ctx)
	if err != nil {
		err = &authtoken.CredentialsError{Err: err}
	}
	return c, err
}

// LoadRemembered is [AWS.Load] for an address that the address book has an entry
// for. The fields of a come before the entry's: see [Lookup].
func (a AWS) LoadRemembered(ctx context.Context, region string, remembered AWS) (aws.Config, error) {
	return AWS{
		Profile:     cmp.Or(a.Profile, remembered.Profile),
		Region:      cmp.Or(a.Region, remembered.Region),
		EndpointURL: cmp.Or(a.EndpointURL, remembered.EndpointURL),
	}.Load(ctx, region)
}
