package packages

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages/retentionrule"
)

// Retention rules remove versions of a repository that are not needed any more. Package
// retentionrule decides which. A removal has two steps. First versions are set aside
// (retentionrules_aside.go): for clients they do not exist, but their rows and bytes are
// kept, and an undo brings them back as they were. When the undo window of the rules has
// passed, background work deletes them. (retention.go is about something else: versions
// that a repository keeps of its upstreams.)

// The bounds of lock lists.
const (
	maxLockLists = 20
	maxLockLines = 20_000
	maxLockBytes = 900 << 10 // of one list; a request has at most 1 MiB
	protectList  = "protect" // the list in the document of the rules
)

const typeRun = "retention-run"

// RetentionRules are the retention rules of a repository.
type RetentionRules struct {
	// Document is the document as it was set; see [retentionrule.Document].
	Document string
	// LockLists are texts with one reference a line (see [retentionrule.ParseList]), by
	// name. Their versions are never removed.
	LockLists map[string]string
	// Revision changes with every change of the rules.
	Revision  string
	Changed   time.Time
	ChangedBy string // the ARN of the caller
}

// A RetentionChange is the input of PutRetentionRules.
type RetentionChange struct {
	// Document replaces the rules. Empty leaves them, if there are rules.
	Document string
	// SetLists adds lock lists or replaces those of the same name. The others stay.
	SetLists map[string]string
	// DropLists are the names of lock lists to remove.
	DropLists []string
}

// PutRetentionRules sets the retention rules of a repository, and some of its lock lists.
// Nothing is removed at once: the first scheduled run with the rules is a day later. Lock
// lists, which change with every build, do not put a run off.
// gatehouse:PutRetentionRules on the repository.
func (s *Service) PutRetentionRules(ctx context.Context, repo RepositoryID, c RetentionChange) (RetentionRules, error) {
	r, err := s.authorizeRepository(ctx, "gatehouse:PutRetentionRules", repo)
	if err != nil {
		return RetentionRules{}, err
	}
	if c.Document != "" {
		if _, err := parseRules(c.Document); err != nil {
			return RetentionRules{}, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.SetLists)) {
		if err := checkLockList(name, c.SetLists[name]); err != nil {
			return RetentionRules{}, err
		}
	}
	var out RetentionRules
	err = s.db.Tx(ctx, func(tx *db.Tx) (err error) {
		if _, err := db.One(ctx, tx, db.Scalar[string], `SELECT id FROM pkg_repository WHERE id = $1`, r.row); err != nil {
			return orNotFound(err, repositoryNotFound(repo))
		}
		out, err = s.putRetentionRules(ctx, tx, r, c)
		return err
	})
	return out, err
}

func (s *Service) putRetentionRules(ctx context.Context, tx *db.Tx, r *repository, c RetentionChange) (RetentionRules, error) {
	rules, err := readRetentionRules(ctx, tx, r)
	if err != nil && !isNotFound(err) {
		return rules, err
	}
	if rules.Document == "" && c.Document == "" {
		return rules, err
	}
	if c.Document != "" {
		rules.Document = c.Document
	}
	for _, name := range c.DropLists {
		if _, ok := rules.LockLists[name]; !ok {
			return rules, invalid("There is no lock list %q.", name)
		}
		if _, err := tx.Exec(ctx, `DELETE FROM pkg_retention_lock WHERE repository = $1 AND name = $2`, r.row, name); err != nil {
			return rules, err
		}
		delete(rules.LockLists, name)
	}
	for name, list := range c.SetLists {
		if _, err := tx.Exec(ctx, `INSERT INTO pkg_retention_lock (repository, name, list) VALUES ($1, $2, $3)
			ON CONFLICT (repository, name) DO UPDATE SET list = excluded.list`, r.row, name, list); err != nil {
			return rules, err
		}
		rules.LockLists[name] = list
	}
	if len(rules.LockLists) > maxLockLists {
		return rules, invalid("A repository has at most %d lock lists.", maxLockLists)
	}
	rules.Revision, rules.Changed, rules.ChangedBy = newRevision(), s.now(), callerARN(ctx)
	_, err = tx.Exec(ctx, `INSERT INTO pkg_retention (repository, document, revision, changed, changed_by, scheduled) VALUES ($1, $2, $3, $4, $5, $4)
		ON CONFLICT (repository) DO UPDATE SET document = excluded.document, revision = excluded.revision, changed = excluded.changed, changed_by = excluded.changed_by,
			scheduled = CASE WHEN pkg_retention.document = excluded.document THEN pkg_retention.scheduled ELSE excluded.scheduled END`,
		r.row, rules.Document, rules.Revision, db.Micros(rules.Changed), rules.ChangedBy)
	return rules, err
}

// GetRetentionRules returns the retention rules of a repository. Fault ResourceNotFound:
// it has none. gatehouse:GetRetentionRules on the repository.
func (s *Service) GetRetentionRules(ctx context.Context, repo RepositoryID) (RetentionRules, error) {
	r, err := s.authorizeRepository(ctx, "gatehouse:GetRetentionRules", repo)
	if err != nil {
		return RetentionRules{}, err
	}
	return readRetentionRules(ctx, s.db, r)
}

// DeleteRetentionRules removes the retention rules of a repository and its lock lists.
// What was removed stays so, and can still be undone.
// gatehouse:DeleteRetentionRules on the repository.
func (s *Service) DeleteRetentionRules(ctx context.Context, repo RepositoryID) error {
	r, err := s.authorizeRepository(ctx, "gatehouse:DeleteRetentionRules", repo)
	if err != nil {
		return err
	}
	return s.db.Tx(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM pkg_retention_lock WHERE repository = $1`, r.row); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `DELETE FROM pkg_retention WHERE repository = $1`, r.row)
		if err == nil && n == 0 {
			err = noRetentionRules(repo)
		}
		return err
	})
}

func noRetentionRules(repo RepositoryID) error {
	return fault.New(fault.NotFound, "ResourceNotFound", "The repository %s has no retention rules.", repo.Name).About(typeRepository, repo.Name)
}

// readRetentionRules returns a fault ResourceNotFound if there are none.
func readRetentionRules(ctx context.Context, q db.Querier, r *repository) (RetentionRules, error) {
	rules := RetentionRules{LockLists: map[string]string{}}
	_, err := db.One(ctx, q, func(row db.Row) (struct{}, error) {
		var changed int64
		err := row.Scan(&rules.Document, &rules.Revision, &changed, &rules.ChangedBy)
		rules.Changed = db.Time(changed)
		return struct{}{}, err
	}, `SELECT document, revision, changed, changed_by FROM pkg_retention WHERE repository = $1`, r.row)
	if err != nil {
		return rules, orNotFound(err, noRetentionRules(r.id))
	}
	_, err = db.All(ctx, q, func(row db.Row) (struct{}, error) {
		var name, list string
		err := row.Scan(&name, &list)
		rules.LockLists[name] = list
		return struct{}{}, err
	}, `SELECT name, list FROM pkg_retention_lock WHERE repository = $1`, r.row)
	return rules, err
}

// parseRules parses a document and checks what it says about formats.
func parseRules(document string) (*retentionrule.Document, error) {
	d, err := retentionrule.Parse([]byte(document))
	if err != nil {
		return nil, invalid("The retention rules are not valid: %s.", strings.TrimSuffix(err.Error(), "."))
	}
	for _, rule := range d.Rules {
		for _, f := range rule.Formats {
			if !Format(f).Known() {
				return nil, invalid("The retention rules are not valid: rule %s: %q is not a package format.", rule.Name, f)
			}
		}
	}
	for _, text := range d.Protect {
		if _, err := lockKeyOf(text); err != nil {
			return nil, invalid("The retention rules are not valid: protect: %v.", err)
		}
	}
	return d, nil
}

func checkLockList(name, list string) error {
	if !retentionrule.ValidName(name) || name == protectList {
		return invalid("%q cannot name a lock list: use 1 to 64 letters, digits, '.', '_' and '-', and not %q.", name, protectList)
	}
	if len(list) > maxLockBytes {
		return invalid("The lock list %s has more than %d bytes.", name, maxLockBytes)
	}
	references, err := retentionrule.ParseList(list)
	if err == nil && len(references) > maxLockLines {
		err = fmt.Errorf("it has more than %d references", maxLockLines)
	}
	for _, ref := range references {
		if err == nil {
			_, err = lockKey(ref)
		}
	}
	if err != nil {
		return invalid("The lock list %s is not valid: %v.", name, err)
	}
	return nil
}

// A lockedVersion identifies a version of a lock list, whatever the spelling.
type lockedVersion struct {
	format                   Format
	namespace, name, version string // keys
}

func lockKeyOf(reference string) (lockedVersion, error) {
	ref, err := retentionrule.ParseReference(reference)
	if err != nil {
		return lockedVersion{}, err
	}
	return lockKey(ref)
}

func lockKey(ref retentionrule.Reference) (lockedVersion, error) {
	id := PackageID{Format(ref.Format), ref.Namespace, ref.Name}
	err := validPackage(id)
	if err == nil {
		err = validVersion(ref.Version)
	}
	if err != nil {
		return lockedVersion{}, errors.New(strings.TrimSuffix(fault.From(err).Message, "."))
	}
	return lockedVersion{id.Format, id.Namespace, id.key(), id.Format.versionKey(ref.Version)}, nil
}

// A ruleSet is what a run or a preview works with.
type ruleSet struct {
	*retentionrule.Document
	revision string
	locks    map[lockedVersion]string // → the name of the list
}

// compile parses the document and the lock lists.
func (rules *RetentionRules) compile() (*ruleSet, error) {
	d, err := parseRules(rules.Document)
	if err != nil {
		return nil, err
	}
	set := &ruleSet{Document: d, revision: rules.Revision, locks: map[lockedVersion]string{}}
	for name, list := range rules.LockLists {
		references, err := retentionrule.ParseList(list)
		if err != nil {
			return nil, invalid("The lock list %s is not valid: %v.", name, err)
		}
		for _, ref := range references {
			k, err := lockKey(ref)
			if err != nil {
				return nil, invalid("The lock list %s is not valid: %v.", name, err)
			}
			set.locks[k] = name
		}
	}
	for _, text := range d.Protect {
		k, err := lockKeyOf(text)
		if err != nil {
			return nil, err
		}
		set.locks[k] = protectList
	}
	return set, nil
}

// callerARN is the ARN of the caller.
func callerARN(ctx context.Context) string {
	if c := authn.FromContext(ctx); c != nil && c.Principal != nil {
		return c.ARN
	}
	return ""
}
