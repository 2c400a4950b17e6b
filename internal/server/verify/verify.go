// Package verify checks an installation as fsck checks a file system: the structure of
// the database, every reference in it, and every object of the blob store, byte by byte.
//
// [Run] asks the domain packages what is wrong in their tables ([images.Check],
// [packages.Check], iam.Check), all in one snapshot of the database, and then compares
// the objects that rows name with what the blob store has. It only reads. So it can run
// beside a server; what the server changes meanwhile is looked up again before it is
// reported.
//
// [Repair] does what cannot lose anything: it restores objects that were set aside or
// that a backup has, and writes again what is derived from other rows. It needs an
// installation whose server is stopped.
package verify

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
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/progress"
)

// Objects is what Run reads of a blob store: a [blob.Store], or a view of one.
type Objects interface {
	transfer.Source
	List(ctx context.Context, startAfter string) iter.Seq2[blob.Info, error]
}

// An asideView is a view that tells whether an object was set aside.
type asideView interface {
	IsAside(name string) (bool, error)
}

// Config is what is verified. DB and Blobs are required.
type Config struct {
	DB    *db.DB
	Blobs Objects
	// Keyring is the installation's; nil does not check whether it belongs to the
	// database.
	Keyring iam.AccessKeySecrets
	// Structure checks the database's own structure; nil does not.
	Structure func(ctx context.Context, q db.Querier) ([]string, error)
	// Depth is how much of the objects is read.
	Depth Depth
	// Parallel is how many objects are read at a time; 0 means 4.
	Parallel int
	// Store can be changed by repairs, and Backup has objects that they can use. Both
	// may be nil.
	Store  blob.Store
	Backup transfer.Source
	// Progress may be nil.
	Progress progress.Reporter
}

// A Depth is how much of the objects is read.
type Depth int

const (
	// Content reads all objects and compares their digests.
	Content Depth = iota
	// Sizes compares the sizes only, and reads nothing.
	Sizes
)

// A Summary counts what was verified and found.
type Summary struct {
	Objects  int64 `json:"objects"`  // that rows name
	Bytes    int64 `json:"bytes"`    // of these objects
	Problems int64 `json:"problems"` // see [consistency.Problem]
	Notices  int64 `json:"notices"`
}

const defaultParallel = 4

// Run verifies an installation, and calls report with everything that it finds, one
// after the other. The error means that it could not be verified to the end.
func Run(ctx context.Context, c Config, report func(consistency.Finding)) (Summary, error) {
	if c.Progress == nil {
		c.Progress = progress.Silent
	}
	if c.Parallel == 0 {
		c.Parallel = defaultParallel
	}
	v := &verification{Config: c, report: report}
	for _, step := range []func(context.Context) error{v.database, v.objects, v.orphans} {
		if err := step(ctx); err != nil {
			return v.summary, err
		}
	}
	return v.summary, nil
}

// A verification is one call of Run.
type verification struct {
	Config

	mu      sync.Mutex
	report  func(consistency.Finding)
	summary Summary
}

func (v *verification) found(f consistency.Finding) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if f.Severity == consistency.Problem {
		v.summary.Problems++
	} else {
		v.summary.Notices++
	}
	v.report(f)
}

// database checks the rows.
func (v *verification) database(ctx context.Context) error {
	phase := v.Progress.Begin("database", 0, progress.Items)
	defer phase.End()
	return v.DB.Snapshot(ctx, func(q db.Querier) error {
		if v.Structure != nil {
			wrong, err := v.Structure(ctx, q)
			if err != nil {
				return err
			}
			for _, text := range wrong {
				v.found(consistency.Finding{
					Severity: consistency.Problem, Kind: "damaged-database", Subject: "database",
					Message: "The database file is damaged: " + text + ".",
					Advice:  "Restore the database from a backup. Keep the damaged file until you have what you need.",
				})
			}
		}
		for _, findings := range []consistency.Findings{iam.Check(ctx, q, v.Keyring), images.Check(ctx, q), packages.Check(ctx, q)} {
			for f, err := range findings {
				if err != nil {
					return err
				}
				phase.Add(1)
				v.found(f)
			}
		}
		return nil
	})
}

// A store is a domain's part of the blob store.
type store struct {
	prefix   string
	totals   func(context.Context, db.Querier) (count, bytes int64, err error)
	objects  func(context.Context, db.Querier) consistency.Objects
	named    func(context.Context, db.Querier, []string) ([]string, error)
	describe func(context.Context, db.Querier, string) (string, error)
}

var stores = []store{
	{images.ObjectPrefix, images.ObjectTotals, images.Objects, images.NamedObjects, images.DescribeObject},
	{packages.ObjectPrefix, packages.ObjectTotals, packages.Objects, packages.NamedObjects, packages.DescribeObject},
}

// objects compares the objects that rows name with what the blob store has. It reads
// the rows page by page and not in a snapshot, since it may take hours.
func (v *verification) objects(ctx context.Context) error {
	var total int64
	for _, s := range stores {
		_, bytes, err := s.totals(ctx, v.DB)
		if err != nil {
			return err
		}
		total += bytes
	}
	phase := v.Progress.Begin("blobs", total, progress.Bytes)
	defer phase.End()
	for _, s := range stores {
		err := transfer.Each(ctx, v.Parallel, s.objects(ctx, v.DB), func(ctx context.Context, o consistency.Object) error {
			defer phase.Add(o.Size)
			return v.object(ctx, s, o)
		})
		if err != nil {
			return fmt.Errorf("verify blobs: %w", err)
		}
	}
	return nil
}

func (v *verification) object(ctx context.Context, s store, o consistency.Object) error {
	v.mu.Lock()
	v.summary.Objects++
	v.summary.Bytes += o.Size
	v.mu.Unlock()
	wrong := v.check(ctx, o)
	if wrong != nil && !transfer.IsDamaged(wrong) {
		return wrong
	}
	aside := false
	if view, ok := v.Blobs.(asideView); ok && wrong == nil {
		is, err := view.IsAside(o.Name)
		if err != nil && !errors.Is(err, blob.ErrNotFound) {
			return err
		}
		aside = is
	}
	if wrong == nil && !aside {
		return nil
	}
	// The row may be gone, or have another object by now.
	what, err := s.describe(ctx, v.DB, o.Name)
	if err != nil || what == "" {
		return err
	}
	if aside {
		v.found(v.asideFinding(o, what))
	} else {
		v.found(v.damageFinding(o, what, wrong))
	}
	return nil
}

// check reads an object as far as is wanted.
func (v *verification) check(ctx context.Context, o consistency.Object) error {
	if v.Depth == Content {
		return transfer.Verify(ctx, v.Blobs, o.Name, o.Size, o.Digests...)
	}
	f, err := v.Blobs.Open(ctx, o.Name)
	if err != nil {
		return err
	}
	defer f.Close()
	if f.Size() != o.Size {
		return fmt.Errorf("%w: it has %d bytes instead of %d", transfer.ErrDamaged, f.Size(), o.Size)
	}
	return nil
}

func (v *verification) asideFinding(o consistency.Object, what string) consistency.Finding {
	f := consistency.Finding{
		Severity: consistency.Notice, Kind: "object-aside", Subject: what,
		Message: fmt.Sprintf("The object %s was set aside by a sweep, although a row names it. It is still served.", o.Name),
		Advice:  "Restore it with gatehouse verify --repair while the server is stopped, before sweep.keep has passed.",
	}
	if v.Store != nil {
		f.Fix = &consistency.Fix{Name: "restore the object", Run: func(ctx context.Context, _ *db.DB) error {
			opened, err := v.Store.Open(ctx, o.Name)
			if err != nil {
				return err
			}
			return opened.Close()
		}}
	}
	return f
}

func (v *verification) damageFinding(o consistency.Object, what string, wrong error) consistency.Finding {
	f := consistency.Finding{
		Severity: consistency.Problem, Kind: "damaged-object", Subject: what,
		Message: fmt.Sprintf("The object %s is damaged: %s.", o.Name, strings.TrimPrefix(wrong.Error(), transfer.ErrDamaged.Error()+": ")),
		Advice:  "Push or publish it again, which replaces it; or run gatehouse verify --repair --backup DIR while the server is stopped.",
	}
	if errors.Is(wrong, blob.ErrNotFound) {
		f.Kind, f.Message = "missing-object", fmt.Sprintf("The object %s is missing.", o.Name)
	}
	if v.Store != nil && v.Backup != nil {
		f.Fix = &consistency.Fix{Name: "copy the object from the backup", Run: func(ctx context.Context, _ *db.DB) error {
			return v.replace(ctx, o)
		}}
	}
	return f
}

// replace puts the backup's copy of an object in the place of the damaged one.
func (v *verification) replace(ctx context.Context, o consistency.Object) error {
	if err := transfer.Verify(ctx, v.Backup, o.Name, o.Size, o.Digests...); err != nil {
		return fmt.Errorf("in the backup: %w", err)
	}
	if err := v.Store.Delete(ctx, o.Name); err != nil {
		return err
	}
	return transfer.Copy(ctx, v.Backup, v.Store, o.Name, o.Size, o.Digests...)
}

const (
	// namesAtATime is how many names are looked up at a time.
	namesAtATime = 200
	// shownOrphans is how many orphans are reported each by itself.
	shownOrphans = 100
)

// orphans looks for objects that no row names. They are harmless: clients that gave
// up and killed servers leave them, and the sweep sets them aside.
func (v *verification) orphans(ctx context.Context) error {
	phase := v.Progress.Begin("unused blobs", 0, progress.Items)
	defer phase.End()
	batches := make([][]blob.Info, len(stores))
	count := orphanCount{}
	for info, err := range v.Blobs.List(ctx, "") {
		if err != nil {
			return err
		}
		phase.Add(1)
		for i, s := range stores {
			if !strings.HasPrefix(info.Name, s.prefix) {
				continue
			}
			if batches[i] = append(batches[i], info); len(batches[i]) == namesAtATime {
				if err := v.lookUp(ctx, s, batches[i], &count); err != nil {
					return err
				}
				batches[i] = batches[i][:0]
			}
		}
	}
	for i, s := range stores {
		if err := v.lookUp(ctx, s, batches[i], &count); err != nil {
			return err
		}
	}
	if more := count.n - shownOrphans; more > 0 {
		v.found(consistency.Finding{
			Severity: consistency.Notice, Kind: "orphan", Subject: fmt.Sprintf("%d more objects", more),
			Message: fmt.Sprintf("No row names them. All %d such objects have %d bytes.", count.n, count.bytes), Advice: orphanAdvice,
		})
	}
	return nil
}

const orphanAdvice = "Nothing has to be done: the server sets such objects aside when they are a day or two old."

type orphanCount struct{ n, bytes int64 }

// lookUp reports those of the objects that no row names.
func (v *verification) lookUp(ctx context.Context, s store, batch []blob.Info, count *orphanCount) error {
	if len(batch) == 0 {
		return nil
	}
	names := make([]string, len(batch))
	for i, info := range batch {
		names[i] = info.Name
	}
	named, err := s.named(ctx, v.DB, names)
	if err != nil {
		return err
	}
	known := make(map[string]bool, len(named))
	for _, name := range named {
		known[name] = true
	}
	for _, info := range batch {
		if known[info.Name] {
			continue
		}
		count.n++
		count.bytes += info.Size
		if count.n <= shownOrphans {
			v.found(consistency.Finding{
				Severity: consistency.Notice, Kind: "orphan", Subject: "object " + info.Name,
				Message: fmt.Sprintf("No row names the object, which has %d bytes. A push that was interrupted, or that is going on, leaves such objects.", info.Size),
				Advice:  orphanAdvice,
			})
		}
	}
	return nil
}

// Repair runs the fixes of findings, and returns the indexes of those that were
// repaired. It goes on after a fix that fails; the error joins all failures.
func Repair(ctx context.Context, d *db.DB, findings []consistency.Finding) (repaired map[int]bool, err error) {
	repaired = map[int]bool{}
	var errs []error
	for i, f := range findings {
		if f.Fix == nil {
			continue
		}
		if err := f.Fix.Run(ctx, d); err != nil {
			if ctx.Err() != nil {
				return repaired, ctx.Err()
			}
			errs = append(errs, fmt.Errorf("%s: %s: %w", f.Subject, f.Fix.Name, err))
			continue
		}
		repaired[i] = true
	}
	return repaired, errors.Join(errs...)
}
