package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/lockfile"
	"github.com/gatehouse-registry/gatehouse/internal/client/project"
	"github.com/gatehouse-registry/gatehouse/internal/client/proxy"
	"github.com/gatehouse-registry/gatehouse/internal/client/shellquote"
	"github.com/gatehouse-registry/gatehouse/internal/client/toolenv"
)

type proxyCommand struct {
	Command  []string `arg:"" optional:"" passthrough:"" help:"A command to run with the proxy's addresses in its environment; the proxy ends with it."`
	Listen   string   `placeholder:"ADDRESS" default:"127.0.0.1:0" help:"Address on the loopback to listen on; port 0 is any free one (${default})."`
	PrintEnv bool     `name:"print-env" help:"Print the lines that set the environment of a shell, instead of the addresses."`
	Tool     []string `placeholder:"NAME" help:"Tools that are configured in the environment of --print-env and of a command (all)."`
	Verbose  bool     `help:"Write a line for each request to standard error."`
	Output   string   `short:"o" enum:"text,json" default:"text" placeholder:"FORM" help:"Form of the addresses: text or json."`
	shellFlag
	projectFlags
}

// Help is what --help shows below the flags.
func (proxyCommand) Help() string {
	return `The proxy adds a valid token to each request for as long as it runs. It is for
tools that cannot be configured with tokens, for builds that take longer than a
token lives, and for commands that must not see a token. Repositories are at

  http://127.0.0.1:PORT/NAME/FORMAT/

and the registry, of which there can be one, is at http://127.0.0.1:PORT/v2/.

Examples:

  gatehouse proxy -- make release
  gatehouse proxy --domain acme --repository lib --listen 127.0.0.1:4284
  gatehouse proxy --registry -- sh -c 'crane pull $ECR_REGISTRY/app:v1 app.tar'

The proxy listens on this machine only and refuses web pages. On Linux it refuses
other users; elsewhere every user of this machine can use the repositories through
it. After the command, lock files in the working folder's project name the
repositories' own addresses instead of the proxy's.`
}

// Run serves until a signal arrives or the command ends.
func (c *proxyCommand) Run(ctx context.Context, stdin io.Reader, stdout io.Writer, stderr messages, now clock) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP) // the terminal was closed
	defer stop()
	targets, err := c.open(ctx, now)
	if err != nil {
		return err
	}
	l, err := proxy.Listen(ctx, c.Listen)
	if err != nil {
		return usageError{fmt.Errorf("--listen: %w", err)}
	}
	options := proxy.Options{Now: now}
	if c.Verbose {
		options.Log = slog.New(slog.NewTextHandler(stderr, nil))
	}
	p, err := proxy.New(l, proxyUpstreams(targets), options)
	if err != nil {
		return errors.Join(usageError{err}, l.Close())
	}
	endpoints := proxiedEndpoints(p, targets)
	if argv := withoutDashes(c.Command); len(argv) > 0 {
		return c.serveCommand(ctx, p, func() error {
			err := runChild(argv, endpoints, c.Tool, stdin, stdout, stderr)
			if restoring := restoreLockFiles(endpoints, targets); restoring != nil {
				fmt.Fprintf(stderr, "gatehouse: %v\n", restoring)
				err = cmp.Or[error](err, exitCode(exitFailed))
			}
			return err
		})
	}
	if c.PrintEnv {
		return c.serveEnvironment(ctx, p, endpoints, stdout)
	}
	if err := c.printAddresses(stdout, endpoints); err != nil {
		return errors.Join(err, l.Close())
	}
	return p.Serve(ctx)
}

// proxyUpstreams are the endpoints in the form that the proxy needs.
func proxyUpstreams(endpoints []project.Endpoint) []proxy.Upstream {
	targets := make([]proxy.Upstream, len(endpoints))
	for i, e := range endpoints {
		targets[i] = proxy.Upstream{Name: e.Name, Format: e.Format, URL: e.Endpoint, Tokens: endpointTokens{e}, Transport: e.Transport()}
	}
	return targets
}

// endpointTokens is an endpoint's source of tokens.
type endpointTokens struct{ project.Endpoint }

// Token implements proxy.Tokens.
func (t endpointTokens) Token(ctx context.Context) (authtoken.Token, error) { return t.Authorize(ctx) }

// proxiedEndpoints returns the endpoints with their addresses at the proxy, which
// needs no token.
func proxiedEndpoints(p *proxy.Proxy, targets []project.Endpoint) []project.Endpoint {
	endpoints := make([]project.Endpoint, len(targets))
	for i, e := range targets {
		e.Endpoint, e.Token = p.Address(i), authtoken.Token{}
		endpoints[i] = e
	}
	return endpoints
}

// serveCommand serves until a command has ended. The command gets the signals.
func (c *proxyCommand) serveCommand(ctx context.Context, p *proxy.Proxy, run func() error) error {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- p.Serve(ctx) }()
	err := run()
	stop()
	if stopping := <-ended; err == nil {
		return stopping
	}
	return err
}

// restoreLockFiles replaces the proxy's addresses in the lock files of the working
// folder's project.
func restoreLockFiles(proxied, targets []project.Endpoint) error {
	user, err := userEnvironment()
	if err != nil {
		return err
	}
	var replacements []lockfile.Replacement
	for i, e := range proxied {
		if !e.Registry() {
			replacements = append(replacements, lockfile.Replacement{Proxy: e.Endpoint, Repository: targets[i].Endpoint})
		}
	}
	_, err = lockfile.Restore(user.Dir, user.Home, replacements)
	return err
}

// serveEnvironment prints what a shell has to set, and serves. The files that it
// refers to exist as long as the proxy runs.
func (c *proxyCommand) serveEnvironment(ctx context.Context, p *proxy.Proxy, endpoints []project.Endpoint, stdout io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "gatehouse-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	env, err := toolEnvironment(endpoints, c.Tool, "", dir)
	if err != nil {
		return err
	}
	if err := env.Write(dir); err != nil {
		return err
	}
	if _, err := io.WriteString(stdout, environmentScript(c.Shell, env)); err != nil {
		return err
	}
	return p.Serve(ctx)
}

// environmentScript is what a shell evaluates to have an environment. Variables
// that the shell cannot name are left out.
func environmentScript(shell shellquote.Shell, env toolenv.Environment) string {
	var b strings.Builder
	b.WriteString(shell.Unset(env.Unset...))
	for _, v := range env.Variables {
		b.WriteString(shell.Set(v.Name, v.Value))
	}
	return b.String()
}

// A proxiedAddress is where a repository or the registry is; Format is empty for
// the registry.
type proxiedAddress struct {
	Name   string `json:"name"`
	Format string `json:"format,omitempty"`
	URL    string `json:"url"`
}

// printAddresses prints one address a line, as clients take them.
func (c *proxyCommand) printAddresses(w io.Writer, endpoints []project.Endpoint) error {
	if c.Output == outputJSON {
		list := make([]proxiedAddress, len(endpoints))
		for i, e := range endpoints {
			list[i] = proxiedAddress{e.Name, e.Format, e.Endpoint.String()}
		}
		return printJSON(w, list)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, e := range endpoints {
		kind, address := e.Format, e.Endpoint.String()
		if e.Registry() {
			kind, address = "registry", e.Endpoint.Host
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", e.Name, kind, address)
	}
	return t.Flush()
}
