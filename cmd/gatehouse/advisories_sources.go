package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

type advisoriesRefreshCommand struct {
	NoWait bool `help:"Do not wait until the addresses have answered."`
	outputFlag
	awsFlags
}

// Help is what --help shows below the flags.
func (advisoriesRefreshCommand) Help() string {
	return `The server asks all addresses that its configuration names below advisories.sources, without
waiting for the next time (advisories.every). The exit code is 1 if one of them failed; what
was known before is kept. The caller needs gatehouse:RefreshAdvisories, and, to wait,
gatehouse:ListAdvisorySources.

Examples:

  gatehouse advisories refresh
  gatehouse advisories refresh --no-wait`
}

// Run asks the server, and waits.
func (c *advisoriesRefreshCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	client, err := c.operator(ctx, now)
	if err != nil {
		return err
	}
	began, err := client.RefreshAdvisories(ctx, &operatormodel.RefreshAdvisoriesInput{})
	if err != nil {
		return client.explain(err)
	}
	sources := began.Sources
	if !c.NoWait {
		if sources, err = awaitRefresh(ctx, client, began.Sources); err != nil {
			return err
		}
	}
	if err := printSources(stdout, c.Output, sources); err != nil {
		return err
	}
	if !c.NoWait && slices.ContainsFunc(sources, func(s operatormodel.AdvisorySource) bool { return s.Failure != nil }) {
		return errReported
	}
	return nil
}

// awaitRefresh waits until each source has run once more than before.
func awaitRefresh(ctx context.Context, client *operatorClient, before []operatormodel.AdvisorySource) ([]operatormodel.AdvisorySource, error) {
	runs := map[string]int64{}
	for _, s := range before {
		runs[s.Name] = s.Runs
	}
	tick := time.NewTicker(pollRun)
	defer tick.Stop()
	for {
		out, err := client.ListAdvisorySources(ctx, &operatormodel.ListAdvisorySourcesInput{})
		if err != nil {
			return nil, client.explain(err)
		}
		if !slices.ContainsFunc(out.Sources, func(s operatormodel.AdvisorySource) bool { return s.Runs <= runs[s.Name] }) {
			return out.Sources, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the server goes on in the background: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

type advisoriesStatusCommand struct {
	outputFlag
	awsFlags
}

// Help is what --help shows below the flags.
func (advisoriesStatusCommand) Help() string {
	return `CHECKED is when an address answered last, and CHANGED when it had something else than before.
The numbers are about its last answer. The caller needs gatehouse:ListAdvisorySources.

Examples:

  gatehouse advisories status
  gatehouse advisories status --output json`
}

// Run prints the sources.
func (c *advisoriesStatusCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	client, err := c.operator(ctx, now)
	if err != nil {
		return err
	}
	out, err := client.ListAdvisorySources(ctx, &operatormodel.ListAdvisorySourcesInput{})
	if err != nil {
		return client.explain(err)
	}
	return printSources(stdout, c.Output, out.Sources)
}

func printSources(stdout io.Writer, format string, sources []operatormodel.AdvisorySource) error {
	if format == outputJSON {
		return printJSON(stdout, map[string]any{"sources": sources})
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SOURCE\tCHECKED\tCHANGED\tIMPORTED\tUNCHANGED\tREFUSED\tSTATE")
	for _, s := range sources {
		state := "never asked"
		switch {
		case s.Failure != nil:
			state = "failed: " + printable(*s.Failure)
		case s.CheckedAt != nil:
			state = "ok"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\t%s\n", s.Name, whenOr(s.CheckedAt, "never"), whenOr(s.ChangedAt, "never"), s.Imported, s.Unchanged, s.Refused, state)
	}
	return table.Flush()
}
