package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/project"
	"github.com/gatehouse-registry/gatehouse/internal/client/toolenv"
	"github.com/gatehouse-registry/gatehouse/internal/client/toolenv/subprocess"
)

type execCommand struct {
	Command []string `arg:"" optional:"" passthrough:"" help:"The command and its arguments."`
	Tool    []string `placeholder:"NAME" help:"Tools to configure: npm, yarn, pip, uv, poetry, pdm, twine, cargo, maven, gradle, gem, bundler, nuget, docker (all)."`
	Print   bool     `help:"Print what would be set, with secrets hidden, and run nothing."`
	Output  string   `short:"o" enum:"text,json" default:"text" placeholder:"FORM" help:"Form of --print: text or json."`
	projectFlags
}

// Help is what --help shows below the flags.
func (execCommand) Help() string {
	return `Nothing stays on disk. Flags name the repositories, or the nearest gatehouse.toml in the working
folder or above it:

  [[repository]]
  domain = "acme"
  name = "lib"
  formats = ["npm", "pypi"]

Examples:

  gatehouse exec -- npm ci
  gatehouse exec -- sh -c 'pip install -r requirements.txt && twine upload dist/*'
  gatehouse exec --domain acme --repository lib --format maven -- mvn deploy
  gatehouse exec --registry -- skopeo inspect docker://HOST/app
  gatehouse exec --print

Variables that were set before are replaced. To override one, set it inside:
gatehouse exec -- env PIP_INDEX_URL=… pip install …

The command can read the tokens, so run only what you trust. For everything else
there is gatehouse proxy. The exit code is the command's, or 128 plus the number of
the signal that ended it.`
}

// An exitCode is the exit code of a command that was run, which becomes ours.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("the command ended with code %d", int(c)) }

// Run runs the command.
func (c *execCommand) Run(ctx context.Context, stdin io.Reader, stdout io.Writer, stderr messages, now clock) error {
	argv := withoutDashes(c.Command)
	if len(argv) == 0 && !c.Print {
		return usageError{errors.New("no command given: gatehouse exec -- COMMAND")}
	}
	endpoints, err := c.open(ctx, now)
	if err != nil {
		return err
	}
	if c.Print {
		return c.printEnvironment(stdout, endpoints)
	}
	return runChild(argv, endpoints, c.Tool, stdin, stdout, stderr)
}

// withoutDashes removes the -- in front of a command.
func withoutDashes(argv []string) []string {
	if len(argv) > 0 && argv[0] == "--" {
		return argv[1:]
	}
	return argv
}

// runChild runs a command whose tools are configured for the endpoints.
func runChild(argv []string, endpoints []project.Endpoint, tools []string, stdin io.Reader, stdout io.Writer, stderr messages) error {
	code, err := subprocess.Command{
		Args: argv, Stdin: stdin, Stdout: stdout, Stderr: stderr.Writer,
		Environment: func(dir string) ([]string, error) {
			env, err := toolEnvironment(endpoints, tools, argv[0], dir)
			if err != nil {
				return nil, err
			}
			return env.Apply(os.Environ()), env.Write(dir)
		},
	}.Run()
	if err != nil {
		fmt.Fprintf(stderr, "gatehouse: %v\n", err)
	}
	if code == 0 && err != nil {
		code = exitFailed
	}
	if code != 0 {
		return exitCode(code)
	}
	return nil
}

func toolEnvironment(endpoints []project.Endpoint, tools []string, program, dir string) (toolenv.Environment, error) {
	user, err := userEnvironment()
	if err != nil {
		return toolenv.Environment{}, err
	}
	return toolenv.Command{Endpoints: endpoints, Tools: tools, Program: program, Dir: dir, Places: user, ReadFile: os.ReadFile}.Environment()
}

// maskedEnvironment is what --print shows, for programs.
func maskedEnvironment(env toolenv.Environment) any {
	set, files := map[string]string{}, map[string]string{}
	for _, v := range env.Variables {
		set[v.Name] = v.Masked()
	}
	for _, f := range env.Files {
		files[f.Path] = string(f.Text)
	}
	return map[string]any{"set": set, "unset": append([]string{}, env.Unset...), "files": files}
}

// printEnvironment prints one variable a line, and the files after them.
func (c *execCommand) printEnvironment(w io.Writer, endpoints []project.Endpoint) error {
	const dir = "TEMPORARY-FOLDER"
	program := ""
	if argv := withoutDashes(c.Command); len(argv) > 0 {
		program = argv[0]
	}
	env, err := toolEnvironment(endpoints, c.Tool, program, dir)
	if err != nil {
		return err
	}
	if c.Output == outputJSON {
		return printJSON(w, maskedEnvironment(env))
	}
	var b strings.Builder
	for _, v := range env.Variables {
		fmt.Fprintf(&b, "%s=%s\n", v.Name, v.Masked())
	}
	for _, name := range env.Unset {
		fmt.Fprintf(&b, "# without %s\n", name)
	}
	for _, f := range env.Files {
		fmt.Fprintf(&b, "# %s/%s:\n", dir, f.Path)
		for line := range strings.Lines(string(f.Text)) {
			b.WriteString("#   " + line)
		}
	}
	_, err = io.WriteString(w, b.String())
	return err
}
