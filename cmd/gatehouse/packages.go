package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

type packagesCommand struct {
	Stats packagesStatsCommand `cmd:"" help:"Show how often packages and versions were downloaded, and when last."`
}

// A repositoryArgument names a package repository as an argument of a command.
type repositoryArgument string

// parse returns what the argument names. The owner is nil if it is the caller's account.
func (r repositoryArgument) parse() (n operatormodel.RepositoryName, err error) {
	name := string(r)
	if fields := strings.SplitN(name, ":", 6); len(fields) == 6 && fields[0] == "arn" {
		name = strings.TrimPrefix(fields[5], "repository/")
		n.DomainOwner = &fields[4]
	}
	var ok bool
	n.Domain, n.Repository, ok = strings.Cut(name, "/")
	if !ok || n.Domain == "" || n.Repository == "" || strings.Contains(n.Repository, "/") {
		return n, usageError{fmt.Errorf("%q does not name a repository: write DOMAIN/REPOSITORY or its ARN", string(r))}
	}
	return n, nil
}

// connect returns what the argument names, and the client for requests about it.
func (r repositoryArgument) connect(ctx context.Context, flags awsFlags, now clock) (operatormodel.RepositoryName, *operatorClient, error) {
	name, err := r.parse()
	if err != nil {
		return name, nil, err
	}
	client, err := flags.operator(ctx, now)
	return name, client, err
}

type packagesStatsCommand struct {
	Repository repositoryArgument `arg:"" help:"The repository: DOMAIN/REPOSITORY, or its ARN if another account owns the domain."`
	Package    string             `arg:"" optional:"" help:"Show the versions of this package: FORMAT/NAME or FORMAT/NAMESPACE/NAME."`
	outputFlag
	awsFlags
}

// Help is what --help shows below the flags.
func (packagesStatsCommand) Help() string {
	return `Counted are the downloads of whole assets from the repository, also through repositories
that have it as an upstream, until they keep the version themselves. Servers store their
counts once a minute. The caller needs gatehouse:ListPackageStatistics on the repository.

Examples:

  gatehouse packages stats acme/lib
  gatehouse packages stats acme/lib npm/@acme/ui
  gatehouse packages stats acme/lib maven/com.acme/core --output json`
}

// Run prints the downloads of packages or versions.
func (c *packagesStatsCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	in := new(operatormodel.ListPackageStatisticsInput)
	if c.Package != "" {
		if err := namePackage(in, c.Package); err != nil {
			return err
		}
	}
	var client *operatorClient
	var err error
	if in.RepositoryName, client, err = c.Repository.connect(ctx, c.awsFlags, now); err != nil {
		return err
	}
	all := new(operatormodel.ListPackageStatisticsOutput)
	for more := true; more; more = in.NextToken != nil {
		page, err := client.ListPackageStatistics(ctx, in)
		if err != nil {
			return client.explain(err)
		}
		all.Packages, all.Versions, in.NextToken = append(all.Packages, page.Packages...), append(all.Versions, page.Versions...), page.NextToken
	}
	if c.Output == outputJSON {
		return printJSON(stdout, all)
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	if c.Package == "" {
		fmt.Fprintln(table, "PACKAGE\tVERSIONS\tDOWNLOADS\tLAST DOWNLOAD")
		for _, p := range all.Packages {
			fmt.Fprintf(table, "%s\t%d\t%d\t%s\n", packagePath(p.Format, deref(p.Namespace), p.Package), p.VersionCount, p.Downloads, whenOr(p.LastDownloadAt, "never"))
		}
	} else {
		fmt.Fprintln(table, "VERSION\tSTATUS\tPUBLISHED\tDOWNLOADS\tLAST DOWNLOAD")
		for _, v := range all.Versions {
			fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\n", v.Version, v.Status, whenOr(&v.PublishedAt, ""), v.Downloads, whenOr(v.LastDownloadAt, "never"))
		}
	}
	return table.Flush()
}

// namePackage puts a package into a request.
func namePackage(in *operatormodel.ListPackageStatisticsInput, path string) error {
	parts := strings.Split(path, "/")
	if len(parts) < 2 || len(parts) > 3 {
		return usageError{fmt.Errorf("%q does not name a package: write FORMAT/NAME or FORMAT/NAMESPACE/NAME, such as npm/react or maven/com.acme/core", path)}
	}
	in.Format, in.Package = optional(parts[0]), optional(parts[len(parts)-1])
	if in.Package == nil {
		return usageError{fmt.Errorf("%q has no name after the last slash", path)}
	}
	if len(parts) == 3 {
		in.Namespace = optional(parts[1])
		if parts[0] == "npm" {
			in.Namespace = optional(strings.TrimPrefix(parts[1], "@"))
		}
	}
	return nil
}

// packagePath is a package as it is written on the command line.
func packagePath(format, namespace, name string) string {
	switch {
	case namespace == "":
		return format + "/" + name
	case format == "npm":
		return format + "/@" + namespace + "/" + name
	}
	return format + "/" + namespace + "/" + name
}

// whenOr is a time for a table, or another text if there is none.
func whenOr(t *time.Time, none string) string {
	if t == nil {
		return none
	}
	return t.UTC().Format("2006-01-02 15:04Z")
}
