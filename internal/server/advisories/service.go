package advisories

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/benbjohnson/immutable"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// MaxAdvisories is how many documents are kept, at most: all are in memory.
const MaxAdvisories = 500_000

// maxImport is how many documents one import has, at most.
const maxImport = 1000

// resource is what operators need permissions on.
const resource = "advisory/*"

// Operators decides who may operate the installation. It is installation.Operators.
type Operators interface {
	Authorize(ctx context.Context, operation, resource string) error
}

// Config has what a [Service] needs. DB, Operators and Now are required.
type Config struct {
	DB *db.DB
	// Feed keeps the servers on the database current. nil means that this service is the
	// only one on it.
	Feed      *changefeed.Feed
	Operators Operators
	Now       func() time.Time
	// OnChange is called in each transaction that changes advisories. Optional.
	OnChange func(context.Context, *db.Tx) error
	// Sources are the addresses that advisories come from, with a queue to fetch them in.
	Sources []Source
	Work    *work.Queue
	// Every is how often the sources are asked.
	Every time.Duration
	// SpoolDir is the folder for temporary files. Empty means that of the system.
	SpoolDir string
	// Audit writes the record of a refresh that changed something. nil writes none.
	Audit func(ctx context.Context, event, resource string, params map[string]any) error
	Log   *slog.Logger // nil discards
}

// A Service keeps advisories. It is safe for concurrent use.
type Service struct {
	db        *db.DB
	feed      *changefeed.Feed
	operators Operators
	now       func() time.Time
	onChange  func(context.Context, *db.Tx) error
	config    Config // for the sources
	metrics   *metrics

	changing changefeed.Turn // held while the index is replaced
	index    atomic.Pointer[index]
}

// An index has all advisories. It is immutable and persistent.
type index struct {
	revision  uint64
	byPackage *immutable.Map[string, []*packages.Advisory] // by packages.PackageID.Key
	byID      *immutable.Map[string, indexed]
	formats   map[string]int // how many packages of each format it is about
	changed   time.Time
}

// An indexed document is what the index knows of a document.
type indexed struct {
	modified time.Time
	parser   int
	packages []string // keys
}

// New applies the migrations, loads the index and returns the service.
func New(ctx context.Context, c Config) (*Service, error) {
	if err := c.DB.Migrate(ctx, Migrations()...); err != nil {
		return nil, fmt.Errorf("advisories: %w", err)
	}
	if c.Feed == nil {
		var err error
		if c.Feed, err = changefeed.Alone(ctx, c.DB); err != nil {
			return nil, err
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{db: c.DB, feed: c.Feed, operators: c.Operators, now: c.Now, onChange: c.OnChange, config: c, changing: changefeed.NewTurn()}
	s.metrics = newMetrics(s)
	c.Feed.Follow(scope, follower{s})
	s.index.Store(&index{byPackage: immutable.NewMap[string, []*packages.Advisory](nil), byID: immutable.NewMap[string, indexed](nil), formats: map[string]int{}})
	if err := (follower{s}).Reload(ctx); err != nil {
		return nil, fmt.Errorf("advisories: load: %w", err)
	}
	return s, nil
}

// About implements [packages.Advisories].
func (s *Service) About(id packages.PackageID) []*packages.Advisory {
	all, _ := s.index.Load().byPackage.Get(id.Key())
	return all
}

// Revision implements [packages.Advisories].
func (s *Service) Revision() uint64 { return s.index.Load().revision }

// Empty implements [packages.Advisories].
func (s *Service) Empty() bool { return s.index.Load().byID.Len() == 0 }

// An ImportResult says what became of the documents of an import.
type ImportResult struct {
	Imported  int // new, or newer than what was there
	Unchanged int // as new as what was there, or older
	Withdrawn int // removed, because their authors withdrew them
	Ignored   int // about no package that can be here
	// Refused are the documents that cannot be read, by their place in the import.
	Refused map[int]string `json:"-"`
}

// Import stores documents of OSV. One that cannot be read is refused, and the others are
// stored. gatehouse:ImportAdvisories on advisory/*.
func (s *Service) Import(ctx context.Context, documents [][]byte) (ImportResult, error) {
	if err := s.operators.Authorize(ctx, "ImportAdvisories", resource); err != nil {
		return ImportResult{}, err
	}
	if len(documents) == 0 || len(documents) > maxImport {
		return ImportResult{}, fault.New(fault.Invalid, "Validation", "Import 1 to %d documents at a time.", maxImport)
	}
	return s.store(ctx, documents)
}

// store stores documents, whoever asks for it.
func (s *Service) store(ctx context.Context, documents [][]byte) (ImportResult, error) {
	refused := map[int]string{}
	latest := map[string]*Parsed{} // of documents with the same id, the one that was modified last
	ignored, repeated := 0, 0
	for i, text := range documents {
		p, err := Parse(text)
		switch {
		case err != nil:
			refused[i] = err.Error()
			continue
		case len(p.Packages) == 0 && !p.Withdrawn:
			ignored++
			continue
		}
		if before := latest[p.ID]; before != nil {
			repeated++
			if before.Modified.After(p.Modified) {
				continue
			}
		}
		latest[p.ID] = p
	}
	unchanged := repeated
	known := s.index.Load().byID
	for id, p := range latest {
		before, ok := known.Get(id)
		switch {
		case ok && !p.Withdrawn && !p.replaces(before), ok && p.Modified.Before(before.modified):
			unchanged++
		case !ok && p.Withdrawn:
			ignored++
		default:
			continue
		}
		delete(latest, id)
	}
	out := ImportResult{Ignored: ignored, Unchanged: unchanged, Refused: refused}
	if len(latest) == 0 {
		return out, nil // a database of OSV that is imported again has little that is new
	}
	err := s.change(ctx, func(tx *db.Tx) (changed []string, err error) {
		out = ImportResult{Ignored: ignored, Unchanged: unchanged, Refused: refused}
		for _, id := range slices.Sorted(maps.Keys(latest)) {
			wrote, err := s.write(ctx, tx, latest[id], &out)
			if err != nil {
				return nil, err
			}
			if wrote {
				changed = append(changed, id)
			}
		}
		n, err := db.One(ctx, tx, db.Scalar[int64], `SELECT count(*) FROM advisory`)
		if err == nil && n > MaxAdvisories {
			err = fault.New(fault.Limit, "ServiceQuotaExceeded", "At most %d advisories are kept. Import those of the ecosystems that you use, or delete some.", MaxAdvisories)
		}
		return changed, err
	})
	return out, err
}

// write stores or removes what a document says.
func (s *Service) write(ctx context.Context, tx *db.Tx, p *Parsed, out *ImportResult) (bool, error) {
	if p.Withdrawn { // a copy that is older than what is known tells nothing
		n, err := tx.Exec(ctx, `DELETE FROM advisory WHERE id = $1 AND modified <= $2`, p.ID, micros(p.Modified))
		if n == 0 {
			out.Ignored++
		} else {
			out.Withdrawn++
		}
		return n > 0, err
	}
	body, err := encode(p)
	if err != nil {
		return false, err
	}
	n, err := tx.Exec(ctx, `INSERT INTO advisory (id, modified, imported, body, parser) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (id) DO UPDATE SET modified = excluded.modified, imported = excluded.imported, body = excluded.body, parser = excluded.parser
		WHERE excluded.modified > advisory.modified OR (excluded.modified = advisory.modified AND excluded.parser > advisory.parser)`,
		p.ID, micros(p.Modified), db.Micros(s.now()), body, p.Parser)
	if n == 0 {
		out.Unchanged++
	} else {
		out.Imported++
	}
	return n > 0, err
}

// replaces reports whether the document says more than what is known. It is the condition
// of write, for most documents without a transaction.
func (p *Parsed) replaces(known indexed) bool {
	return p.Modified.After(known.modified) || p.Modified.Equal(known.modified) && p.Parser > known.parser
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return db.Micros(t)
}

// Delete removes advisories by their ids, and returns how many there were.
// gatehouse:DeleteAdvisories on advisory/*.
func (s *Service) Delete(ctx context.Context, ids []string) (int, error) {
	if err := s.operators.Authorize(ctx, "DeleteAdvisories", resource); err != nil {
		return 0, err
	}
	if len(ids) == 0 || len(ids) > maxImport || slices.ContainsFunc(ids, func(id string) bool { return !validText(id) }) {
		return 0, fault.New(fault.Invalid, "Validation", "Name 1 to %d advisories by their ids.", maxImport)
	}
	deleted := 0
	err := s.change(ctx, func(tx *db.Tx) (changed []string, err error) {
		deleted = 0
		for _, id := range ids {
			n, err := tx.Exec(ctx, `DELETE FROM advisory WHERE id = $1`, id)
			if err != nil {
				return nil, err
			}
			if n > 0 {
				deleted, changed = deleted+1, append(changed, id)
			}
		}
		return changed, nil
	})
	return deleted, err
}

// List returns the advisories about a package, the worst first, and how many there are
// about all packages. gatehouse:ListAdvisories on advisory/*.
func (s *Service) List(ctx context.Context, id packages.PackageID) (about []*packages.Advisory, all int, err error) {
	if err := s.operators.Authorize(ctx, "ListAdvisories", resource); err != nil {
		return nil, 0, err
	}
	about = slices.Clone(s.About(id))
	slices.SortStableFunc(about, func(a, b *packages.Advisory) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.ID, b.ID))
	})
	return about, s.index.Load().byID.Len(), nil
}

// formatOf is the format in a key of a package.
func formatOf(key string) string {
	format, _, _ := strings.Cut(key, "/")
	return format
}

// with returns an index in which the documents with the ids are as given; those without a
// document are not in it.
func (x *index) with(ids []string, documents map[string]*Parsed) *index {
	next := &index{x.revision + 1, x.byPackage, x.byID, maps.Clone(x.formats), x.changed}
	for _, id := range ids {
		if old, ok := next.byID.Get(id); ok {
			for _, key := range old.packages {
				have, _ := next.byPackage.Get(key)
				left := slices.DeleteFunc(slices.Clone(have), func(a *packages.Advisory) bool { return a.ID == id })
				if len(left) == 0 {
					next.byPackage = next.byPackage.Delete(key)
					next.formats[formatOf(key)]--
				} else {
					next.byPackage = next.byPackage.Set(key, left)
				}
			}
			next.byID = next.byID.Delete(id)
		}
		d := documents[id]
		if d == nil {
			continue
		}
		entry := indexed{modified: d.Modified, parser: d.Parser}
		for _, about := range d.Packages {
			key := about.Package.Key()
			have, _ := next.byPackage.Get(key)
			if len(have) == 0 {
				next.formats[formatOf(key)]++
			}
			next.byPackage = next.byPackage.Set(key, append(slices.Clip(have), about.Advisory))
			if !slices.Contains(entry.packages, key) {
				entry.packages = append(entry.packages, key)
			}
		}
		next.byID = next.byID.Set(id, entry)
	}
	return next
}

// encode makes the body of a row: JSON.
func encode(p *Parsed) ([]byte, error) { return json.Marshal(p) }

func decode(body []byte) (*Parsed, error) {
	p := new(Parsed)
	return p, json.Unmarshal(body, p)
}
