package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/doctor/identity"
)

// errRefused is what whoami ends with when a token that was named is refused,
// which its report says.
var errRefused = reported(errors.New("refused"))

type whoamiCommand struct {
	Domain      []string `placeholder:"NAME" help:"A CodeArtifact domain to ask for a token for; again for another. Without it: all that are listed."`
	DomainOwner string   `placeholder:"ID" help:"12-digit account that owns the domains, if not the caller's own."`
	RegistryID  string   `name:"registry-id" placeholder:"ID" help:"12-digit account whose container registry is meant, if not the caller's own."`
	Format      string   `enum:"text,json" default:"text" help:"text or json."`
	awsFlags
}

// Help is what --help shows below the flags.
func (whoamiCommand) Help() string {
	return `It asks STS who the credentials belong to, and ECR and CodeArtifact for a token
each, which is kept nowhere. For CodeArtifact two permissions are needed, and it
says which is missing, with the line that grants it.

Exit code: 0 when it is known who the caller is; 1 when it is not, or when a
token is refused for what --domain or --registry-id names.`
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
	if c.Format == "json" {
		err = printJSON(stdout, r)
	} else {
		err = r.WriteText(stdout, now())
	}
	if err == nil && (len(c.Domain) > 0 && r.Refused("codeartifact") || c.RegistryID != "" && r.Refused("ecr")) {
		err = errRefused
	}
	return err
}

// printJSON writes an answer for programs.
func printJSON(w io.Writer, answer any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(answer)
}
