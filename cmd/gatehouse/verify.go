package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/backup"
	"github.com/gatehouse-registry/gatehouse/internal/server/consistency"
	"github.com/gatehouse-registry/gatehouse/internal/server/verify"
)

type verifyCommand struct {
	dataFlags  `embed:""`
	Quick      bool   `help:"Compare the sizes of blobs only, and do not read them."`
	Repair     bool   `help:"Repair what can be repaired without losing anything. The server must be stopped."`
	Backup     string `placeholder:"DIR" help:"With --repair, a backup folder from which missing and damaged blobs are copied."`
	Parallel   int    `default:"4" placeholder:"N" help:"Blobs that are read at a time (${default})."`
	outputFlag `embed:""`
}

// Help is what --help shows below the flags.
func (verifyCommand) Help() string {
	return `It checks the structure of the database, everything in it that refers to something else (tags, manifests, layers, package versions, assets, policies, groups, keys), and the size and digest of every blob. It only reads, so it can run beside the server; it takes as long as reading all blobs takes.

A problem is something that is lost or wrong; a notice is something that costs nothing or that the server corrects. --repair restores blobs that were set aside or that the backup has, and records again what is derived from other rows. It deletes nothing.

Exit code: 0 no problem, 1 a problem, 2 the installation could not be verified.

Examples:

  gatehouse verify --data /var/lib/gatehouse
  gatehouse verify --config /etc/gatehouse/gatehouse.yaml --quick --output json
  gatehouse verify --data /var/lib/gatehouse --repair --backup /mnt/backup/gatehouse`
}

// maxFindings is how many findings one run prints or repairs.
const maxFindings = 10_000

// A verifyReport is the answer for programs.
type verifyReport struct {
	verify.Summary
	Repaired int64           `json:"repaired"`
	Findings []verifyFinding `json:"findings"`
}

type verifyFinding struct {
	Severity string `json:"severity"`
	Kind     string `json:"kind"`
	Subject  string `json:"subject"`
	Message  string `json:"message"`
	Advice   string `json:"advice,omitempty"`
	Repaired bool   `json:"repaired,omitempty"`
}

// Run verifies an installation.
func (c *verifyCommand) Run(ctx context.Context, stdout io.Writer, stderr messages) error {
	if c.Backup != "" && !c.Repair {
		return usageError{errors.New("--backup is for --repair")}
	}
	report, err := c.verify(ctx, stderr)
	if err != nil {
		return usageError{err}
	}
	if c.Output == outputJSON {
		err = printJSON(stdout, report)
	} else {
		err = report.writeText(stdout)
	}
	if err == nil && report.Problems > 0 {
		return errDenied // an answer, and not a failure
	}
	return err
}

func (c *verifyCommand) verify(ctx context.Context, stderr messages) (*verifyReport, error) {
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	open := app.OpenStores
	if c.Repair {
		open = app.OpenStoresForRepair
	}
	stores, err := open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer stores.Close()
	config := stores.Verification()
	config.Parallel = c.Parallel
	if c.Quick {
		config.Depth = verify.Sizes
	}
	if c.Backup != "" {
		blobs, err := backup.OpenBlobs(c.Backup)
		if err != nil {
			return nil, err
		}
		defer blobs.Close()
		config.Backup = blobs
	}
	bars, end := newProgress(stderr)
	defer end()
	config.Progress = bars
	var findings []consistency.Finding
	report := &verifyReport{Findings: []verifyFinding{}}
	report.Summary, err = verify.Run(ctx, config, func(f consistency.Finding) {
		if len(findings) < maxFindings {
			findings = append(findings, f)
		}
	})
	if err != nil {
		return nil, err
	}
	end()
	var repaired map[int]bool
	if c.Repair {
		if repaired, err = verify.Repair(ctx, config.DB, findings); err != nil {
			fmt.Fprintf(stderr, "gatehouse: not everything could be repaired: %v\n", err)
		}
	}
	for i, f := range findings {
		report.Findings = append(report.Findings, verifyFinding{f.Severity.String(), f.Kind, f.Subject, f.Message, f.Advice, repaired[i]})
		if repaired[i] {
			report.Repaired++
			if f.Severity == consistency.Problem {
				report.Problems--
			} else {
				report.Notices--
			}
		}
	}
	return report, nil
}

func (r *verifyReport) writeText(w io.Writer) error {
	var errs []error
	print := func(format string, args ...any) {
		_, err := fmt.Fprintf(w, format, args...)
		errs = append(errs, err)
	}
	for _, f := range r.Findings {
		if f.Repaired {
			print("repaired: %s: %s\n", f.Subject, f.Message)
		} else {
			print("%s: %s: %s\n    %s\n", f.Severity, f.Subject, f.Message, f.Advice)
		}
	}
	if more := r.Problems + r.Notices + r.Repaired - int64(len(r.Findings)); more > 0 {
		print("and %d more\n", more)
	}
	print("%s of %s: %s, %s", count(r.Objects, "blob"), size(r.Bytes), count(r.Problems, "problem"), count(r.Notices, "notice"))
	if r.Repaired > 0 {
		print(", %d repaired", r.Repaired)
	}
	print("\n")
	return errors.Join(errs...)
}
