package main

import (
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/shellquote"
	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

type envCommand struct {
	Data string `placeholder:"DIR" help:"The server's data folder (${default_data})."`
}

// Help is what --help shows below the flags.
func (envCommand) Help() string {
	return `Examples:

  eval "$(gatehouse env)"
  eval "$(gatehouse env --data /var/lib/gatehouse)"`
}

// Run prints one export a line, quoted for a POSIX shell.
func (c *envCommand) Run(stdout io.Writer) error {
	data := c.Data
	if data == "" {
		data = config.Default().Data
	}
	env, err := app.Environment(data)
	if err != nil {
		return err
	}
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		fmt.Fprintf(stdout, "export %s=%s\n", name, shellquote.Quote(value))
	}
	return nil
}

type versionCommand struct{}

// Run prints the version that the Go toolchain recorded.
func (versionCommand) Run(stdout io.Writer) error {
	version, revision := "unknown", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = " " + s.Value
			}
		}
	}
	fmt.Fprintf(stdout, "gatehouse %s%s\n", version, revision)
	return nil
}
