package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/tools"
)

type loginCommand struct {
	Tool        []string            `required:"" placeholder:"NAME" help:"Tool to log in; again for another (see below)."`
	Domain      string              `placeholder:"NAME" help:"CodeArtifact domain of the repository."`
	DomainOwner string              `placeholder:"ID" help:"12-digit account that owns the domain, if not the caller's own."`
	Repository  string              `placeholder:"NAME" help:"The repository."`
	RegistryID  string              `name:"registry-id" placeholder:"ID" help:"12-digit account of the container registry, if not the caller's own."`
	Scope       []string            `placeholder:"@SCOPE" help:"Scope of npm or Swift that comes from the repository; again for another (all packages)."`
	Extra       bool                `help:"Keep the repository that the tool uses now, and add this one."`
	Name        string              `placeholder:"NAME" help:"What the tool's configuration calls the repository (DOMAIN-REPOSITORY)."`
	Duration    credential.Lifetime `placeholder:"TIME" help:"How long CodeArtifact's tokens live: 15m to 12h, or in seconds (12h)."`
	Variable    string              `placeholder:"NAME" help:"Environment variable that the tool's configuration refers to, instead of holding the token."`
	BinDir      string              `placeholder:"DIR" type:"path" help:"Folder on PATH for the link by which a tool finds its helper."`
	DryRun      bool                `help:"Show what would change, as a diff, and change nothing."`
	awsFlags
}

// Help is what --help shows below the flags.
func (loginCommand) Help() string {
	return `Tools: ` + strings.Join(tools.Names(), ", ") + `.

A tool that can ask a helper is told to ask this program: no secret is written,
and nothing expires. The others hold the token; log in again to renew it, or see
gatehouse exec and gatehouse proxy. Logging in to a second repository keeps the
first. gatehouse logout undoes exactly what login did.

Examples:

  gatehouse login --tool docker
  gatehouse login --tool pip --tool uv --tool twine --domain acme --repository lib
  gatehouse login --tool npm --domain acme --repository lib --scope @acme --scope @team
  gatehouse login --tool pip --domain acme --repository lib --extra --dry-run
  gatehouse login --tool maven --domain acme --repository lib --variable CODEARTIFACT_AUTH_TOKEN
  gatehouse login --tool podman --profile work --region eu-central-1`
}

// Run logs every tool in. One that fails does not keep the others from it.
func (c *loginCommand) Run(ctx context.Context, stdout io.Writer, stderr messages, now clock) error {
	choice := c.choice(now)
	chosen, err := tools.Named(c.Tool...)
	if err != nil {
		return usageError{fmt.Errorf("--tool: %w", err)}
	}
	if err := choice.Check(chosen); err != nil {
		return usageError{err}
	}
	env, err := userEnvironment()
	if err != nil {
		return err
	}
	w := journalRunner{journal: journal(env), out: stdout, err: stderr, preview: c.DryRun}
	targets := choice.Targets()
	var failed []error
	for _, tool := range chosen {
		t, err := targets.Of(ctx, tool)
		if err == nil {
			if !tool.Installed(env) {
				fmt.Fprintf(stderr, "%s: no %s is on PATH; it is configured all the same\n", tool.Name, strings.Join(tool.Programs, " or "))
			}
			err = w.do(ctx, tool.Name+": logged in to "+describeTarget(t), login.Login{Tool: tool, Target: t, BinDir: c.BinDir})
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", tool.Name, err))
		} else if !c.DryRun {
			printNextSteps(stdout, tool, t)
		}
	}
	return errors.Join(failed...)
}

func (c *loginCommand) choice(now clock) login.Choice {
	choice := login.Choice{
		AWS: credential.AWS(c.awsFlags), Domain: c.Domain, Owner: c.DomainOwner, Repository: c.Repository, RegistryID: c.RegistryID,
		Scopes: c.Scope, Name: c.Name, Duration: time.Duration(c.Duration), Variable: c.Variable,
		Options: []authtoken.Option{now.tokens()},
	}
	if c.Extra {
		choice.Placement = login.Add
	}
	return choice
}

// after says what a person does next.
func printNextSteps(stdout io.Writer, tool login.Tool, t login.Target) {
	if tool.Secret != login.FromHelper && t.Variable == "" {
		fmt.Fprintf(stdout, "The token expires at %s: log in again to renew it.\n", t.Token.Expires.Local().Format(time.DateTime))
	}
	if tool.Next != nil {
		if next := strings.TrimSpace(tool.Next(t)); next != "" {
			fmt.Fprintln(stdout, next)
		}
	}
}

// what names a target for a person.
func describeTarget(t login.Target) string {
	if t.Repository == "" {
		return t.Endpoint.Host
	}
	return t.Domain + "/" + t.Repository + " (" + t.Endpoint.String() + ")"
}
