// Package consistency has the types in which the domain packages say what they
// store and what is wrong with it.
//
// Each domain package has a function Check, which reads all its tables and yields a
// [Finding] for everything that does not fit together, and a function Objects, which
// yields the [Object]s of the blob store that its rows name. Package verify runs
// both, and compares the objects with the rows. Package backup copies the objects.
// Package migrate moves them.
//
// The functions only read. They read page by page, so the memory that they need does
// not depend on the number of rows. They may run while a server changes the
// database, if they read through a snapshot: see [db.DB.Snapshot].
package consistency

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A Severity says how much a [Finding] matters.
type Severity int

const (
	// Notice is something that a running server removes or corrects by itself.
	Notice Severity = iota
	// Problem is damage: something that was stored is lost, wrong, or not found.
	Problem
)

// String returns "notice" or "problem".
func (s Severity) String() string {
	if s == Notice {
		return "notice"
	}
	return "problem"
}

// A Finding is one thing that is wrong.
type Finding struct {
	Severity Severity
	// Kind is a short name for programs: "missing-object", "dangling-tag".
	Kind string
	// Subject is what is affected: an ARN, with a tag, digest or version if it has
	// one.
	Subject string
	// Message says what is wrong, and Advice what to do, in whole sentences.
	Message string
	Advice  string
	// Fix repairs it; nil if only a person can.
	Fix *Fix
}

// A Fix is a repair that loses nothing that a client has stored.
type Fix struct {
	// Name says what it does: "record again what the manifest says".
	Name string
	// Run does it. It decides by what it sees then, not by the finding.
	Run func(ctx context.Context, d *db.DB) error
}

// An Object is an object of the blob store that a row names.
type Object struct {
	Name string
	// Size is in bytes.
	Size int64
	// Digests are of the content, "sha256:<hex>". There is at least one.
	Digests []string
}

// Findings is a sequence of findings. It ends after the first error.
type Findings = iter.Seq2[Finding, error]

// errStopped means that whoever reads the findings wants no more.
var errStopped = errors.New("stopped")

// A Reporter is to what a check reports. Its methods return an error when no more is
// wanted, and then the check returns it.
type Reporter struct {
	yield func(Finding, error) bool
}

// Report reports a finding.
func (r *Reporter) Report(f Finding) error {
	if !r.yield(f, nil) {
		return errStopped
	}
	return nil
}

// Problem reports damage. The message is made of format and args.
func (r *Reporter) Problem(kind, subject, advice, format string, args ...any) error {
	return r.Report(Finding{Severity: Problem, Kind: kind, Subject: subject, Message: fmt.Sprintf(format, args...), Advice: advice})
}

// Check returns what the checks report, which run one after the other. An error of one
// of them ends the sequence; what says in it which tables were checked.
func Check(what string, checks func(*Reporter) []func() error) Findings {
	return func(yield func(Finding, error) bool) {
		for _, check := range checks(&Reporter{yield}) {
			err := check()
			switch {
			case errors.Is(err, errStopped):
				return
			case err != nil:
				yield(Finding{}, fmt.Errorf("check %s: %w", what, err))
				return
			}
		}
	}
}

// Objects is a sequence of objects in the order of their names. It ends after the
// first error.
type Objects = iter.Seq2[Object, error]

// objectsPage is the number of objects that [ReadObjects] reads at a time.
const objectsPage = 1000

// ReadObjects returns the objects that scan reads from the rows of a query, page by
// page. The query orders them by name. Its parameters are the name after which a page
// begins and the number of rows.
func ReadObjects(ctx context.Context, q db.Querier, scan func(db.Row) (Object, error), query string) Objects {
	return func(yield func(Object, error) bool) {
		for last := ""; ; {
			page, err := db.All(ctx, q, scan, query, last, objectsPage)
			if err != nil {
				yield(Object{}, err)
				return
			}
			for _, o := range page {
				if !yield(o, nil) {
					return
				}
			}
			if len(page) < objectsPage {
				return
			}
			last = page[len(page)-1].Name
		}
	}
}
