package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

type admissionCommand struct {
	Explain    admissionExplainCommand    `cmd:"" help:"Show which versions of a package you may install, and which rule denies the others."`
	Policy     admissionPolicyCommand     `cmd:"" help:"Print a policy with the rules that you name, such as nothing younger than some days."`
	Except     admissionExceptCommand     `cmd:"" help:"Admit versions that a rule denies, until a time."`
	Quarantine admissionQuarantineCommand `cmd:"" help:"Deny versions to everybody."`
	List       admissionListCommand       `cmd:"" help:"List exceptions and quarantines."`
	End        admissionEndCommand        `cmd:"" help:"End an exception before its time."`
	Release    admissionReleaseCommand    `cmd:"" help:"End a quarantine."`
}

// A scopeArgument names a domain or one repository of it.
type scopeArgument string

// parse returns what is named. The owner is nil if it is the caller's account.
func (s scopeArgument) parse() (scope operatormodel.AdmissionScope, err error) {
	name := string(s)
	if fields := strings.SplitN(name, ":", 6); len(fields) == 6 && fields[0] == "arn" {
		name = strings.TrimPrefix(strings.TrimPrefix(fields[5], "repository/"), "domain/")
		scope.DomainOwner = &fields[4]
	}
	domain, repository, one := strings.Cut(name, "/")
	if domain == "" || one && (repository == "" || strings.Contains(repository, "/")) {
		return scope, usageError{fmt.Errorf("%q names neither a domain nor a repository: write DOMAIN, DOMAIN/REPOSITORY or an ARN", string(s))}
	}
	scope.Domain = domain
	if one {
		scope.Repository = &repository
	}
	return scope, nil
}

// connect returns what is named, and a client of the server.
func (s scopeArgument) connect(ctx context.Context, flags awsFlags, now clock) (operatormodel.AdmissionScope, *operatorClient, error) {
	scope, err := s.parse()
	if err != nil {
		return scope, nil, err
	}
	client, err := flags.operator(ctx, now)
	return scope, client, err
}

// A packageArgument names a package, or one version of it.
type packageArgument string

// parse reads FORMAT/NAME or FORMAT/NAMESPACE/NAME, and @VERSION behind it.
func (p packageArgument) parse() (format string, namespace *string, name string, version *string, err error) {
	text := string(p)
	slash := strings.LastIndexByte(text, '/')
	if at := strings.LastIndexByte(text, '@'); at > slash+1 {
		v := text[at+1:]
		text, version = text[:at], &v
	}
	in := new(operatormodel.ListPackageStatisticsInput)
	if err := namePackage(in, text); err != nil {
		return "", nil, "", nil, err
	}
	if version != nil && *version == "" {
		return "", nil, "", nil, usageError{fmt.Errorf("%q names no version behind the @", string(p))}
	}
	return deref(in.Format), in.Namespace, deref(in.Package), version, nil
}

type admissionExplainCommand struct {
	repositoryFlags
	Package packageArgument `arg:"" help:"The package, or one version: FORMAT/NAME, FORMAT/NAMESPACE/NAME, FORMAT/NAME@VERSION."`
	outputFlag
	awsFlags
}

// Help is what --help shows below the flags.
func (admissionExplainCommand) Help() string {
	return `The server decides as if the caller of this command installed the package now. The caller
needs gatehouse:ExplainAdmission and codeartifact:ReadFromRepository on the repository.
With a version, the exit code is 1 if the version is denied.

Examples:

  gatehouse admission explain acme/app npm/left-pad
  gatehouse admission explain acme/app npm/@acme/ui@1.0.0 --output json`
}

// Run prints what is decided.
func (c *admissionExplainCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	in := new(operatormodel.ExplainAdmissionInput)
	var err error
	if in.RepositoryName, err = c.Repository.parse(); err != nil {
		return err
	}
	if in.Format, in.Namespace, in.Package, in.Version, err = c.Package.parse(); err != nil {
		return err
	}
	client, err := c.operator(ctx, now)
	if err != nil {
		return err
	}
	all := &operatormodel.ExplainAdmissionOutput{Verdicts: []operatormodel.AdmissionVerdict{}}
	for more := true; more; more = in.NextToken != nil {
		page, err := client.ExplainAdmission(ctx, in)
		if err != nil {
			return client.explain(err)
		}
		all.Verdicts, in.NextToken = append(all.Verdicts, page.Verdicts...), page.NextToken
	}
	if c.Output == outputJSON {
		err = printJSON(stdout, all)
	} else {
		table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "VERSION\tPUBLISHED\tDECISION\tREASON")
		for _, v := range all.Verdicts {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", v.Version, whenOr(v.PublishedAt, "unknown"), v.Outcome, v.Reason)
		}
		err = table.Flush()
	}
	if err == nil && in.Version != nil && len(all.Verdicts) > 0 && all.Verdicts[0].Outcome == "denied" {
		return errDenied
	}
	return err
}

// entryFlags name the versions of an exception or a quarantine.
type entryFlags struct {
	Scope   scopeArgument   `arg:"" help:"Where: DOMAIN/REPOSITORY, or DOMAIN for all its repositories, or an ARN."`
	Package packageArgument `arg:"" help:"The package, or one version: FORMAT/NAME, FORMAT/NAMESPACE/NAME, FORMAT/NAME@VERSION."`
	Reason  string          `placeholder:"TEXT" help:"Why. It is shown to those whom it concerns."`
	outputFlag
	awsFlags
}

type admissionExceptCommand struct {
	entryFlags
	For   daysDuration `default:"24h" placeholder:"DURATION" help:"How long, such as 48h or 30d."`
	Until string       `placeholder:"TIME" help:"Until when, such as 2026-12-24T00:00:00Z, instead of --for."`
	Rule  []string     `placeholder:"SID" sep:"none" help:"Suspend the rule with this Sid only; again for another. Without it, all rules."`
}

// Help is what --help shows below the flags.
func (admissionExceptCommand) Help() string {
	return `An exception admits what a rule about versions denies. It does not end a quarantine, and
allows nothing that needs an Allow. One about the same versions and place is replaced. The
caller needs gatehouse:PutAdmissionException on the repository or the domain.

Examples:

  gatehouse admission except acme/app npm/left-pad@1.3.1 --for 72h --reason "security fix"
  gatehouse admission except acme pypi/requests --rule NothingYoungerThan7Days --until 2026-12-24T00:00:00Z`
}

// A daysDuration is a duration that may begin with days, such as 30d or 1d12h.
type daysDuration time.Duration

// UnmarshalText parses it.
func (d *daysDuration) UnmarshalText(text []byte) error {
	const form = "want a duration of at most 366 days, such as 48h, 30d or 1d12h"
	days, rest, ok := strings.Cut(string(text), "d")
	if !ok {
		days, rest = "0", string(text)
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil || n > 366 {
		return errors.New(form)
	}
	var part time.Duration
	if rest != "" {
		if part, err = time.ParseDuration(rest); err != nil || ok && part < 0 {
			return errors.New(form)
		}
	}
	if *d = daysDuration(time.Duration(n)*24*time.Hour + part); *d <= 0 {
		return errors.New(form)
	}
	return nil
}

// Run makes the exception.
func (c *admissionExceptCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	in := &operatormodel.PutAdmissionExceptionInput{Rules: c.Rule, Until: now().Add(time.Duration(c.For)), Reason: optional(c.Reason)}
	var err error
	if c.Until != "" {
		if in.Until, err = time.Parse(time.RFC3339, c.Until); err != nil {
			return usageError{fmt.Errorf("--until %s is not a time such as 2026-12-24T00:00:00Z", c.Until)}
		}
	}
	if in.Format, in.Namespace, in.Package, in.Version, err = c.Package.parse(); err != nil {
		return err
	}
	var client *operatorClient
	in.AdmissionScope, client, err = c.Scope.connect(ctx, c.awsFlags, now)
	if err != nil {
		return err
	}
	out, err := client.PutAdmissionException(ctx, in)
	if err != nil {
		return client.explain(err)
	}
	return c.print(stdout, "exception", &out.Entry)
}

// print prints a new entry.
func (c *entryFlags) print(stdout io.Writer, kind string, e *operatormodel.AdmissionEntry) error {
	if c.Output == outputJSON {
		return printJSON(stdout, e)
	}
	_, err := fmt.Fprintf(stdout, "The %s has the id %s.\n", kind, e.EntryID)
	return err
}

type admissionQuarantineCommand struct{ entryFlags }

// Help is what --help shows below the flags.
func (admissionQuarantineCommand) Help() string {
	return `Versions in quarantine are hidden and refused, whoever asks, until they are released. No
exception admits them. The caller needs gatehouse:PutQuarantine on the repository or the
domain.

Examples:

  gatehouse admission quarantine acme npm/left-pad@1.3.1 --reason "steals tokens"
  gatehouse admission quarantine acme/app pypi/reqeusts`
}

// Run makes the quarantine.
func (c *admissionQuarantineCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	in := &operatormodel.PutQuarantineInput{Reason: optional(c.Reason)}
	var err error
	if in.Format, in.Namespace, in.Package, in.Version, err = c.Package.parse(); err != nil {
		return err
	}
	var client *operatorClient
	in.AdmissionScope, client, err = c.Scope.connect(ctx, c.awsFlags, now)
	if err != nil {
		return err
	}
	out, err := client.PutQuarantine(ctx, in)
	if err != nil {
		return client.explain(err)
	}
	return c.print(stdout, "quarantine", &out.Entry)
}

type admissionListCommand struct {
	Scope scopeArgument `arg:"" help:"Of what: DOMAIN/REPOSITORY, or DOMAIN for all its repositories, or an ARN."`
	outputFlag
	awsFlags
}

// Help is what --help shows below the flags.
func (admissionListCommand) Help() string {
	return `The caller needs gatehouse:ListAdmissionEntries on the repository or the domain.

Examples:

  gatehouse admission list acme
  gatehouse admission list acme/app --output json`
}

// Run prints the entries.
func (c *admissionListCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	scope, client, err := c.Scope.connect(ctx, c.awsFlags, now)
	if err != nil {
		return err
	}
	in := &operatormodel.ListAdmissionEntriesInput{AdmissionScope: scope}
	all := &operatormodel.ListAdmissionEntriesOutput{Entries: []operatormodel.AdmissionEntry{}}
	for more := true; more; more = in.NextToken != nil {
		page, err := client.ListAdmissionEntries(ctx, in)
		if err != nil {
			return client.explain(err)
		}
		all.Entries, in.NextToken = append(all.Entries, page.Entries...), page.NextToken
	}
	if c.Output == outputJSON {
		return printJSON(stdout, all)
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tKIND\tREPOSITORY\tPACKAGE\tVERSION\tRULES\tUNTIL\tREASON")
	for _, e := range all.Entries {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.EntryID, e.Kind, orAll(deref(e.Repository)), packagePath(e.Format, deref(e.Namespace), e.Package),
			orAll(deref(e.Version)), orAll(strings.Join(e.Rules, ", ")), whenOr(e.Until, "-"), deref(e.Reason))
	}
	return table.Flush()
}

func orAll(text string) string {
	if text == "" {
		return "all"
	}
	return text
}

type admissionEndCommand struct {
	Scope scopeArgument `arg:"" help:"Where the exception holds: DOMAIN/REPOSITORY, DOMAIN, or an ARN."`
	ID    string        `arg:"" help:"The id, from gatehouse admission list."`
	awsFlags
}

// Help is what --help shows below the flags.
func (admissionEndCommand) Help() string {
	return `The caller needs gatehouse:DeleteAdmissionException on the repository or the domain.

Example:

  gatehouse admission end acme/app 7bq3…`
}

// Run ends the exception.
func (c *admissionEndCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	scope, client, err := c.Scope.connect(ctx, c.awsFlags, now)
	if err != nil {
		return err
	}
	in := &operatormodel.DeleteAdmissionExceptionInput{AdmissionScope: scope, EntryID: c.ID}
	out, err := client.DeleteAdmissionException(ctx, in)
	if err != nil {
		return client.explain(err)
	}
	_, err = fmt.Fprintf(stdout, "The exception for %s has ended.\n", entryText(&out.Entry))
	return err
}

type admissionReleaseCommand struct {
	Scope scopeArgument `arg:"" help:"Where the quarantine holds: DOMAIN/REPOSITORY, DOMAIN, or an ARN."`
	ID    string        `arg:"" help:"The id, from gatehouse admission list."`
	awsFlags
}

// Help is what --help shows below the flags.
func (admissionReleaseCommand) Help() string {
	return `Rules still count for what is released. The caller needs gatehouse:ReleaseQuarantine on
the repository or the domain.

Example:

  gatehouse admission release acme 7bq3…`
}

// Run ends the quarantine.
func (c *admissionReleaseCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	scope, client, err := c.Scope.connect(ctx, c.awsFlags, now)
	if err != nil {
		return err
	}
	in := &operatormodel.ReleaseQuarantineInput{AdmissionScope: scope, EntryID: c.ID}
	out, err := client.ReleaseQuarantine(ctx, in)
	if err != nil {
		return client.explain(err)
	}
	_, err = fmt.Fprintf(stdout, "%s is released.\n", entryText(&out.Entry))
	return err
}

func entryText(e *operatormodel.AdmissionEntry) string {
	text := packagePath(e.Format, deref(e.Namespace), e.Package)
	if e.Version != nil {
		text += "@" + *e.Version
	}
	return text
}
