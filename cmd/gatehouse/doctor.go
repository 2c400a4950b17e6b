package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"time"

	"golang.org/x/term"

	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/doctor"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/tools"
)

// errProblems is what doctor ends with if its report has an error.
var errProblems = reported(errors.New("problems were found"))

type doctorCommand struct {
	Hosts   []string      `placeholder:"HOST" env:"GATEHOUSE_HOSTS" help:"Hosts that get tokens besides those that the endpoint names."`
	Timeout time.Duration `default:"20s" placeholder:"TIME" help:"How long the checks may take (${default})."`
	outputFlag
	awsFlags
}

// Help is what --help shows below the flags.
func (doctorCommand) Help() string {
	return `doctor checks the AWS configuration, the endpoint and its clock, the permissions for
tokens, each tool's configuration and the certificates that it trusts, the
helpers on PATH, and the files that hold tokens. Below each problem are the lines
that fix it: read them, then paste them. doctor changes nothing.

Exit code: 1 if there is an error; 0 otherwise, also with warnings.

Examples:

  gatehouse doctor
  gatehouse doctor --profile work --output json`
}

// Run prints the findings.
func (c *doctorCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	env, err := userEnvironment()
	if err != nil {
		return err
	}
	m := &doctor.Machine{
		Places: env, AWS: credential.AWS(c.awsFlags),
		Lookup: (&credentialCommand{awsFlags: c.awsFlags, Hosts: c.Hosts}).lookup(now),
		Tools:  tools.All(), ReadFile: os.ReadFile, Stat: os.Stat, LookPath: exec.LookPath, Now: now,
		Logins: journal(env).Logins,
	}
	found := doctor.Run(ctx, m.Checks(), c.Timeout)
	if c.Output == outputJSON {
		err = printJSON(stdout, found)
	} else {
		err = found.WriteText(stdout, palette(stdout))
	}
	if err == nil && found.Count(doctor.Error) > 0 {
		err = errProblems
	}
	return err
}

// palette is coloured on a terminal, unless NO_COLOR is set (https://no-color.org).
func palette(w io.Writer) doctor.Palette {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return doctor.Terminal()
}
