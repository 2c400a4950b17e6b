package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

type workCommand struct {
	List  workListCommand  `cmd:"" help:"Show the background work that waits, runs or has failed."`
	Retry workRetryCommand `cmd:"" help:"Run failed or waiting work now."`
}

type workListCommand struct {
	State string `enum:",queued,running,failed" default:"" placeholder:"STATE" help:"Only work in this state: queued, running or failed."`
	Kind  string `placeholder:"KIND" help:"Only work of this kind, such as images/blobs."`
	outputFlag
	awsFlags
}

// Help is what --help shows below the flags.
func (workListCommand) Help() string {
	return `Work that is done is not in the list. Failed work stays for 30 days. The caller needs
gatehouse:ListWork.

Examples:

  gatehouse work list
  gatehouse work list --state failed --output json`
}

// Run prints the work queue.
func (c *workListCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	client, err := c.operator(ctx, now)
	if err != nil {
		return err
	}
	in, items := &operatormodel.ListWorkInput{State: optional(c.State), Kind: optional(c.Kind)}, []operatormodel.WorkItem{}
	for more := true; more; more = in.NextToken != nil {
		page, err := client.ListWork(ctx, in)
		if err != nil {
			return client.explain(err)
		}
		items, in.NextToken = append(items, page.Work...), page.NextToken
	}
	if c.Output == outputJSON {
		return printJSON(stdout, operatormodel.ListWorkOutput{Work: items})
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tKIND\tKEY\tSTATE\tDUE\tATTEMPTS\tLAST ERROR")
	for _, i := range items {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", i.ID, i.Kind, cmp.Or(deref(i.Key), "-"), i.State, due(now(), &i), i.Attempts, cmp.Or(oneLine(deref(i.LastError)), "-"))
	}
	return table.Flush()
}

// due says when work is due: from now, or since when.
func due(now time.Time, i *operatormodel.WorkItem) string {
	switch wait := i.RunAt.Sub(now).Round(time.Second); {
	case i.State != "queued":
		return "-"
	case wait <= 0:
		return "now"
	default:
		return "in " + wait.String()
	}
}

// oneLine is the beginning of a text, for a table.
func oneLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	if r := []rune(line); len(r) > 100 {
		line = string(r[:99]) + "…"
	}
	return line
}

type workRetryCommand struct {
	ID   string `arg:"" optional:"" help:"The id that work list shows."`
	Kind string `placeholder:"KIND" help:"All failed work of this kind, instead of one."`
	awsFlags
}

// Help is what --help shows below the flags.
func (workRetryCommand) Help() string {
	return `With an id, work that waits for its time runs now, too: a sweep, for example. The
caller needs gatehouse:RetryWork.

Examples:

  gatehouse work retry 9ugxnorjls-277e525b
  gatehouse work retry --kind blobs/delete`
}

// Run makes work due.
func (c *workRetryCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	if (c.ID == "") == (c.Kind == "") {
		return usageError{errors.New("give either an id or --kind")}
	}
	client, err := c.operator(ctx, now)
	if err != nil {
		return err
	}
	out, err := client.RetryWork(ctx, &operatormodel.RetryWorkInput{ID: optional(c.ID), Kind: optional(c.Kind)})
	if err != nil {
		return client.explain(err)
	}
	_, err = fmt.Fprintf(stdout, "%d due now\n", out.Retried)
	return err
}

// optional returns nil for an empty text.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// deref returns what p points to, or the zero value.
func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
