package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

type lifecycleCommand struct {
	Explain lifecycleExplainCommand `cmd:"" help:"Show what the policy of a repository decides about each image, and why."`
	Run     lifecycleRunCommand     `cmd:"" help:"Apply the policy of a repository now."`
	Runs    lifecycleRunsCommand    `cmd:"" help:"List the runs of a repository."`
	Undo    lifecycleUndoCommand    `cmd:"" help:"Bring back the images that a run has removed."`
	Default lifecycleDefaultCommand `cmd:"" help:"Set, print or delete the policy of all repositories that have none of their own."`
}

// An imageRepositoryArgument names an image repository as an argument of a command.
type imageRepositoryArgument string

// parse returns the account, which is nil if it is the caller's, and the name.
func (r imageRepositoryArgument) parse() (account *string, name string) {
	if fields := strings.SplitN(string(r), ":", 6); len(fields) == 6 && fields[0] == "arn" {
		return &fields[4], strings.TrimPrefix(fields[5], "repository/")
	}
	return nil, string(r)
}

// imageRepositoryFlags are what all commands about one image repository have.
type imageRepositoryFlags struct {
	Repository imageRepositoryArgument `arg:"" help:"The repository: its name, or its ARN if it is in another account."`
}

type lifecycleExplainCommand struct {
	imageRepositoryFlags
	Image  string `placeholder:"TAG|DIGEST" help:"Explain only this image."`
	Policy string `placeholder:"FILE" help:"Try this policy instead of the one that holds; - for standard input."`
	outputFlag
	awsFlags
}

// Help is what --help shows below the flags.
func (lifecycleExplainCommand) Help() string {
	return `Images are listed from the youngest to the oldest, and nothing is changed. For each rule
there is one word: - (the rule is not about the image), keeps, marks (the image is too old
or one too many), or shielded (it would mark, but an earlier rule decides). The caller needs
gatehouse:ExplainLifecycle on the repository.

Examples:

  gatehouse lifecycle explain team/app
  gatehouse lifecycle explain team/app --image v1.4.0
  gatehouse lifecycle explain team/app --policy new.json --output json`
}

// Run prints what the policy decides.
func (c *lifecycleExplainCommand) Run(ctx context.Context, stdin io.Reader, stdout io.Writer, stderr messages, now clock) error {
	in := new(operatormodel.ExplainLifecycleInput)
	in.RegistryID, in.RepositoryName = c.Repository.parse()
	if c.Policy != "" {
		text, err := readRules(c.Policy, stdin)
		if err != nil {
			return err
		}
		in.PolicyText = &text
	}
	switch {
	case strings.Contains(c.Image, ":"):
		in.ImageDigest = &c.Image
	case c.Image != "":
		in.ImageTag = &c.Image
	}
	client, err := c.operator(ctx, now)
	if err != nil {
		return err
	}
	all := []operatormodel.LifecycleVerdict{}
	count := map[string]int{}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, textOnly(c.Output, "IMAGE\tTAGS\tPUSHED\tDECISION\tRULES\n"))
	for more := true; more; more = in.NextToken != nil {
		page, err := client.ExplainLifecycle(ctx, in)
		if err != nil {
			return client.explain(err)
		}
		for i := range page.Images {
			v := &page.Images[i]
			count[v.Decision]++
			fmt.Fprint(table, textOnly(c.Output, fmt.Sprintf("%s\t%s\t%s\t%s\t%s\n", shortDigest(v.ImageDigest), shortTags(v.ImageTags), whenOr(&v.PushedAt, ""), lifecycleDecision(v), ruleWords(v.Rules))))
		}
		if c.Output == outputJSON {
			all = append(all, page.Images...)
		}
		if err := table.Flush(); err != nil {
			return err
		}
		in.NextToken = page.NextToken
	}
	if c.Output == outputJSON {
		return printJSON(stdout, all)
	}
	if c.Image != "" && len(count) == 1 {
		return nil
	}
	total := 0
	for _, n := range count {
		total += n
	}
	archived := ""
	if n := count["archived"]; n > 0 {
		archived = fmt.Sprintf(" and %d archived", n)
	}
	fmt.Fprintf(stderr, "%d of %d images would be removed%s, and what follows them.\n", count["expired"], total, archived)
	return nil
}

// shortDigest is enough of a digest to find it.
func shortDigest(d string) string {
	algorithm, hex, _ := strings.Cut(d, ":")
	return algorithm + ":" + hex[:min(len(hex), 12)]
}

// shortTags shows some of the tags of an image.
func shortTags(tags []string) string {
	const shown = 3
	switch {
	case len(tags) == 0:
		return "-"
	case len(tags) > shown:
		return fmt.Sprintf("%s and %d more", strings.Join(tags[:shown], ","), len(tags)-shown)
	}
	return strings.Join(tags, ",")
}

// lifecycleDecision says in words what becomes of an image.
func lifecycleDecision(v *operatormodel.LifecycleVerdict) string {
	switch v.Decision {
	case "expired":
		return fmt.Sprintf("removed by rule %d", deref(v.RulePriority))
	case "archived":
		return fmt.Sprintf("archived by rule %d", deref(v.RulePriority))
	case "protected":
		return "kept: " + shortDigest(deref(v.ListedBy)) + " lists it"
	case "follows":
		return "as " + shortDigest(deref(v.Follows))
	}
	return v.Decision
}

// ruleWords says in words what each rule says.
func ruleWords(rules []operatormodel.LifecycleFinding) string {
	var words []string
	for i := range rules {
		f := &rules[i]
		word := "-"
		switch {
		case f.Identified && f.Shielded:
			word = "shielded"
		case f.Marked:
			word = "marks (" + f.Reason + ")"
		case f.Identified:
			word = "keeps (" + f.Reason + ")"
		}
		words = append(words, fmt.Sprintf("%d: %s", f.RulePriority, word))
	}
	return strings.Join(words, "; ")
}

type lifecycleRunCommand struct {
	imageRepositoryFlags
	NoWait bool `help:"Do not wait for the end of the run."`
	outputFlag
	awsFlags
}

// Help is what --help shows below the flags.
func (lifecycleRunCommand) Help() string {
	return `Policies are applied once a day by themselves. What is removed can be brought back with
gatehouse lifecycle undo for 7 days. The exit code is 1 if the run stopped: the message says
why. The caller needs gatehouse:RunLifecycle and gatehouse:ListLifecycleRuns on the
repository.

Examples:

  gatehouse lifecycle run team/app`
}

// Run applies the policy.
func (c *lifecycleRunCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	in := new(operatormodel.RunLifecycleInput)
	in.RegistryID, in.RepositoryName = c.Repository.parse()
	client, err := c.operator(ctx, now)
	if err != nil {
		return err
	}
	out, err := client.RunLifecycle(ctx, in)
	if err != nil {
		return client.explain(err)
	}
	run := &out.Run
	if !c.NoWait {
		if run, err = awaitLifecycle(ctx, client, c.Repository, run, "queued", "running"); err != nil {
			return err
		}
	}
	if err := printLifecycleRun(stdout, c.Output, run); err != nil {
		return err
	}
	if run.State == "stopped" {
		return fmt.Errorf("the run stopped: %s", deref(run.Message))
	}
	return nil
}

func printLifecycleRun(stdout io.Writer, output string, run *operatormodel.LifecycleRun) error {
	if output == outputJSON {
		return printJSON(stdout, run)
	}
	text := run.State
	switch {
	case run.State == "undone":
		text = fmt.Sprintf("%d of %d images restored", run.Restored, run.Removed)
	case run.State != "done" && run.State != "stopped":
	case run.Removed == 0:
		text = fmt.Sprintf("nothing was removed of %d images", run.ImageCount)
	default:
		text = fmt.Sprintf("%d of %d images removed; undo until %s", run.Removed, run.ImageCount, whenOr(run.UndoUntil, ""))
	}
	if run.Archived > 0 {
		text += fmt.Sprintf("; %d archived", run.Archived)
	}
	_, err := fmt.Fprintf(stdout, "run %s: %s\n", run.RunID, text)
	return err
}

// awaitLifecycle waits until a run is in none of the states any more.
func awaitLifecycle(ctx context.Context, client *operatorClient, repository imageRepositoryArgument, run *operatormodel.LifecycleRun, states ...string) (*operatormodel.LifecycleRun, error) {
	in := &operatormodel.ListLifecycleRunsInput{RunID: &run.RunID}
	in.RegistryID, in.RepositoryName = repository.parse()
	tick := time.NewTicker(pollRun)
	defer tick.Stop()
	for slices.Contains(states, run.State) {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the run %s goes on in the background: %w", run.RunID, ctx.Err())
		case <-tick.C:
		}
		out, err := client.ListLifecycleRuns(ctx, in)
		if err != nil {
			return nil, client.explain(err)
		}
		run = &out.Runs[0]
	}
	return run, nil
}

type lifecycleRunsCommand struct {
	imageRepositoryFlags
	outputFlag
	awsFlags
}

// Help is what --help shows below the flags.
func (lifecycleRunsCommand) Help() string {
	return `Runs are listed for 400 days, the latest first. Scheduled runs that removed nothing are not
listed. The caller needs gatehouse:ListLifecycleRuns on the repository.

Examples:

  gatehouse lifecycle runs team/app
  gatehouse lifecycle runs team/app --output json`
}

// Run prints the runs.
func (c *lifecycleRunsCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	in := new(operatormodel.ListLifecycleRunsInput)
	in.RegistryID, in.RepositoryName = c.Repository.parse()
	client, err := c.operator(ctx, now)
	if err != nil {
		return err
	}
	all := &operatormodel.ListLifecycleRunsOutput{Runs: []operatormodel.LifecycleRun{}}
	for more := true; more; more = in.NextToken != nil {
		page, err := client.ListLifecycleRuns(ctx, in)
		if err != nil {
			return client.explain(err)
		}
		all.Runs, in.NextToken = append(all.Runs, page.Runs...), page.NextToken
	}
	if c.Output == outputJSON {
		return printJSON(stdout, all)
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RUN\tCREATED\tSTATE\tIMAGES\tREMOVED\tRESTORED\tUNDO UNTIL\tSTARTED BY\tMESSAGE")
	for i := range all.Runs {
		r := &all.Runs[i]
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\n", r.RunID, whenOr(&r.CreatedAt, ""), r.State, r.ImageCount, r.Removed, r.Restored,
			whenOr(r.UndoUntil, "-"), cmp.Or(deref(r.StartedBy), "schedule"), cmp.Or(oneLine(deref(r.Message)), "-"))
	}
	return table.Flush()
}

type lifecycleUndoCommand struct {
	imageRepositoryFlags
	ID     string `arg:"" name:"run" help:"The run, as gatehouse lifecycle runs shows it."`
	NoWait bool   `help:"Do not wait for the end."`
	outputFlag
	awsFlags
}

// Help is what --help shows below the flags.
func (lifecycleUndoCommand) Help() string {
	return `The images come back with their tags, signatures and times. A tag that points to another
image now stays there. The policy still applies, so change it before the next run. The
caller needs gatehouse:UndoLifecycle and gatehouse:ListLifecycleRuns on the repository.

Examples:

  gatehouse lifecycle undo team/app 4f6c0e1c2b7d4a39`
}

// Run undoes a run.
func (c *lifecycleUndoCommand) Run(ctx context.Context, stdout io.Writer, stderr messages, now clock) error {
	in := &operatormodel.UndoLifecycleInput{RunID: c.ID}
	in.RegistryID, in.RepositoryName = c.Repository.parse()
	client, err := c.operator(ctx, now)
	if err != nil {
		return err
	}
	out, err := client.UndoLifecycle(ctx, in)
	if err != nil {
		return client.explain(err)
	}
	run := &out.Run
	if !c.NoWait {
		if run, err = awaitLifecycle(ctx, client, c.Repository, run, "undoing"); err != nil {
			return err
		}
	}
	if run.Message != nil {
		fmt.Fprintln(stderr, *run.Message)
	}
	return printLifecycleRun(stdout, c.Output, run)
}

type lifecycleDefaultCommand struct {
	Set    lifecycleDefaultSetCommand    `cmd:"" help:"Set the default policy."`
	Get    lifecycleDefaultGetCommand    `cmd:"" help:"Print the default policy."`
	Delete lifecycleDefaultDeleteCommand `cmd:"" help:"Delete the default policy."`
}

type lifecycleDefaultSetCommand struct {
	File string `arg:"" help:"The policy, in the JSON of ECR; - for standard input."`
	awsFlags
}

// Help is what --help shows below the flags.
func (lifecycleDefaultSetCommand) Help() string {
	return `The policy holds for the repositories of the caller's account and region that have no
lifecycle policy of their own. It is applied within an hour, and then once a day: look at
gatehouse lifecycle explain REPOSITORY --policy FILE first. The caller needs
gatehouse:PutDefaultLifecyclePolicy on repository/*.

Examples:

  gatehouse lifecycle default set keep-ten.json`
}

// Run sets the default policy.
func (c *lifecycleDefaultSetCommand) Run(ctx context.Context, stdin io.Reader, stdout io.Writer, now clock) error {
	text, err := readRules(c.File, stdin)
	if err != nil {
		return err
	}
	client, err := c.operator(ctx, now)
	if err != nil {
		return err
	}
	if _, err := client.PutDefaultLifecyclePolicy(ctx, &operatormodel.PutDefaultLifecyclePolicyInput{PolicyText: text}); err != nil {
		return client.explain(err)
	}
	_, err = fmt.Fprintln(stdout, "The policy is set for all repositories that have none of their own.")
	return err
}

type lifecycleDefaultGetCommand struct {
	outputFlag
	awsFlags
}

// Help is what --help shows below the flags.
func (lifecycleDefaultGetCommand) Help() string {
	return `The caller needs gatehouse:GetDefaultLifecyclePolicy on repository/*.

Examples:

  gatehouse lifecycle default get`
}

// Run prints the default policy.
func (c *lifecycleDefaultGetCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	client, err := c.operator(ctx, now)
	if err != nil {
		return err
	}
	out, err := client.GetDefaultLifecyclePolicy(ctx, new(operatormodel.GetDefaultLifecyclePolicyInput))
	if err != nil {
		return client.explain(err)
	}
	if c.Output == outputJSON {
		return printJSON(stdout, out.Policy)
	}
	_, err = fmt.Fprintln(stdout, strings.TrimSuffix(out.Policy.PolicyText, "\n"))
	return err
}

type lifecycleDefaultDeleteCommand struct{ awsFlags }

// Help is what --help shows below the flags.
func (lifecycleDefaultDeleteCommand) Help() string {
	return `The caller needs gatehouse:DeleteDefaultLifecyclePolicy on repository/*.

Examples:

  gatehouse lifecycle default delete`
}

// Run deletes the default policy.
func (c *lifecycleDefaultDeleteCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	client, err := c.operator(ctx, now)
	if err != nil {
		return err
	}
	if _, err := client.DeleteDefaultLifecyclePolicy(ctx, new(operatormodel.DeleteDefaultLifecyclePolicyInput)); err != nil {
		return client.explain(err)
	}
	_, err = fmt.Fprintln(stdout, "The registry has no default policy any more.")
	return err
}
