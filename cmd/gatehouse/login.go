package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/tools"
)

// toolNames are the tools that a command is for, as arguments or, as in the AWS
// CLI, by --tool.
type toolNames struct {
	Names []string `arg:"" optional:"" name:"tool" help:"Tools, such as docker or npm."`
	Tool  []string `placeholder:"NAME" help:"The same as the argument TOOL; again for another."`
}

// chosen returns the tools that were named, each once.
func (n toolNames) chosen() ([]login.Tool, error) {
	names := slices.Concat(n.Names, n.Tool)
	if len(names) == 0 {
		return nil, usageError{errors.New("name a tool, such as docker or npm")}
	}
	chosen, err := tools.Named(names...)
	if err != nil {
		return nil, usageError{err}
	}
	return chosen, nil
}

type loginCommand struct {
	toolNames
	Domain       string              `placeholder:"NAME" help:"CodeArtifact domain of the repository."`
	DomainOwner  string              `placeholder:"ID" help:"12-digit account that owns the domain, if not the caller's own."`
	Repository   string              `placeholder:"NAME" help:"The repository."`
	RegistryID   string              `name:"registry-id" placeholder:"ID" help:"12-digit account of the container registry, if not the caller's own."`
	Scope        []string            `placeholder:"@SCOPE" help:"Scope of npm or Swift that comes from the repository; again for another (all packages)."`
	Extra        bool                `help:"Keep the repository that the tool uses now, and add this one."`
	Name         string              `placeholder:"NAME" help:"What the tool's configuration calls the repository (DOMAIN-REPOSITORY)."`
	Duration     credential.Lifetime `placeholder:"TIME" help:"How long CodeArtifact's tokens live: 15m to 12h, or in seconds (12h)."`
	Variable     string              `placeholder:"NAME" help:"Environment variable that the tool's configuration refers to, instead of storing the token."`
	EndpointType string              `enum:",ipv4,dualstack" default:"" placeholder:"TYPE" help:"Address to use: ipv4, or dualstack for the one that IPv6 reaches too (ipv4)."`
	BinDir       string              `placeholder:"DIR" type:"path" help:"Folder on PATH for the link by which a tool finds its helper."`
	DryRun       bool                `help:"Show what would change, as a diff, and change nothing."`
	awsFlags
}

// Help is what --help shows below the flags.
func (loginCommand) Help() string {
	return `Tools: ` + strings.Join(tools.Names(), ", ") + `.

A tool that can ask a helper is configured to ask this program: no secret is
written, and nothing expires. The others store the token; log in again to renew
it, or see gatehouse exec and gatehouse proxy. Logging in to a second repository
keeps the first. gatehouse logout undoes exactly what login did.

Examples:

  gatehouse login docker
  gatehouse login pip uv twine --domain acme --repository lib
  gatehouse login npm --domain acme --repository lib --scope @acme --scope @team
  gatehouse login pip --domain acme --repository lib --extra --dry-run
  gatehouse login maven --domain acme --repository lib --variable CODEARTIFACT_AUTH_TOKEN
  gatehouse login podman --profile work --region eu-central-1`
}

// Run logs every tool in. If one fails, the others are logged in all the same.
func (c *loginCommand) Run(ctx context.Context, stdout io.Writer, stderr messages, now clock) error {
	choice := c.choice(now)
	chosen, err := c.chosen()
	if err != nil {
		return err
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
				fmt.Fprintf(stderr, "%s: no %s is on PATH; it was configured anyway\n", tool.Name, strings.Join(tool.Programs, " or "))
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
		Scopes: c.Scope, Name: c.Name, Duration: time.Duration(c.Duration), Variable: c.Variable, EndpointType: types.EndpointType(c.EndpointType),
		Options: []authtoken.Option{now.tokens()},
	}
	if c.Extra {
		choice.Placement = login.Add
	}
	return choice
}

// printNextSteps says what a person does next.
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

// describeTarget names a target for a person.
func describeTarget(t login.Target) string {
	if t.Repository == "" {
		return t.Endpoint.Host
	}
	return t.Domain + "/" + t.Repository + " (" + t.Endpoint.String() + ")"
}
