// Package migrate moves an installation from one pair of stores to another: between
// SQLite and PostgreSQL, and between local files and S3, in any direction.
//
// [Run] copies the tables and then the blobs, and at the end compares both sides: the
// rows of each table by number and digest, each blob by its own digest when it is
// copied. The tables are copied as they are, by a plan that is derived from the
// migrations (see tables.go); no table is known by name here except those that are not
// copied. So new tables need no change.
//
// The servers of the source must be stopped, since what they wrote meanwhile would be
// lost; if the comparison finds that the source has changed, Run fails.
//
// # Interruption
//
// The target database has a table with the progress of every table until the end.
// Batches of rows and their progress are written in one transaction, and blobs that
// are there are not copied again, so the same call goes on where it was. Until it has
// finished, the table is there, and a server refuses the database ([CheckFinished]).
// Afterwards the same call compares both sides, and succeeds if they are the same.
//
// The package imports the domain packages only for the names of their objects.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/transfer"
	"github.com/gatehouse-registry/gatehouse/internal/server/consistency"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/progress"
)

// Errors of this package.
var (
	// ErrUnfinished means that a database is the target of a migration that has not
	// finished.
	ErrUnfinished = errors.New("the database is the target of a migration that has not finished")
	// ErrNotEmpty means that the target holds something that is not of this migration.
	ErrNotEmpty = errors.New("the target is not empty")
	// ErrChanged means that the source was changed while it was migrated.
	ErrChanged = errors.New("the source was changed while it was migrated")
	// ErrDamaged means that blobs of the source are missing or damaged.
	ErrDamaged = errors.New("blobs of the source are missing or damaged")
)

// Config is what is migrated. All fields except Damaged and Progress are required.
type Config struct {
	// Plan is of the schema that the source has.
	Plan *Plan
	From Source
	To   Target
	// Damaged is what happens with blobs that are missing or damaged in the source.
	Damaged DamagedBlobs
	// Progress may be nil.
	Progress progress.Reporter
}

// A Source is what is migrated. Its servers are stopped.
type Source struct {
	DB    *db.DB
	Blobs transfer.Source
}

// A Target is where it is migrated to. A store that is the same on both sides is left
// alone, and nil here.
type Target struct {
	DB    *db.DB
	Blobs blob.Store
	// Prepare does what else a server needs at the target. It runs when everything is
	// copied and compared, before the target counts as complete, and may run again.
	Prepare func(ctx context.Context) error
}

// DamagedBlobs says what happens with damaged blobs.
type DamagedBlobs int

const (
	// Refuse ends the migration with ErrDamaged after everything else was copied.
	Refuse DamagedBlobs = iota
	// LeaveOut finishes it without them.
	LeaveOut
)

// A Result says what was migrated.
type Result struct {
	Tables, Rows int64
	Objects      int64
	Bytes        int64
	// Damaged are the blobs that were left out, at most [MaxDamaged] of them, with
	// what they are.
	Damaged      []string
	DamagedCount int64
}

// MaxDamaged is how many damaged blobs a result names.
const MaxDamaged = 1000

// parallel is how many blobs are copied at a time: latency counts with S3.
const parallel = 16

// Run migrates an installation. See the package comment.
func Run(ctx context.Context, c Config) (*Result, error) {
	if c.Progress == nil {
		c.Progress = progress.Silent
	}
	m := &migration{Config: c, result: new(Result)}
	if err := m.run(ctx); err != nil {
		return m.result, fmt.Errorf("migrate: %w", err)
	}
	return m.result, nil
}

type migration struct {
	Config

	mu     sync.Mutex
	result *Result
}

func (m *migration) run(ctx context.Context) (err error) {
	finished := false
	if m.To.DB != nil {
		if finished, err = m.begin(ctx); err != nil {
			return err
		}
	}
	if m.To.Blobs != nil { // before the rows, which take long
		if err := m.checkBlobs(ctx); err != nil {
			return err
		}
	}
	if finished {
		return m.confirm(ctx)
	}
	if m.To.DB != nil {
		if err := m.copyTables(ctx); err != nil {
			return err
		}
	}
	if m.To.Blobs != nil {
		if err := m.copyBlobs(ctx); err != nil {
			return err
		}
	}
	if m.To.DB == nil {
		return m.To.Prepare(ctx)
	}
	difference, err := m.compare(ctx)
	if err != nil {
		return err
	}
	if difference != "" { // the next run copies anew
		return errors.Join(fmt.Errorf("%w: %s. Stop all servers of the source and migrate again", ErrChanged, difference), m.forget(ctx))
	}
	if err := m.To.Prepare(ctx); err != nil {
		return err
	}
	return m.finish(ctx)
}

// objects yields the objects that a database names.
func objects(ctx context.Context, q db.Querier) consistency.Objects {
	return func(yield func(consistency.Object, error) bool) {
		for _, of := range []consistency.Objects{images.Objects(ctx, q), packages.Objects(ctx, q)} {
			for o, err := range of {
				if !yield(o, err) || err != nil {
					return
				}
			}
		}
	}
}

// namesAtATime is how many names are looked up at a time.
const namesAtATime = 200

// checkBlobs returns ErrNotEmpty if the target store has an object that the source does
// not name. What an interrupted migration has copied, the source names.
func (m *migration) checkBlobs(ctx context.Context) error {
	phase := m.Progress.Begin("target blobs", 0, progress.Items)
	defer phase.End()
	var batch []string
	for info, err := range m.To.Blobs.List(ctx, "") {
		if err != nil {
			return err
		}
		phase.Add(1)
		if batch = append(batch, info.Name); len(batch) == namesAtATime {
			if err := m.checkNamed(ctx, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return m.checkNamed(ctx, batch)
}

func (m *migration) checkNamed(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	known := map[string]bool{}
	for _, named := range []func(context.Context, db.Querier, []string) ([]string, error){images.NamedObjects, packages.NamedObjects} {
		found, err := named(ctx, m.From.DB, names)
		if err != nil {
			return err
		}
		for _, name := range found {
			known[name] = true
		}
	}
	for _, name := range names {
		if !known[name] {
			return fmt.Errorf("%w: its blob store has the object %s, which the source does not know. Choose an empty folder or another prefix", ErrNotEmpty, name)
		}
	}
	return nil
}

// copyBlobs copies the blobs that the source names, each verified by its digests.
func (m *migration) copyBlobs(ctx context.Context) error {
	var total int64
	for _, totals := range []func(context.Context, db.Querier) (int64, int64, error){images.ObjectTotals, packages.ObjectTotals} {
		_, bytes, err := totals(ctx, m.From.DB)
		if err != nil {
			return err
		}
		total += bytes
	}
	phase := m.Progress.Begin("blobs", total, progress.Bytes)
	defer phase.End()
	err := transfer.Each(ctx, parallel, iter.Seq2[consistency.Object, error](objects(ctx, m.From.DB)), func(ctx context.Context, o consistency.Object) error {
		defer phase.Add(o.Size)
		return m.copyBlob(ctx, o)
	})
	if err == nil && m.result.DamagedCount > 0 && m.Damaged == Refuse {
		err = fmt.Errorf("%w: %d, such as %s. Everything else is copied. Run gatehouse verify on the source, push or restore what is missing, and migrate again; or leave them out with --skip-damaged",
			ErrDamaged, m.result.DamagedCount, m.result.Damaged[0])
	}
	return err
}

func (m *migration) copyBlob(ctx context.Context, o consistency.Object) error {
	has, err := m.hasBlob(ctx, o)
	if err == nil && !has {
		err = transfer.Copy(ctx, m.From.Blobs, m.To.Blobs, o.Name, o.Size, o.Digests...)
	}
	if transfer.IsDamaged(err) {
		return m.damaged(ctx, o, err)
	}
	if err != nil {
		return fmt.Errorf("blob %s: %w", o.Name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.result.Objects++
	m.result.Bytes += o.Size
	return nil
}

// hasBlob reports whether the target has an object already. Only complete, verified
// objects are committed.
func (m *migration) hasBlob(ctx context.Context, o consistency.Object) (bool, error) {
	f, err := m.To.Blobs.Open(ctx, o.Name)
	if errors.Is(err, blob.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	size := f.Size()
	if err := f.Close(); err != nil || size == o.Size {
		return true, err
	}
	return false, m.To.Blobs.Delete(ctx, o.Name)
}

func (m *migration) damaged(ctx context.Context, o consistency.Object, why error) error {
	var what []string
	for _, describe := range []func(context.Context, db.Querier, string) (string, error){images.DescribeObject, packages.DescribeObject} {
		text, err := describe(ctx, m.From.DB, o.Name)
		if err != nil {
			return err
		}
		if text != "" {
			what = append(what, text)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.result.DamagedCount++
	if len(m.result.Damaged) < MaxDamaged {
		m.result.Damaged = append(m.result.Damaged, strings.Join(what, ", ")+": "+why.Error())
	}
	return nil
}
