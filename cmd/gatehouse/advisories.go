package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

type advisoriesCommand struct {
	Import  advisoriesImportCommand  `cmd:"" help:"Import advisories from files of OSV."`
	Refresh advisoriesRefreshCommand `cmd:"" help:"Get what is new from the addresses of the configuration, now."`
	Status  advisoriesStatusCommand  `cmd:"" help:"Show the addresses that advisories come from, and how they are."`
	List    advisoriesListCommand    `cmd:"" help:"List the advisories about a package."`
	Delete  advisoriesDeleteCommand  `cmd:"" help:"Delete advisories."`
}

// The bounds of an import.
const (
	maxAdvisoryFile  = 512 << 10 // bytes of a document that is sent
	maxAdvisoryBatch = 600 << 10 // bytes of the documents of a request, which are escaped in it
	maxBatchFiles    = 500
)

type advisoriesImportCommand struct {
	Sources []string `arg:"" name:"source" help:"Files, folders with files, or zip archives of documents of OSV in JSON."`
	outputFlag
	awsFlags
}

// Help is what --help shows below the flags.
func (advisoriesImportCommand) Help() string {
	return `Documents that are there already and are not newer change nothing, so the same files can be
imported again and again. A document that its authors withdrew removes the advisory. Those
about ecosystems that neither package repositories nor scans of images know are ignored. The
caller needs gatehouse:ImportAdvisories. The exit code is 1 if a document was refused.

Examples:

  gatehouse advisories import npm.zip
  gatehouse advisories import debian.zip alpine.zip go.zip
  gatehouse advisories import ./advisories/`
}

// Run sends the documents.
func (c *advisoriesImportCommand) Run(ctx context.Context, stdout io.Writer, stderr messages, now clock) error {
	client, err := c.operator(ctx, now)
	if err != nil {
		return err
	}
	batch := &advisoryBatch{send: func(in *operatormodel.ImportAdvisoriesInput) (*operatormodel.ImportAdvisoriesOutput, error) {
		out, err := client.ImportAdvisories(ctx, in)
		if err != nil {
			return nil, client.explain(err)
		}
		return out, nil
	}, stderr: stderr}
	for _, source := range c.Sources {
		if err := eachAdvisory(source, batch.add); err != nil {
			return err
		}
	}
	if err := batch.flush(); err != nil {
		return err
	}
	t := &batch.total
	if c.Output == outputJSON {
		if err := printJSON(stdout, map[string]int64{"imported": t.Imported, "unchanged": t.Unchanged, "withdrawn": t.Withdrawn, "ignored": t.Ignored, "refused": batch.refused}); err != nil {
			return err
		}
	} else if _, err := fmt.Fprintf(stdout, "%d imported, %d unchanged, %d withdrawn, %d ignored, %d refused.\n", t.Imported, t.Unchanged, t.Withdrawn, t.Ignored, batch.refused); err != nil {
		return err
	}
	if batch.refused > 0 {
		return errReported
	}
	return nil
}

// An advisoryBatch collects documents and sends them.
type advisoryBatch struct {
	send   func(*operatormodel.ImportAdvisoriesInput) (*operatormodel.ImportAdvisoriesOutput, error)
	stderr io.Writer

	in      operatormodel.ImportAdvisoriesInput
	names   []string
	size    int
	total   operatormodel.ImportAdvisoriesOutput
	refused int64
}

func (b *advisoryBatch) add(name string, document []byte) error {
	if len(document) > maxAdvisoryFile {
		b.refuse(name, fmt.Sprintf("it has more than %d bytes", maxAdvisoryFile))
		return nil
	}
	if b.size+len(document) > maxAdvisoryBatch || len(b.names) == maxBatchFiles {
		if err := b.flush(); err != nil {
			return err
		}
	}
	b.in.Documents, b.names, b.size = append(b.in.Documents, string(document)), append(b.names, name), b.size+len(document)
	return nil
}

func (b *advisoryBatch) refuse(name, reason string) {
	b.refused++
	fmt.Fprintf(b.stderr, "%s is refused: %s\n", name, reason)
}

func (b *advisoryBatch) flush() error {
	if len(b.names) == 0 {
		return nil
	}
	out, err := b.send(&b.in)
	if err != nil {
		return err
	}
	b.total.Imported += out.Imported
	b.total.Unchanged += out.Unchanged
	b.total.Withdrawn += out.Withdrawn
	b.total.Ignored += out.Ignored
	for _, r := range out.Refused {
		if r.Index >= 0 && r.Index < int64(len(b.names)) {
			b.refuse(b.names[r.Index], r.Reason)
		}
	}
	b.in.Documents, b.names, b.size = nil, nil, 0
	return nil
}

// eachAdvisory calls add with each document of a file, a folder or a zip archive. A
// document is cut off one byte after the largest size that is accepted.
func eachAdvisory(source string, add func(name string, document []byte) error) error {
	info, err := os.Stat(source)
	if err != nil {
		return usageError{err}
	}
	switch {
	case info.IsDir():
		return filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || !strings.HasSuffix(path, ".json") {
				return err
			}
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			return addAdvisory(path, f, add)
		})
	case strings.HasSuffix(strings.ToLower(source), ".zip"):
		z, err := zip.OpenReader(source)
		if err != nil {
			return usageError{fmt.Errorf("%s: %w", source, err)}
		}
		defer z.Close()
		for _, entry := range z.File {
			if entry.FileInfo().IsDir() || !strings.HasSuffix(entry.Name, ".json") {
				continue
			}
			f, err := entry.Open()
			if err != nil {
				return fmt.Errorf("%s in %s: %w", entry.Name, source, err)
			}
			err = addAdvisory(entry.Name, f, add)
			if err := errors.Join(err, f.Close()); err != nil {
				return fmt.Errorf("%s: %w", source, err)
			}
		}
		return nil
	}
	f, err := os.Open(source)
	if err != nil {
		return err
	}
	defer f.Close()
	return addAdvisory(source, f, add)
}

func addAdvisory(name string, f io.Reader, add func(string, []byte) error) error {
	document, err := io.ReadAll(io.LimitReader(f, maxAdvisoryFile+1))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return add(name, document)
}

type advisoriesListCommand struct {
	Package packageArgument `arg:"" help:"The package: FORMAT/NAME or FORMAT/NAMESPACE/NAME."`
	outputFlag
	awsFlags
}

// Help is what --help shows below the flags.
func (advisoriesListCommand) Help() string {
	return `The caller needs gatehouse:ListAdvisories.

Examples:

  gatehouse advisories list npm/left-pad
  gatehouse advisories list maven/com.acme/core --output json
  gatehouse advisories list Debian:12/openssl`
}

// Run prints the advisories.
func (c *advisoriesListCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	in := new(operatormodel.ListAdvisoriesInput)
	var version *string
	var err error
	if in.Format, in.Namespace, in.Package, version, err = c.Package.parse(); err != nil {
		return err
	}
	if version != nil {
		return usageError{errors.New("name a package without a version")}
	}
	client, err := c.operator(ctx, now)
	if err != nil {
		return err
	}
	all := &operatormodel.ListAdvisoriesOutput{Advisories: []operatormodel.Advisory{}}
	for more := true; more; more = in.NextToken != nil {
		page, err := client.ListAdvisories(ctx, in)
		if err != nil {
			return client.explain(err)
		}
		all.Advisories, all.TotalCount, in.NextToken = append(all.Advisories, page.Advisories...), page.TotalCount, page.NextToken
	}
	if c.Output == outputJSON {
		return printJSON(stdout, all)
	}
	if len(all.Advisories) == 0 {
		_, err := fmt.Fprintln(stdout, c.none(all.TotalCount))
		return err
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tSEVERITY\tAFFECTED\tSUMMARY")
	for _, a := range all.Advisories {
		severity := a.Severity
		if a.Malware {
			severity = "malware"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", a.AdvisoryID, severity, strings.Join(a.Affected, ", "), a.Summary)
	}
	return table.Flush()
}

// none says that there are no advisories, and what else could be meant.
func (c *advisoriesListCommand) none(all int64) string {
	text := fmt.Sprintf("There are no advisories about %s.", string(c.Package))
	format, _, _ := strings.Cut(string(c.Package), "/")
	family, release, _ := strings.Cut(format, ":")
	switch {
	case all == 0:
		text = "The server has no advisories. Import some with gatehouse advisories import."
	case strings.EqualFold(family, "debian") && (release == "" || family != "Debian"):
		text += " Name the release as OSV does: Debian:12/openssl."
	case strings.EqualFold(family, "ubuntu") && (release == "" || family != "Ubuntu"):
		text += " Name the release as OSV does: Ubuntu:24.04/openssl."
	case strings.EqualFold(family, "alpine") && (!strings.HasPrefix(release, "v") || family != "Alpine"):
		text += " Name the release as OSV does: Alpine:v3.22/openssl."
	}
	return text
}

type advisoriesDeleteCommand struct {
	ID []string `arg:"" name:"id" help:"The ids, such as GHSA-xxxx-xxxx-xxxx."`
	awsFlags
}

// Help is what --help shows below the flags.
func (advisoriesDeleteCommand) Help() string {
	return `The next import brings them back if its files have them. The caller needs
gatehouse:DeleteAdvisories.

Example:

  gatehouse advisories delete MAL-2026-1234`
}

// Run deletes the advisories.
func (c *advisoriesDeleteCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	client, err := c.operator(ctx, now)
	if err != nil {
		return err
	}
	out, err := client.DeleteAdvisories(ctx, &operatormodel.DeleteAdvisoriesInput{AdvisoryIDs: c.ID})
	if err != nil {
		return client.explain(err)
	}
	_, err = fmt.Fprintf(stdout, "%d of %d advisories deleted.\n", out.Deleted, len(c.ID))
	return err
}
