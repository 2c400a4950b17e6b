package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
)

type logoutCommand struct {
	toolNames
	Domain      string `placeholder:"NAME" help:"Only logins to repositories of this CodeArtifact domain."`
	DomainOwner string `placeholder:"ID" help:"Only logins to domains of this account."`
	Repository  string `placeholder:"NAME" help:"Only logins to repositories of this name."`
	Host        string `placeholder:"HOST" help:"Only logins to the registry or the repositories at this host."`
	DryRun      bool   `help:"Show what would change, as a diff, and change nothing."`
}

// Help is what --help shows below the flags.
func (logoutCommand) Help() string {
	return `It undoes exactly what gatehouse login did: each file is as it was before, plus
what others have changed in it since. Without --domain, --repository or --host,
the tool is logged out everywhere.

Examples:

  gatehouse logout npm
  gatehouse logout pip --domain acme --repository lib --dry-run`
}

// Run logs every tool out. It is not an error if one is not logged in.
func (c *logoutCommand) Run(ctx context.Context, stdout io.Writer, stderr messages) error {
	chosen, err := c.chosen()
	if err != nil {
		return err
	}
	env, err := userEnvironment()
	if err != nil {
		return err
	}
	w := journalRunner{journal: journal(env), out: stdout, err: stderr, preview: c.DryRun}
	var failed []error
	for _, tool := range chosen {
		err := w.do(ctx, tool.Name+": logged out", login.Logout{Tool: tool.Name, Match: c.matches})
		switch {
		case errors.Is(err, login.ErrNotLoggedIn):
			fmt.Fprintf(stderr, "%s: not logged in\n", tool.Name)
		case err != nil:
			failed = append(failed, fmt.Errorf("%s: %w", tool.Name, err))
		}
	}
	return errors.Join(failed...)
}

func (c *logoutCommand) matches(t login.Target) bool {
	for _, f := range [][2]string{{c.Domain, t.Domain}, {c.DomainOwner, t.Owner}, {c.Repository, t.Repository}, {strings.ToLower(c.Host), t.Endpoint.Host}} {
		if f[0] != "" && f[0] != f[1] {
			return false
		}
	}
	return true
}
