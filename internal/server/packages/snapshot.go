package packages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A snapshot contains what authorization and routing need: every domain and
// repository with its compiled policy. It is immutable; a change replaces it.
type snapshot struct {
	domains map[DomainID]*domain
}

// A domain of the snapshot, immutable.
type domain struct {
	row          string // the id in the database
	id           DomainID
	key          string // the encryption key
	created      time.Time
	tags         map[string]string
	policy       resourcePolicy
	repositories map[string]*repository
}

// A repository of the snapshot, immutable.
type repository struct {
	row           string
	id            RepositoryID
	arn           string
	domain        *domain
	description   string
	administrator string
	created       time.Time
	tags          map[string]string
	policy        resourcePolicy
	upstreams     []*repository
}

// A resourcePolicy is the policy of a domain or a repository. compiled is nil if
// there is no policy.
type resourcePolicy struct {
	compiled *policy.Policy
	document string
	revision string
}

func (s *snapshot) domain(id DomainID) *domain { return s.domains[id] }

// repository returns nil if the repository or its domain does not exist.
func (s *snapshot) repository(id RepositoryID) *repository {
	if d := s.domains[id.Domain]; d != nil {
		return d.repositories[id.Name]
	}
	return nil
}

// withDomain returns a snapshot in which d is the domain id. If d is nil, the domain
// is not in it.
func (s *snapshot) withDomain(id DomainID, d *domain) *snapshot {
	next := &snapshot{maps.Clone(s.domains)}
	if d == nil {
		delete(next.domains, id)
	} else {
		next.domains[id] = d
	}
	return next
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
	s := &snapshot{make(map[DomainID]*domain, len(ids))}
	for _, id := range ids {
		if s.domains[id], err = loadDomain(ctx, q, id); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// loadDomain reads one domain with its repositories; nil if it does not exist.
func loadDomain(ctx context.Context, q db.Querier, id DomainID) (*domain, error) {
	d := &domain{id: id, repositories: map[string]*repository{}}
	found, err := db.All(ctx, q, func(r db.Row) (*domain, error) {
		var created int64
		var tags string
		if err := r.Scan(&d.row, &d.key, &created, &tags, &d.policy.document, &d.policy.revision); err != nil {
			return nil, err
		}
		d.created = db.Time(created)
		return d, json.Unmarshal([]byte(tags), &d.tags)
	}, `SELECT id, encryption_key, created, tags, policy, policy_revision FROM pkg_domain WHERE owner = $1 AND region = $2 AND name = $3`,
		id.Owner, id.Region, id.Name)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	if err := d.policy.compile(id.ARN()); err != nil {
		return nil, err
	}
	return d, d.loadRepositories(ctx, q)
}

func (d *domain) loadRepositories(ctx context.Context, q db.Querier) error {
	byRow := map[string]*repository{}
	upstreams := map[*repository][]string{}
	_, err := db.All(ctx, q, func(row db.Row) (*repository, error) {
		r := &repository{domain: d}
		var created int64
		var name, up, tags string
		if err := row.Scan(&r.row, &name, &r.description, &r.administrator, &created, &up, &tags, &r.policy.document, &r.policy.revision); err != nil {
			return nil, err
		}
		r.id, r.created = d.id.Repository(name), db.Time(created)
		r.arn = r.id.ARN()
		var ids []string
		if err := json.Unmarshal([]byte(up), &ids); err != nil {
			return nil, fmt.Errorf("upstreams of %s: %w", r.arn, err)
		}
		if err := json.Unmarshal([]byte(tags), &r.tags); err != nil {
			return nil, fmt.Errorf("tags of %s: %w", r.arn, err)
		}
		d.repositories[name], byRow[r.row], upstreams[r] = r, r, ids
		return r, r.policy.compile(r.arn)
	}, `SELECT id, name, description, administrator, created, upstreams, tags, policy, policy_revision FROM pkg_repository WHERE domain = $1`, d.row)
	if err != nil {
		return err
	}
	for r, ids := range upstreams {
		for _, id := range ids {
			if u := byRow[id]; u != nil {
				r.upstreams = append(r.upstreams, u)
			}
		}
	}
	return nil
}

func (p *resourcePolicy) compile(arn string) error {
	if p.document == "" {
		return nil
	}
	c, err := policy.Parse(p.document, policy.Resource)
	if err != nil {
		return fmt.Errorf("policy of %s: %w", arn, err)
	}
	p.compiled = c.WithSource(policy.Source{ARN: arn})
	return nil
}

// changeDomain runs fn in a transaction and then replaces the domain in the snapshot.
// The new state is read before the commit, so nothing can fail after it.
func (s *Service) changeDomain(ctx context.Context, id DomainID, fn func(tx *db.Tx) error) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	var d *domain
	err := s.db.Tx(ctx, func(tx *db.Tx) (err error) {
		if err = fn(tx); err != nil {
			return err
		}
		d, err = loadDomain(ctx, tx, id)
		return err
	})
	var refused *fault.Error
	if errors.As(err, &refused) {
		return err
	}
	if err != nil {
		// It is unknown whether the commit happened: read the domain.
		now, lookErr := loadDomain(context.WithoutCancel(ctx), s.db, id)
		if lookErr != nil {
			return errors.Join(err, lookErr)
		}
		d = now
	}
	s.snapshot.Store(s.snapshot.Load().withDomain(id, d))
	return err
}
