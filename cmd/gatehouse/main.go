// Command gatehouse serves AWS's authorization tokens and the registries that
// they open. `gatehouse serve --help` is the place to start.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

// Exit codes: a command that was typed or configured wrongly is told apart from
// one that failed.
const (
	exitFailed = 1
	exitUsage  = 2
)

// messages is where a command tells the person something that is not its output.
type messages struct{ io.Writer }

// A misuse is an error that the person at the keyboard has to mend.
type usageError struct{ error }

func (m usageError) Unwrap() error { return m.error }

type commands struct {
	Serve   serveCommand   `cmd:"" help:"Serve the AWS APIs, the container registry and the package repositories."`
	Env     envCommand     `cmd:"" help:"Print the exports that point every AWS tool at the server."`
	Policy  policyCommand  `cmd:"" help:"Explain what IAM's policies decide."`
	Version versionCommand `cmd:"" help:"Print the version."`

	// The caller's side, which works with AWS as well.
	Token      tokenCommand      `cmd:"" help:"Print an authorization token of CodeArtifact or ECR, from AWS or from Gatehouse."`
	Credential credentialCommand `cmd:"" help:"Answer the clients that ask a credential helper."`
	Login      loginCommand      `cmd:"" help:"Point a package client or a container client at a repository or a registry, so that it is let in."`
	Logout     logoutCommand     `cmd:"" help:"Undo what login did."`
	Whoami     whoamiCommand     `cmd:"" help:"Say who AWS takes you for, and which tokens you may have."`
	Doctor     doctorCommand     `cmd:"" help:"Look for what keeps the tools on this machine from their tokens, and say what mends it."`
	Proxy      proxyCommand      `cmd:"" help:"Serve repositories and a registry on this machine to tools that know no tokens."`
	Exec       execCommand       `cmd:"" help:"Run a command whose package and container clients find their repositories and tokens in its environment."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, arguments(os.Args), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	exited := -1
	all := new(commands)
	parser := kong.Must(all,
		kong.Name("gatehouse"),
		kong.Description("Gatehouse speaks AWS: it issues the authorization tokens of ECR and CodeArtifact, and is the registry and the repositories that they open."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.BindTo(stdin, (*io.Reader)(nil)),
		kong.BindTo(stdout, (*io.Writer)(nil)),
		kong.Bind(messages{stderr}),
		kong.Bind(all, newClock()),
		helpVars(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
	)
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "gatehouse: %v; see gatehouse --help\n", err)
		return exitUsage
	}
	if err := command.Run(); err != nil {
		var code exitCode
		if errors.As(err, &code) { // of a command that was run
			return int(code)
		}
		if errors.Is(err, errDenied) { // the answer, and no failure
			return exitDenied
		}
		if errors.Is(err, errReported) {
			return exitFailed
		}
		fmt.Fprintf(stderr, "gatehouse: %v\n", err)
		if errors.As(err, new(usageError)) {
			return exitUsage
		}
		return exitFailed
	}
	return 0
}

// defaults are the values that the help names.
func helpVars() kong.Vars {
	c := config.Default()
	return kong.Vars{"default_data": c.Data, "default_listen": c.Listen, "default_account": c.Account, "default_region": c.Region}
}
