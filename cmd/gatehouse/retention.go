package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/client/lockedversions"
	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

type retentionCommand struct {
	Set     retentionSetCommand     `cmd:"" help:"Set the rules of a repository, and the lock lists that protect versions."`
	Get     retentionGetCommand     `cmd:"" help:"Print the rules of a repository, or one of its lock lists."`
	Delete  retentionDeleteCommand  `cmd:"" help:"Remove the rules of a repository. Nothing more is removed from it."`
	Preview retentionPreviewCommand `cmd:"" help:"Show what the rules would remove and what they protect, without changing anything."`
	Run     retentionRunCommand     `cmd:"" help:"Apply the rules of a repository now."`
	Runs    retentionRunsCommand    `cmd:"" help:"List the runs of a repository."`
	Undo    retentionUndoCommand    `cmd:"" help:"Bring back what a run has removed."`
}

// repositoryFlags are what all commands about one repository have.
type repositoryFlags struct {
	Repository repositoryArgument `arg:"" help:"The repository: DOMAIN/REPOSITORY, or its ARN if another account owns the domain."`
}

type retentionSetCommand struct {
	repositoryFlags
	File     string            `arg:"" optional:"" help:"The rules, in YAML or JSON; - for standard input. Without it, the rules stay as they are."`
	Lock     map[string]string `placeholder:"NAME=FILE" mapsep:"none" help:"Protect the versions of a lock file, or of a list of FORMAT/NAME@VERSION, under this name; again for another."`
	DropLock []string          `placeholder:"NAME" sep:"none" help:"Remove a lock list; again for another."`
	awsFlags
}

// Help is what --help shows below the flags.
func (retentionSetCommand) Help() string {
	return `The rules are checked before they are stored, and nothing is removed at once: look at
gatehouse retention preview. The first scheduled run is a day later. Lock lists that are
not named stay. Lock files are package-lock.json, npm-shrinkwrap.json, Cargo.lock,
requirements.txt with pinned versions, and Gemfile.lock. The caller needs
gatehouse:PutRetentionRules on the repository.

Rules are a file such as this:

  rules:
    - name: old-prereleases
      prereleases: true
      keep_newest: 3
      older_than: 30d
    - name: unused
      formats: [npm]
      package: "ui-*"
      not_downloaded_for: 1y
  protect:
    - npm/@acme/ui@1.0.0

Examples:

  gatehouse retention set acme/lib rules.yaml
  gatehouse retention set acme/lib rules.yaml --lock frontend=package-lock.json
  gatehouse retention set acme/lib --lock backend=versions.txt --drop-lock old`
}

// Run stores the rules.
func (c *retentionSetCommand) Run(ctx context.Context, stdin io.Reader, stdout io.Writer, now clock) error {
	in := &operatormodel.PutRetentionRulesInput{DropLockLists: c.DropLock}
	if c.File == "" && len(c.Lock)+len(c.DropLock) == 0 {
		return usageError{errors.New("give a file with rules, --lock or --drop-lock")}
	}
	if c.File != "" {
		document, err := readRules(c.File, stdin)
		if err != nil {
			return err
		}
		in.Document = &document
	}
	for _, name := range slices.Sorted(maps.Keys(c.Lock)) {
		content, err := os.ReadFile(c.Lock[name])
		if err != nil {
			return err
		}
		text, err := lockedversions.References(c.Lock[name], content)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Lock[name], err)
		}
		in.LockLists = append(in.LockLists, operatormodel.LockList{Name: name, Text: text})
	}
	var client *operatorClient
	var err error
	if in.RepositoryName, client, err = c.Repository.connect(ctx, c.awsFlags, now); err != nil {
		return err
	}
	if _, err := client.PutRetentionRules(ctx, in); err != nil {
		return client.explain(err)
	}
	_, err = fmt.Fprintf(stdout, "The rules are set. See what they remove with: gatehouse retention preview %s\n", c.Repository)
	return err
}

// readRules reads a file with rules, or standard input.
func readRules(file string, stdin io.Reader) (string, error) {
	if file == "-" {
		document, err := io.ReadAll(stdin)
		return string(document), err
	}
	document, err := os.ReadFile(file)
	return string(document), err
}

type retentionGetCommand struct {
	repositoryFlags
	Lock string `placeholder:"NAME" help:"Print this lock list instead of the rules."`
	outputFlag
	awsFlags
}

// Help is what --help shows below the flags.
func (retentionGetCommand) Help() string {
	return `The caller needs gatehouse:GetRetentionRules on the repository.

Examples:

  gatehouse retention get acme/lib
  gatehouse retention get acme/lib --lock frontend`
}

// Run prints the rules.
func (c *retentionGetCommand) Run(ctx context.Context, stdout io.Writer, stderr messages, now clock) error {
	name, client, err := c.Repository.connect(ctx, c.awsFlags, now)
	if err != nil {
		return err
	}
	out, err := client.GetRetentionRules(ctx, &operatormodel.GetRetentionRulesInput{RepositoryName: name})
	if err != nil {
		return client.explain(err)
	}
	if c.Lock != "" {
		for _, l := range out.Rules.LockLists {
			if l.Name == c.Lock {
				_, err := io.WriteString(stdout, l.Text)
				return err
			}
		}
		return fmt.Errorf("the repository has no lock list %q", c.Lock)
	}
	if c.Output == outputJSON {
		return printJSON(stdout, out.Rules)
	}
	for _, l := range out.Rules.LockLists {
		fmt.Fprintf(stderr, "# lock list %s: gatehouse retention get %s --lock %s\n", l.Name, c.Repository, l.Name)
	}
	_, err = io.WriteString(stdout, out.Rules.Document)
	return err
}

type retentionDeleteCommand struct {
	repositoryFlags
	awsFlags
}

// Help is what --help shows below the flags.
func (retentionDeleteCommand) Help() string {
	return `The lock lists are removed too. What earlier runs have removed can still be undone. The
caller needs gatehouse:DeleteRetentionRules on the repository.

Examples:

  gatehouse retention delete acme/lib`
}

// Run removes the rules.
func (c *retentionDeleteCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	name, client, err := c.Repository.connect(ctx, c.awsFlags, now)
	if err != nil {
		return err
	}
	if _, err := client.DeleteRetentionRules(ctx, &operatormodel.DeleteRetentionRulesInput{RepositoryName: name}); err != nil {
		return client.explain(err)
	}
	_, err = fmt.Fprintf(stdout, "The repository %s has no retention rules any more.\n", c.Repository)
	return err
}

type retentionPreviewCommand struct {
	repositoryFlags
	Rules string `placeholder:"FILE" help:"Try these rules instead of those of the repository; - for standard input."`
	outputFlag
	awsFlags
}

// Help is what --help shows below the flags.
func (retentionPreviewCommand) Help() string {
	return `Shown is each version that a rule selects, with the reason, and what protects it if it
stays. Versions that no rule selects are not shown. The caller needs
gatehouse:PreviewRetention on the repository.

Examples:

  gatehouse retention preview acme/lib
  gatehouse retention preview acme/lib --rules new-rules.yaml
  gatehouse retention preview acme/lib --output json`
}

// Run prints what the rules decide.
func (c *retentionPreviewCommand) Run(ctx context.Context, stdin io.Reader, stdout io.Writer, stderr messages, now clock) error {
	document := ""
	if c.Rules != "" {
		var err error
		if document, err = readRules(c.Rules, stdin); err != nil {
			return err
		}
	}
	name, client, err := c.Repository.connect(ctx, c.awsFlags, now)
	if err != nil {
		return err
	}
	return preview(ctx, client, &operatormodel.PreviewRetentionInput{RepositoryName: name, Document: optional(document)}, c.Output, stdout, stderr)
}

// preview prints what rules decide. It prints each page as it comes, unless the output is
// JSON.
func preview(ctx context.Context, client *operatorClient, in *operatormodel.PreviewRetentionInput, output string, stdout io.Writer, stderr messages) error {
	all := &operatormodel.PreviewRetentionOutput{Verdicts: []operatormodel.RetentionVerdict{}}
	removed := int64(0)
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, textOnly(output, "PACKAGE\tVERSION\tRULE\tDECISION\tREASON\n"))
	for more := true; more; more = in.NextToken != nil {
		page, err := client.PreviewRetention(ctx, in)
		if err != nil {
			return client.explain(err)
		}
		for i := range page.Verdicts {
			v := &page.Verdicts[i]
			if v.Removed {
				removed++
			}
			fmt.Fprint(table, textOnly(output, fmt.Sprintf("%s\t%s\t%s\t%s\t%s\n", packagePath(v.Format, deref(v.Namespace), v.Package), v.Version, v.Rule, decision(v), v.Reason)))
		}
		if output == outputJSON {
			all.Verdicts = append(all.Verdicts, page.Verdicts...)
		}
		all.VersionCount, all.MaxShare, in.NextToken = page.VersionCount, page.MaxShare, page.NextToken
		if err := table.Flush(); err != nil {
			return err
		}
	}
	if output == outputJSON {
		return printJSON(stdout, all)
	}
	fmt.Fprintf(stderr, "%d of %d versions would be removed.\n", removed, all.VersionCount)
	return nil
}

// textOnly is the text unless the output is JSON.
func textOnly(output, text string) string {
	if output == outputJSON {
		return ""
	}
	return text
}

// protections says in words what protects a version.
var protections = map[string]string{
	"unfinished": "its publication is not finished", "recent": "it changed within the last hour", "tag": "the tag %s points to it", "lock": "the lock list %s has it",
	"newest-build": "it is the newest build of %s", "last-version": "clients would have no version of the package",
}

// decision says in words what becomes of a version.
func decision(v *operatormodel.RetentionVerdict) string {
	if v.Removed {
		return "removed"
	}
	words := cmp.Or(protections[deref(v.Protection)], deref(v.Protection))
	if v.ProtectedBy != nil {
		words = fmt.Sprintf(words, *v.ProtectedBy)
	}
	return "kept: " + words
}

type retentionRunCommand struct {
	repositoryFlags
	DryRun   bool    `help:"Show what would be removed, as preview does, and remove nothing."`
	MaxShare float64 `placeholder:"SHARE" help:"The largest share of the versions that this run may remove, from 0 to 1, instead of max_share of the rules."`
	NoWait   bool    `help:"Do not wait for the end of the run."`
	outputFlag
	awsFlags
}

// Help is what --help shows below the flags.
func (retentionRunCommand) Help() string {
	return `What is removed can be brought back with gatehouse retention undo until the undo window
of the rules has passed (7 days if they do not say otherwise). The exit code is 1 if the
run stopped: the message says why. The caller needs gatehouse:RunRetention and
gatehouse:ListRetentionRuns on the repository.

Examples:

  gatehouse retention run acme/lib --dry-run
  gatehouse retention run acme/lib
  gatehouse retention run acme/lib --max-share 0.9`
}

// Run applies the rules.
func (c *retentionRunCommand) Run(ctx context.Context, stdout io.Writer, stderr messages, now clock) error {
	if c.MaxShare < 0 || c.MaxShare > 1 {
		return usageError{fmt.Errorf("--max-share is %v: it must be from 0 to 1", c.MaxShare)}
	}
	name, client, err := c.Repository.connect(ctx, c.awsFlags, now)
	if err != nil {
		return err
	}
	if c.DryRun {
		return preview(ctx, client, &operatormodel.PreviewRetentionInput{RepositoryName: name}, c.Output, stdout, stderr)
	}
	in := &operatormodel.RunRetentionInput{RepositoryName: name}
	if c.MaxShare > 0 {
		in.MaxShare = &c.MaxShare
	}
	out, err := client.RunRetention(ctx, in)
	if err != nil {
		return client.explain(err)
	}
	run := &out.Run
	if !c.NoWait {
		if run, err = awaitRun(ctx, client, name, run, "queued", "running"); err != nil {
			return err
		}
	}
	if c.Output == outputJSON {
		err = printJSON(stdout, run)
	} else {
		_, err = io.WriteString(stdout, runText(run))
	}
	if err == nil && run.State == "stopped" {
		err = errors.New(deref(run.Message))
	}
	return err
}

// runText says what a run has done.
func runText(run *operatormodel.RetentionRun) string {
	switch run.State {
	case "done", "stopped":
		if run.Removed == 0 {
			return fmt.Sprintf("run %s: nothing was removed of %d versions\n", run.RunID, run.VersionCount)
		}
		return fmt.Sprintf("run %s: %d of %d versions removed; undo until %s\n", run.RunID, run.Removed, run.VersionCount, whenOr(run.UndoUntil, ""))
	case "undone":
		return fmt.Sprintf("run %s: %d of %d versions restored\n", run.RunID, run.Restored, run.Removed)
	}
	return fmt.Sprintf("run %s: %s\n", run.RunID, run.State)
}

// pollRun is how often a run is looked at.
const pollRun = 500 * time.Millisecond

// awaitRun waits until a run is in none of the states any more.
func awaitRun(ctx context.Context, client *operatorClient, name operatormodel.RepositoryName, run *operatormodel.RetentionRun, states ...string) (*operatormodel.RetentionRun, error) {
	in := &operatormodel.ListRetentionRunsInput{RepositoryName: name, RunID: &run.RunID}
	tick := time.NewTicker(pollRun)
	defer tick.Stop()
	for slices.Contains(states, run.State) {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the run %s goes on in the background: %w", run.RunID, ctx.Err())
		case <-tick.C:
		}
		out, err := client.ListRetentionRuns(ctx, in)
		if err != nil {
			return nil, client.explain(err)
		}
		run = &out.Runs[0]
	}
	return run, nil
}

type retentionRunsCommand struct {
	repositoryFlags
	outputFlag
	awsFlags
}

// Help is what --help shows below the flags.
func (retentionRunsCommand) Help() string {
	return `Runs are listed for 400 days, the latest first. The caller needs
gatehouse:ListRetentionRuns on the repository.

Examples:

  gatehouse retention runs acme/lib
  gatehouse retention runs acme/lib --output json`
}

// Run prints the runs.
func (c *retentionRunsCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	name, client, err := c.Repository.connect(ctx, c.awsFlags, now)
	if err != nil {
		return err
	}
	in := &operatormodel.ListRetentionRunsInput{RepositoryName: name}
	all := &operatormodel.ListRetentionRunsOutput{Runs: []operatormodel.RetentionRun{}}
	for more := true; more; more = in.NextToken != nil {
		page, err := client.ListRetentionRuns(ctx, in)
		if err != nil {
			return client.explain(err)
		}
		all.Runs, in.NextToken = append(all.Runs, page.Runs...), page.NextToken
	}
	if c.Output == outputJSON {
		return printJSON(stdout, all)
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RUN\tCREATED\tSTATE\tVERSIONS\tREMOVED\tRESTORED\tUNDO UNTIL\tSTARTED BY\tMESSAGE")
	for i := range all.Runs {
		r := &all.Runs[i]
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\n", r.RunID, whenOr(&r.CreatedAt, ""), r.State, r.VersionCount, r.Removed, r.Restored,
			whenOr(r.UndoUntil, "-"), cmp.Or(deref(r.StartedBy), "schedule"), cmp.Or(oneLine(deref(r.Message)), "-"))
	}
	return table.Flush()
}

type retentionUndoCommand struct {
	repositoryFlags
	ID     string `arg:"" name:"run" help:"The run, as gatehouse retention runs shows it."`
	NoWait bool   `help:"Do not wait for the end."`
	outputFlag
	awsFlags
}

// Help is what --help shows below the flags.
func (retentionUndoCommand) Help() string {
	return `The versions come back as they were: status, revision, files and download counts. A
version that the repository has again under the same name stays as it is. The rules still
apply, so change them before the next run, or protect the versions. The caller needs
gatehouse:UndoRetention and gatehouse:ListRetentionRuns on the repository.

Examples:

  gatehouse retention undo acme/lib 4f6c0e1c2b7d4a39`
}

// Run undoes a run.
func (c *retentionUndoCommand) Run(ctx context.Context, stdout io.Writer, stderr messages, now clock) error {
	name, client, err := c.Repository.connect(ctx, c.awsFlags, now)
	if err != nil {
		return err
	}
	out, err := client.UndoRetention(ctx, &operatormodel.UndoRetentionInput{RepositoryName: name, RunID: c.ID})
	if err != nil {
		return client.explain(err)
	}
	run := &out.Run
	if !c.NoWait {
		if run, err = awaitRun(ctx, client, name, run, "undoing"); err != nil {
			return err
		}
	}
	if run.Message != nil {
		fmt.Fprintln(stderr, *run.Message)
	}
	if c.Output == outputJSON {
		return printJSON(stdout, run)
	}
	_, err = io.WriteString(stdout, runText(run))
	return err
}
