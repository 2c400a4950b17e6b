// Command gatehouse serves AWS's authorization tokens and the registries that
// they open, and is the client side of both. `gatehouse serve --help` is the place
// to start.
//
// Each command is a struct with flags in a file of its own; kong fills it in and
// calls its Run method. A Run method returns an error: a [usageError] if the person
// typed something wrong (exit code 2), an [exitCode] to end with a particular code,
// [errReported] if the message was printed already, and any other error for
// everything else (exit code 1).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/scanworker"
)

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2 // the command was typed or configured wrongly
	// exitInterrupted is what shells report for a process that SIGINT ended.
	exitInterrupted = 130
)

// messages is where a command writes what is not its output.
type messages struct{ io.Writer }

// A usageError is one that the person at the keyboard has to fix.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

type commands struct {
	ShowVersion versionFlag `name:"version" help:"Print the version and exit."`

	Serve       serveCommand       `cmd:"" help:"Serve the AWS APIs, the container registry and the package repositories."`
	Env         envCommand         `cmd:"" help:"Print the lines that point every AWS tool in a shell at the server."`
	Policy      policyCommand      `cmd:"" help:"Explain what IAM's policies decide."`
	Config      configCommand      `cmd:"" help:"Check a configuration file, or print an example of one."`
	Upstream    upstreamCommand    `cmd:"" help:"Show the registries that a server can get packages from, and ask one of them."`
	Healthcheck healthcheckCommand `cmd:"" help:"Ask the server on this machine whether it is healthy."`
	Version     versionCommand     `cmd:"" help:"Print the version, the commit and the date of the build."`

	// For those who run a server. They call it with their AWS credentials.
	Server serverCommand `cmd:"" help:"Ask a running server about itself."`
	Work   workCommand   `cmd:"" help:"Show the background work of a running server, and try failed work again."`
	Keys   keysCommand   `cmd:"" help:"List, rotate, retire and wrap the keys of the keyring."`
	Events eventsCommand `cmd:"" help:"Show what was published, changed and deleted on a running server."`

	// For those who run a repository.
	Packages   packagesCommand   `cmd:"" help:"Show how often packages were downloaded from a running server."`
	Admission  admissionCommand  `cmd:"" help:"Decide which versions of packages clients of a running server may install."`
	Advisories advisoriesCommand `cmd:"" help:"Import and list advisories about vulnerable and malicious packages on a running server."`
	Mirror     mirrorCommand     `cmd:"" help:"Fill a repository with what lock files name, and check that it holds all of it."`
	Bundle     bundleCommand     `cmd:"" help:"Carry packages and images to a server without a network, in one signed file."`
	Import     importCommand     `cmd:"" help:"Copy packages and images from AWS or another registry, while it runs, into a running server."`
	Lifecycle  lifecycleCommand  `cmd:"" help:"Explain, run and undo the lifecycle policies of image repositories on a running server."`
	Retention  retentionCommand  `cmd:"" help:"Remove versions that nobody needs from a package repository of a running server, by rules."`
	// For those who run a server, on its machine.
	Backup  backupCommand  `cmd:"" help:"Make a backup of an installation, also while its server runs."`
	Restore restoreCommand `cmd:"" help:"Restore an installation from a backup."`
	Verify  verifyCommand  `cmd:"" help:"Check every row and every stored byte of an installation, and repair what can be repaired."`
	Migrate migrateCommand `cmd:"" help:"Move an installation between SQLite and PostgreSQL, and between local files and S3."`

	// The client side, which works with AWS as well.
	Token      tokenCommand      `cmd:"" help:"Print an authorization token of CodeArtifact or ECR, from AWS or from Gatehouse."`
	Credential credentialCommand `cmd:"" help:"Answer the clients that ask a credential helper."`
	Login      loginCommand      `cmd:"" help:"Configure a package client or a container client for a repository or a registry."`
	Logout     logoutCommand     `cmd:"" help:"Undo what login did."`
	Whoami     whoamiCommand     `cmd:"" help:"Show who the AWS credentials belong to, and which tokens they get."`
	Doctor     doctorCommand     `cmd:"" help:"Find what keeps the tools on this machine from their tokens, and show how to fix it."`
	Proxy      proxyCommand      `cmd:"" help:"Serve repositories and a registry on this machine to tools that know nothing of tokens."`
	Exec       execCommand       `cmd:"" help:"Run a command whose package and container clients find repositories and tokens in its environment."`

	Help       helpCommand       `cmd:"" help:"Show the help of a command."`
	Completion completionCommand `cmd:"" help:"Print the completion script of a shell."`
	Complete   completeCommand   `cmd:"" hidden:"" name:"__complete"`
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == scanworker.Command {
		os.Exit(scanworker.Main(os.Stdin, os.Stdout))
	}
	useFallbackRoots()
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
		<-signals
		stop()
		<-signals // who asks twice does not want to wait
		os.Exit(exitInterrupted)
	}()
	os.Exit(run(ctx, arguments(os.Args), os.Stdin, os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	exited := -1
	all := new(commands)
	args = helpArguments(args)
	parser := kong.Must(reachable(all, args),
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
	command, err := parser.Parse(args)
	if exited >= 0 { // --help or --version
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "gatehouse: %v; see %s --help\n", err, commandPath(err))
		return exitUsage
	}
	return exitCodeOf(command.Run(), command.Selected().FullPath(), stderr)
}

// reachable returns the part of the commands that the arguments can reach, for kong:
// the flags of the program and the one command that the first argument names. To build
// all commands takes 6 ms, which each start of a credential helper would pay. It returns
// all if the first argument names none, or one that shows the others.
func reachable(all *commands, args []string) any {
	if len(args) == 0 || args[0] == "__complete" {
		return all
	}
	v := reflect.ValueOf(all).Elem()
	flags, _ := v.Type().FieldByName("ShowVersion")
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if _, isCommand := f.Tag.Lookup("cmd"); !isCommand || strings.ToLower(f.Name) != args[0] {
			continue
		}
		f.Type, f.Index, f.Offset = reflect.PointerTo(f.Type), nil, 0
		part := reflect.New(reflect.StructOf([]reflect.StructField{flags, f}))
		part.Elem().Field(1).Set(v.Field(i).Addr())
		return part.Interface()
	}
	return all
}

// exitCodeOf prints an error that was not printed before, and returns the exit
// code that goes with it. name is the command that failed, such as "gatehouse
// login".
func exitCodeOf(err error, name string, stderr io.Writer) int {
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code): // of a command that was run
		return int(code)
	case errors.Is(err, errDenied): // an answer, and not a failure
		return exitDenied
	case errors.Is(err, errReported):
		return exitFailed
	}
	if errors.As(err, new(usageError)) {
		fmt.Fprintf(stderr, "gatehouse: %v; see %s --help\n", err, name)
		return exitUsage
	}
	fmt.Fprintf(stderr, "gatehouse: %v\n", err)
	return exitFailed
}

// commandPath is the command that the parser had reached when it failed.
func commandPath(err error) string {
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		if node := parse.Context.Selected(); node != nil {
			return node.FullPath()
		}
	}
	return "gatehouse"
}

type helpCommand struct {
	Command []string `arg:"" optional:"" help:"The command, such as token ecr."`
}

// Help is what --help shows below the flags.
func (helpCommand) Help() string {
	return `Examples:

  gatehouse help
  gatehouse help token ecr`
}

// Run is not called: see [helpArguments].
func (helpCommand) Run() error { return nil }

// helpArguments turns "help COMMAND" into "COMMAND --help", and nothing into
// "--help".
func helpArguments(args []string) []string {
	if len(args) > 0 && args[0] == "help" && (len(args) == 1 || args[1] != "--help") {
		args = args[1:]
		return append(append([]string{}, args...), "--help")
	}
	if len(args) == 0 {
		return []string{"--help"}
	}
	return args
}

// helpVars are the values that the help names.
func helpVars() kong.Vars {
	c := config.Default()
	return kong.Vars{"default_data": c.Data, "default_listen": c.Listen, "default_account": c.Account, "default_region": c.Region}
}
