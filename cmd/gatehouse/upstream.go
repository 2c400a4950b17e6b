package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/upstreamconfig"
)

type upstreamCommand struct {
	List  upstreamListCommand  `cmd:"" help:"Show the registries with their addresses, and where the addresses come from."`
	Check upstreamCheckCommand `cmd:"" help:"Make one request to a registry, and say what is wrong."`
	Add   upstreamAddCommand   `cmd:"" help:"Write the settings of a registry into the configuration file."`
}

// upstreamFlags choose the configuration whose upstreams are meant.
type upstreamFlags struct {
	Config string `placeholder:"FILE" env:"GATEHOUSE_CONFIG" help:"The configuration file of the server."`
	outputFlag
}

func (f upstreamFlags) load() (*config.Config, error) {
	return (&serveCommand{Config: f.Config}).config()
}

type upstreamListCommand struct{ upstreamFlags }

// Help is what --help shows below the flags.
func (upstreamListCommand) Help() string {
	return `It shows what a server with the configuration file would use. If the file has no address for an external connection, the settings of the package clients on this machine are read: run it as the user of the server.

Examples:

  gatehouse upstream list --config /etc/gatehouse/gatehouse.yaml
  gatehouse upstream list --output json | jq -r '.[] | select(.problem) | .name'`
}

// An upstreamReport is one line of the answer for programs.
type upstreamReport struct {
	Name    string `json:"name"`
	Format  string `json:"format"`
	URL     string `json:"url,omitempty"`
	From    string `json:"from,omitempty"`
	Problem string `json:"problem,omitempty"`
}

func reportUpstream(u upstreamconfig.Upstream) upstreamReport {
	r := upstreamReport{Name: u.Name, Format: u.Format, URL: u.URL, From: u.From}
	if u.Err != nil {
		r.Problem = u.Err.Error()
	}
	return r
}

// Run lists all upstreams, also those that cannot be used.
func (c *upstreamListCommand) Run(stdout io.Writer) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	var all []upstreamReport
	for _, u := range app.Upstreams(cfg, upstreamconfig.Machine()) {
		all = append(all, reportUpstream(u))
	}
	if c.Output == outputJSON {
		return printJSON(stdout, all)
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tFORMAT\tURL\tFROM")
	for _, u := range all {
		if u.Problem != "" {
			fmt.Fprintf(w, "%s\t%s\t-\t%s\n", u.Name, u.Format, u.Problem)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", u.Name, u.Format, u.URL, u.From)
	}
	return w.Flush()
}

type upstreamCheckCommand struct {
	Name string `arg:"" help:"The name of an external connection, such as public:npmjs, or of an upstream in the configuration file."`
	upstreamFlags
}

// Help is what --help shows below the flags.
func (upstreamCheckCommand) Help() string {
	return `It makes one request with the settings of the upstream: proxy, authorities, credential. Run it on the server's machine, as its user, with its environment.

Exit code: 0 the registry answered, 1 it did not, or refused.

Example:

  gatehouse upstream check public:npmjs --config /etc/gatehouse/gatehouse.yaml`
}

// An upstreamCheckReport is the answer of upstream check for programs.
type upstreamCheckReport struct {
	upstreamReport
	Status       int      `json:"status,omitempty"`
	Milliseconds int64    `json:"milliseconds,omitempty"`
	Notes        []string `json:"notes,omitempty"`
}

// Run makes the request.
func (c *upstreamCheckCommand) Run(ctx context.Context, stdout io.Writer) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	check, problem := app.CheckUpstream(ctx, cfg, upstreamconfig.Machine(), c.Name, readVersion().Version)
	if check == nil {
		return usageError{problem}
	}
	if c.Output == outputJSON {
		report := upstreamCheckReport{reportUpstream(check.Upstream), check.Status, check.Took.Milliseconds(), check.Notes}
		if problem != nil {
			report.Problem = problem.Error()
		}
		if err := printJSON(stdout, report); err != nil || problem == nil {
			return err
		}
		return errDenied // an answer, and not a failure
	}
	if problem != nil {
		return problem
	}
	fmt.Fprintf(stdout, "%s: %s answered %d in %v (address from %s)\n", check.Name, check.URL, check.Status, check.Took.Round(time.Millisecond), check.From)
	for _, note := range check.Notes {
		fmt.Fprintln(stdout, "  "+note)
	}
	return nil
}
