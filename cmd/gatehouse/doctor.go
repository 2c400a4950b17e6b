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

// errTrouble is what doctor ends with when its report has a trouble.
var errProblems = reported(errors.New("trouble"))

type doctorCommand struct {
	Hosts   []string      `placeholder:"HOST" env:"GATEHOUSE_HOSTS" help:"Hosts that get tokens besides those that the endpoint names."`
	Format  string        `enum:"text,json" default:"text" help:"text or json."`
	Timeout time.Duration `default:"20s" placeholder:"TIME" help:"How long the checks may take (20s)."`
	awsFlags
}

// Help is what --help shows below the flags.
func (doctorCommand) Help() string {
	return `It looks at the AWS configuration, the endpoint and its clock, the permissions for
tokens, each tool's configuration and the certificates that it trusts, the
helpers on PATH, and the files that hold tokens. Below each trouble are the lines
that mend it, to be read and pasted. Nothing is changed.

Exit code: 0 without a trouble, warnings or not; 1 with one.`
}

// Run prints what it finds.
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
	if c.Format == "json" {
		err = printJSON(stdout, found)
	} else {
		err = found.WriteText(stdout, palette(stdout))
	}
	if err == nil && found.Count(doctor.Error) > 0 {
		err = errProblems
	}
	return err
}

// palette is coloured on a terminal, unless the person wants none
// (https://no-color.org).
func palette(w io.Writer) doctor.Palette {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return doctor.Terminal()
}
