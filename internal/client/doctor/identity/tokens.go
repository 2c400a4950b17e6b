package identity

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
)

// shortest is the life of the CodeArtifact tokens that are requested as a test: the
// shortest that the service allows.
const shortest = 15 * time.Minute

// maxDomains is how many of the listed domains are tested.
const maxDomains = 20

// A Permission says whether the caller gets tokens of one kind.
type Permission struct {
	// Service is ecr or codeartifact.
	Service string `json:"service"`
	// Domain and Owner are for CodeArtifact.
	Domain string `json:"domain,omitempty"`
	Owner  string `json:"owner,omitempty"`
	// Registry is the address that ECR named together with the token.
	Registry string `json:"registry,omitempty"`
	// Allowed says that the service issued a token.
	Allowed bool `json:"allowed"`
	// Missing is the action that IAM does not allow, if that is the problem.
	Missing string `json:"missing,omitempty"`
	// Problem says why there is no token, and Advice what to do.
	Problem string `json:"problem,omitempty"`
	Advice  string `json:"advice,omitempty"`
	// Fix is a line for a POSIX shell that does it; "" if there is none.
	Fix string `json:"fix,omitempty"`
}

// String is the service and the domain.
func (p Permission) String() string {
	if p.Domain == "" {
		return p.Service
	}
	return p.Service + " " + p.Domain
}

// A Prober requests tokens and stores none.
type Prober struct {
	Config aws.Config
	// Caller is used for the line that grants a missing permission; the zero Caller if
	// it is not known.
	Caller Caller
	// Options are given to every source of tokens.
	Options []authtoken.Option
}

// ECR requests a token for container registries. registryID is the 12-digit account
// of the registry; "" is the caller's own.
func (p Prober) ECR(ctx context.Context, registryID string) Permission {
	options := p.options()
	if registryID != "" {
		options = append(options, authtoken.RegistryID(registryID))
	}
	found := Permission{Service: "ecr"}
	t, err := authtoken.ECR(p.Config, options...).Token(ctx)
	if err != nil {
		p.explain(&found, err, aws.ToString(ecr.NewFromConfig(p.Config).Options().BaseEndpoint))
		return found
	}
	found.Allowed, found.Registry = true, t.Endpoint
	return found
}

// CodeArtifact requests a token for a domain. owner is its 12-digit account; ""
// is the caller's own.
func (p Prober) CodeArtifact(ctx context.Context, domain, owner string) Permission {
	options := append(p.options(), authtoken.Duration(shortest))
	if owner != "" {
		options = append(options, authtoken.DomainOwner(owner))
	}
	found := Permission{Service: "codeartifact", Domain: domain, Owner: owner}
	if _, err := authtoken.CodeArtifact(p.Config, domain, options...).Token(ctx); err != nil {
		p.explain(&found, err, aws.ToString(codeartifact.NewFromConfig(p.Config).Options().BaseEndpoint))
		return found
	}
	found.Allowed = true
	return found
}

func (p Prober) options() []authtoken.Option {
	return append([]authtoken.Option{authtoken.InMemory()}, p.Options...)
}

// explain says why there is no token.
func (p Prober) explain(found *Permission, err error, endpoint string) {
	t, ok := credential.Diagnose(err, credential.Request{
		Service: found.Service, Domain: found.Domain, Owner: found.Owner, Region: p.Config.Region, Endpoint: endpoint,
	})
	if !ok {
		t = credential.Problem{Summary: err.Error()}
	}
	found.Problem, found.Advice, found.Fix, found.Missing = t.Summary, t.Advice, t.Fix, t.Missing
	if grant := p.Caller.Grant(*found, p.Config.Region); grant != "" {
		found.Fix = grant
	}
}

// A Domain is a CodeArtifact domain.
type Domain struct{ Name, Owner string }

// Domains lists the caller's domains, at most 20. The errors are the SDK's.
func (p Prober) Domains(ctx context.Context) ([]Domain, error) {
	out, err := codeartifact.NewFromConfig(p.Config).ListDomains(ctx, &codeartifact.ListDomainsInput{MaxResults: aws.Int32(maxDomains)})
	if err != nil {
		return nil, err
	}
	var domains []Domain
	for _, d := range out.Domains {
		domains = append(domains, Domain{aws.ToString(d.Name), aws.ToString(d.Owner)})
	}
	return domains, nil
}

// Brief says what an error of CodeArtifact means, without the error itself.
func (p Prober) Brief(err error) string {
	t, ok := credential.Diagnose(err, credential.Request{
		Service: "codeartifact", Region: p.Config.Region, Endpoint: aws.ToString(codeartifact.NewFromConfig(p.Config).Options().BaseEndpoint),
	})
	if !ok {
		return err.Error()
	}
	return t.String()
}
