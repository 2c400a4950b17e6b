package credential

import (
	"cmp"
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/gatehouse-registry/gatehouse/authtoken"
)

// AWS is what a person chooses about the AWS configuration. Everything left
// empty is as the SDK finds it: in the environment, in the profile, on the
// machine.
type AWS struct {
	Profile     string
	Region      string
	EndpointURL string
}

// Load reads the configuration. A region that is given wins over everything
// else, as it is that of the address which a token is for.
func (a AWS) Load(ctx context.Context, region string) (aws.Config, error) {
	if region == "" {
		region = a.Region
	}
	cfg, err := config.LoadDefaultConfig(ctx, config.WithSharedConfigProfile(a.Profile), config.WithRegion(region))
	if err != nil {
		return aws.Config{}, err
	}
	if a.EndpointURL != "" {
		cfg.BaseEndpoint = &a.EndpointURL
	}
	if cfg.Credentials != nil {
		cfg.Credentials = marked{cfg.Credentials}
	}
	return cfg, nil
}

// marked credentials say in an error's type that it is about them. For the SDK it
// is an error of the operation that was to be signed.
type marked struct{ source aws.CredentialsProvider }

// Retrieve implements aws.CredentialsProvider. The error is a
// [*authtoken.CredentialsError].
func (m marked) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := m.source.Retrieve(ctx)
	if err != nil {
		err = &authtoken.CredentialsError{Err: err}
	}
	return c, err
}

// LoadRemembered is [AWS.Load] for an address about which the address book says
// something: what a holds goes before it. See [Lookup] for what else does.
func (a AWS) LoadRemembered(ctx context.Context, region string, remembered AWS) (aws.Config, error) {
	return AWS{
		Profile:     cmp.Or(a.Profile, remembered.Profile),
		Region:      cmp.Or(a.Region, remembered.Region),
		EndpointURL: cmp.Or(a.EndpointURL, remembered.EndpointURL),
	}.Load(ctx, region)
}
