package packages

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/benbjohnson/immutable"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A snapshot contains what authorization and routing need: every domain and
// repository with its compiled policy. It is immutable and persistent: a change
// replaces what it changed and shares the rest.
type snapshot struct {
	domains *immutable.SortedMap[DomainID, *domain]
	changes uint64 // how many domains were set
}

// A domain of the snapshot, immutable.
type domain struct {
	row          string // the id in the database
	id           DomainID
	key          string // the encryption key
	created      time.Time
	tags         map[string]string
	policy       resourcePolicy
	repositories *immutable.SortedMap[string, *repository] // by name
	names        *immutable.Map[string, string]            // a repository's row → its name
	groups       groupIndex
	admission    *admissionEntries
	root         *group // the group for everything; groups has it only if it has a row
	change       uint64 // differs from that of every other domain before and after it
}

// A repository of the snapshot, immutable.
type repository struct {
	row           string
	id            RepositoryID
	arn           string
	domainRow     string
	description   string
	administrator string
	created       time.Time
	tags          map[string]string
	policy        resourcePolicy
	upstreams     []string // rows; one that was deleted since is not there
	connection    string   // the external connection, or empty
}

// A resourcePolicy is the policy of a domain or a repository. compiled is nil if
// there is no policy.
type resourcePolicy struct {
	compiled *policy.Policy
	document string
	revision string
}

type domainOrder struct{}

func (domainOrder) Compare(a, b DomainID) int {
	return cmp.Or(strings.Compare(a.Region, b.Region), strings.Compare(a.Owner, b.Owner), strings.Compare(a.Name, b.Name))
}

func (s *snapshot) domain(id DomainID) *domain {
	d, _ := s.domains.Get(id)
	return d
}

// all calls f with every domain.
func (s *snapshot) all(f func(*domain)) {
	for it := s.domains.Iterator(); !it.Done(); {
		_, d, _ := it.Next()
		f(d)
	}
}

// repository returns nil if the repository or its domain does not exist.
func (s *snapshot) repository(id RepositoryID) *repository {
	return s.domain(id.Domain).repository(id.Name)
}

// withDomain returns a snapshot in which d is the domain id. If d is nil, the domain
// is not in it.
func (s *snapshot) withDomain(id DomainID, d *domain) *snapshot {
	if d == nil {
		return &snapshot{s.domains.Delete(id), s.changes}
	}
	changed := *d
	changed.change = s.changes + 1
	return &snapshot{s.domains.Set(id, &changed), changed.change}
}

// repository returns nil if the domain, which may be nil, does not have it.
func (d *domain) repository(name string) *repository {
	if d == nil {
		return nil
	}
	r, _ := d.repositories.Get(name)
	return r
}

// repositoryAt returns the repository with the row, or nil.
func (d *domain) repositoryAt(row string) *repository {
	name, ok := d.names.Get(row)
	if !ok {
		return nil
	}
	return d.repository(name)
}

// all calls f with every repository, ordered by name.
func (d *domain) all(f func(*repository)) {
	for it := d.repositories.Iterator(); !it.Done(); {
		_, r, _ := it.Next()
		f(r)
	}
}

func (d *domain) set(r *repository) {
	d.repositories = d.repositories.Set(r.id.Name, r)
	d.names = d.names.Set(r.row, r.id.Name)
}

func (d *domain) remove(name string) {
	if r := d.repository(name); r != nil {
		d.repositories, d.names = d.repositories.Delete(name), d.names.Delete(r.row)
	}
}

// loadAll reads the snapshot from the database.
func loadAll(ctx context.Context, q db.Querier) (*snapshot, error) {
	ids, err := db.All(ctx, q, func(r db.Row) (id DomainID, err error) {
		err = r.Scan(&id.Owner, &id.Region, &id.Name)
		return id, err
	}, `SELECT owner, region, name FROM pkg_domain`)
	if err != nil {
		return nil, err
	}
	s := &snapshot{domains: immutable.NewSortedMap[DomainID, *domain](domainOrder{})}
	for _, id := range ids {
		d, err := loadDomain(ctx, q, id, nil)
		if err != nil {
			return nil, err
		}
		s = s.withDomain(id, d)
	}
	return s, nil
}

// loadDomain reads one domain with its repositories; nil if it does not exist. Policies
// whose text is the same in old, which may be nil, are not compiled again.
func loadDomain(ctx context.Context, q db.Querier, id DomainID, old *domain) (*domain, error) {
	d, err := loadDomainRow(ctx, q, id, old, resourcePolicy{})
	if err != nil || d == nil {
		return nil, err
	}
	all, err := loadRepositories(ctx, q, d, old, resourcePolicy{}, ``)
	if err != nil {
		return nil, err
	}
	d.repositories, d.names = immutable.NewSortedMap[string, *repository](nil), immutable.NewMap[string, string](nil)
	for _, r := range all {
		d.set(r)
	}
	d.groups, d.root = newGroupIndex(), newRoot(d.created)
	groups, err := loadGroups(ctx, q, d, ``)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		d.setGroup(g.pattern, g)
	}
	return d, nil
}

// loadDomainRow reads a domain without its repositories and groups, which are those of old. set is
// a policy that is compiled already.
func loadDomainRow(ctx context.Context, q db.Querier, id DomainID, old *domain, set resourcePolicy) (*domain, error) {
	d := &domain{id: id, repositories: immutable.NewSortedMap[string, *repository](nil), names: immutable.NewMap[string, string](nil), groups: newGroupIndex()}
	var had resourcePolicy
	if old != nil {
		d.repositories, d.names, had = old.repositories, old.names, old.policy
		d.groups, d.root = old.groups, old.root
	}
	found, err := db.All(ctx, q, func(r db.Row) (*domain, error) {
		var created int64
		var tags string
		if err := r.Scan(&d.row, &d.key, &created, &tags, &d.policy.document, &d.policy.revision); err != nil {
			return nil, err
		}
		d.created, d.tags = db.Time(created), nil
		return d, json.Unmarshal([]byte(tags), &d.tags)
	}, `SELECT id, encryption_key, created, tags, policy, policy_revision FROM pkg_domain WHERE owner = $1 AND region = $2 AND name = $3`,
		id.Owner, id.Region, id.Name)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	if old != nil && old.row != d.row { // another domain of the same name
		d.repositories, d.names = immutable.NewSortedMap[string, *repository](nil), immutable.NewMap[string, string](nil)
		d.groups, d.root = newGroupIndex(), nil
	}
	if d.root == nil {
		d.root = newRoot(d.created)
	}
	if d.admission, err = loadAdmission(ctx, q, d.row); err != nil {
		return nil, err
	}
	return d, d.policy.compile(id.ARN(), had, set)
}

// loadRepositories reads the repositories of a domain that the condition selects; its
// first parameter is $2.
func loadRepositories(ctx context.Context, q db.Querier, d, old *domain, set resourcePolicy, condition string, args ...any) ([]*repository, error) {
	return db.All(ctx, q, func(row db.Row) (*repository, error) {
		r := &repository{domainRow: d.row}
		var created int64
		var name, upstreams, tags string
		if err := row.Scan(&r.row, &name, &r.description, &r.administrator, &created, &upstreams, &tags, &r.policy.document, &r.policy.revision, &r.connection); err != nil {
			return nil, err
		}
		r.id, r.created = d.id.Repository(name), db.Time(created)
		r.arn = r.id.ARN()
		if err := json.Unmarshal([]byte(upstreams), &r.upstreams); err != nil {
			return nil, fmt.Errorf("upstreams of %s: %w", r.arn, err)
		}
		if err := json.Unmarshal([]byte(tags), &r.tags); err != nil {
			return nil, fmt.Errorf("tags of %s: %w", r.arn, err)
		}
		var had resourcePolicy
		if before := old.repository(name); before != nil {
			had = before.policy
		}
		return r, r.policy.compile(r.arn, had, set)
	}, `SELECT id, name, description, administrator, created, upstreams, tags, policy, policy_revision, external_connection FROM pkg_repository WHERE domain = $1`+condition,
		append([]any{d.row}, args...)...)
}

// compile compiles the policy unless its text is that of one which is compiled for the
// same resource already.
func (p *resourcePolicy) compile(arn string, compiled ...resourcePolicy) error {
	if p.document == "" {
		return nil
	}
	for _, c := range compiled {
		if p.document == c.document {
			p.compiled = c.compiled
			return nil
		}
	}
	c, err := policy.Parse(p.document, policy.Resource)
	if err != nil {
		return fmt.Errorf("policy of %s: %w", arn, err)
	}
	p.compiled = c.WithSource(policy.Source{ARN: arn})
	return nil
}

// A delta names the rows of a domain that a transaction wrote.
type delta struct {
	domain     bool   // the domain's own row
	repository string // the name of a repository; empty for none
	group      string // the pattern of a package group; empty for none
	// policy is the policy that the transaction sets, compiled before it, so that
	// other writers do not wait for that.
	policy resourcePolicy
}

// changeDomain runs fn in a transaction and then replaces what it changed in the
// snapshot: the rows of the delta are read before the commit, so nothing can fail after
// it. When it returns, every server has the change.
func (s *Service) changeDomain(ctx context.Context, id DomainID, changed delta, fn func(tx *db.Tx) error) error {
	var after *domain
	return s.feed.Make(ctx, changefeed.Change{
		Scope: scope, Turn: &s.changing,
		Run: func(tx *db.Tx) (_ []string, err error) {
			if err = fn(tx); err != nil {
				return nil, err
			}
			after, err = changed.read(ctx, tx, id, s.snapshot.Load().domain(id))
			return changed.keys(id), err
		},
		Publish: func() { s.snapshot.Store(s.snapshot.Load().withDomain(id, after)) },
	})
}

// read returns the domain after the change; nil if it does not exist any more.
func (c delta) read(ctx context.Context, q db.Querier, id DomainID, old *domain) (*domain, error) {
	var d domain
	if c.domain || old == nil {
		row, err := loadDomainRow(ctx, q, id, old, c.policy)
		if err != nil || row == nil {
			return nil, err
		}
		d = *row
	} else {
		d = *old
	}
	if c.group != "" {
		if err := readGroup(ctx, q, &d, c.group); err != nil {
			return nil, err
		}
	}
	if c.repository == "" {
		return &d, nil
	}
	found, err := loadRepositories(ctx, q, &d, old, c.policy, ` AND name = $2`, c.repository)
	if err != nil {
		return nil, err
	}
	d.remove(c.repository)
	for _, r := range found {
		d.set(r)
	}
	return &d, nil
}
