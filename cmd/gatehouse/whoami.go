package main

import (
	"context"
	"errors"
	"io"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/doctor/identity"
)

// errRefused is what whoami ends with when a token that was named is refused.
// The report says so.
var errRefused = reported(errors.New("refused"))

type whoamiCommand struct {
	Domain      []string `placeholder:"NAME" help:"A CodeArtifact domain to ask for a token for; again for another. Default: all domains that can be listed."`
	DomainOwner string   `placeholder:"ID" help:"12-digit account that owns the domains, if not the caller's own."`
	RegistryID  string   `name:"registry-id" placeholder:"ID" help:"12-digit account whose container registry is meant, if not the caller's own."`
	outputFlag
	awsFlags
}

// Help is what --help shows below the flags.
func (whoamiCommand) Help() string {
	return `STS says who the credentials belong to. ECR and CodeArtifact are each asked for a
token, which is not stored. CodeArtifact needs two permissions: the output says
which one is missing, and shows the command that grants it.

Exit code: 0 if the caller is known; 1 if not, or if a token is refused for what
--domain or --registry-id names.

Examples:

  gatehouse whoami
  gatehouse whoami --profile work --domain acme
  gatehouse whoami --output json`
}

// Run prints who the caller is.
func (c *whoamiCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	r, err := identity.Answer(ctx, identity.Question{
		AWS: credential.AWS(c.awsFlags), Domains: c.Domain, Owner: c.DomainOwner, RegistryID: c.RegistryID,
		Options: []authtoken.Option{now.tokens()},
	})
	if err != nil {
		return err
	}
	if c.Output == outputJSON {
		err = printJSON(stdout, r)
	} else {
		err = r.WriteText(stdout, now())
	}
	if err == nil && (len(c.Domain) > 0 && r.Refused("codeartifact") || c.RegistryID != "" && r.Refused("ecr")) {
		err = errRefused
	}
	return err
}
