package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

type configCommand struct {
	Check   configCheckCommand   `cmd:"" help:"Check a configuration file without starting a server."`
	Example configExampleCommand `cmd:"" help:"Print a configuration file with every setting, its default and what it means."`
}

type configCheckCommand struct {
	File       string `arg:"" help:"The configuration file."`
	storeFlags `embed:""`
	outputFlag `embed:""`
}

// Help is what --help shows below the flags.
func (configCheckCommand) Help() string {
	return `It reports everything that would keep a server from starting with the file and that can be seen without starting one: unknown and wrong settings, files that are missing or that you may not read, a certificate and a key that do not belong together, addresses, identities and policies. Run it as the user of the server, and with its environment if that has settings, such as the wrapping key of the keyring.

Exit code: 0 no problem, 1 a problem, 2 the file cannot be read.

Examples:

  gatehouse config check /etc/gatehouse/gatehouse.yaml
  sudo -u gatehouse gatehouse config check /etc/gatehouse/gatehouse.yaml && systemctl reload gatehouse`
}

// A configReport is the answer of config check for programs.
type configReport struct {
	File     string          `json:"file"`
	Problems []configProblem `json:"problems"`
}

type configProblem struct {
	Line    int    `json:"line,omitempty"`
	Setting string `json:"setting,omitempty"`
	Message string `json:"message"`
}

// Run prints one line for each problem, as compilers do: FILE:LINE: SETTING: MESSAGE.
func (c *configCheckCommand) Run(stdout io.Writer, now clock) error {
	cfg := config.Default()
	cfg.WrappingKeys = wrappingKeys()
	err := cfg.Read(c.File)
	if err == nil || errors.As(err, new(*config.SettingsError)) {
		c.apply(cfg)
		err = errors.Join(err, app.CheckConfig(cfg, now()))
	}
	problems := config.Problems(err)
	if err != nil && len(problems) == 0 {
		return usageError{err}
	}
	report := configReport{File: c.File, Problems: []configProblem{}}
	for _, p := range problems {
		report.Problems = append(report.Problems, configProblem{p.Line, p.Setting, p.Message})
	}
	if c.Output == outputJSON {
		err = printJSON(stdout, report)
	} else {
		err = report.writeText(stdout)
	}
	if err == nil && len(problems) > 0 {
		return errDenied // an answer, and not a failure
	}
	return err
}

func (r *configReport) writeText(w io.Writer) error {
	var errs []error
	print := func(format string, args ...any) {
		_, err := fmt.Fprintf(w, format, args...)
		errs = append(errs, err)
	}
	for _, p := range r.Problems {
		place := r.File
		if p.Line > 0 {
			place = fmt.Sprintf("%s:%d", r.File, p.Line)
		}
		if p.Setting != "" {
			place += ": " + p.Setting
		}
		print("%s: %s\n", place, p.Message)
	}
	if len(r.Problems) == 0 {
		print("%s: no problems\n", r.File)
	}
	return errors.Join(errs...)
}

type configExampleCommand struct{}

// Help is what --help shows below the flags.
func (configExampleCommand) Help() string {
	return `Examples:

  gatehouse config example > gatehouse.yaml`
}

// Run prints the example.
func (configExampleCommand) Run(stdout io.Writer) error {
	_, err := io.WriteString(stdout, config.Example)
	return err
}
