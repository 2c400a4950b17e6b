package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/benbjohnson/immutable"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A repositorySet has every repository in memory, in an immutable ordered map that
// is replaced after each commit. Readers take no lock.
type repositorySet struct {
	current atomic.Pointer[immutable.SortedMap[RepositoryID, *Repository]]
	// changing is held while a repository is changed, from before the transaction
	// until its result is in current. So results get there in the order of commits.
	changing changefeed.Turn
}

type byID struct{}

func (byID) Compare(a, b RepositoryID) int { return a.compare(b) }

const repositoryColumns = `id, account, region, name, created, settings, policy`

// load fills the set from the database.
func (set *repositorySet) load(ctx context.Context, q db.Querier) error {
	all, err := db.All(ctx, q, scanRepository(nil), `SELECT `+repositoryColumns+` FROM image_repository`)
	if err != nil {
		return err
	}
	b := immutable.NewSortedMapBuilder[RepositoryID, *Repository](byID{})
	for _, r := range all {
		b.Set(r.ID, r)
	}
	set.current.Store(b.Map())
	return nil
}

// get returns a repository, or nil.
func (set *repositorySet) get(id RepositoryID) *Repository {
	r, _ := set.current.Load().Get(id)
	return r
}

// list returns the repositories of a registry after the given name, at most limit
// of them. more is true if there are further ones.
func (set *repositorySet) list(account, region, name string, limit int) (list []*Repository, more bool) {
	it := set.current.Load().Iterator()
	it.Seek(RepositoryID{account, region, name})
	for !it.Done() {
		id, r, _ := it.Next()
		if id.Account != account || id.Region != region {
			break
		}
		if id.Name == name {
			continue
		}
		if len(list) >= limit {
			return list, true
		}
		list = append(list, r)
	}
	return list, false
}

// publish makes r the repository with the id, which does not exist if r is nil. The
// caller has locked changing.
func (set *repositorySet) publish(id RepositoryID, r *Repository) {
	if r == nil {
		set.current.Store(set.current.Load().Delete(id))
	} else {
		set.current.Store(set.current.Load().Set(id, r))
	}
}

// changeRepository runs a transaction that changes one repository, and publishes what
// fn returns; nil means that the repository no longer exists. changed is false if fn
// wrote nothing. All changes go through here. A change takes the time of this one
// repository, however many there are. When it returns, every server has the change.
func (s *Service) changeRepository(ctx context.Context, id RepositoryID, fn func(*db.Tx) (r *Repository, changed bool, err error)) (*Repository, error) {
	var r *Repository
	err := s.feed.Make(ctx, changefeed.Change{
		Scope: scope, Turn: &s.repositories.changing,
		Run: func(tx *db.Tx) (keys []string, err error) {
			var changed bool
			if r, changed, err = fn(tx); changed {
				keys = []string{id.key()}
			}
			return keys, err
		},
		Publish: func() { s.repositories.publish(id, r) },
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// readRepository reads a repository from the database. It is nil if it does not exist.
func (s *Service) readRepository(ctx context.Context, id RepositoryID) (*Repository, error) {
	r, err := db.One(ctx, s.db, scanRepository(s.repositories.get(id)), `SELECT `+repositoryColumns+` FROM image_repository WHERE account = $1 AND region = $2 AND name = $3`, id.Account, id.Region, id.Name)
	if errors.Is(err, db.ErrNoRows) {
		return nil, nil
	}
	return r, err
}

// scanRepository returns a function that scans a repository. A policy whose text is that
// of known, which may be nil, is not compiled again.
func scanRepository(known *Repository) func(db.Row) (*Repository, error) {
	return func(row db.Row) (*Repository, error) { return scanRow(row, known) }
}

func scanRow(row db.Row, known *Repository) (*Repository, error) {
	r := new(Repository)
	var created int64
	var settings []byte
	if err := row.Scan(&r.row, &r.ID.Account, &r.ID.Region, &r.ID.Name, &created, &settings, &r.Policy); err != nil {
		return nil, err
	}
	r.Created = db.Time(created)
	if err := json.Unmarshal(settings, &r.Settings); err != nil {
		return nil, fmt.Errorf("settings of %s: %w", r.ID.ARN(), err)
	}
	r.Encryption = r.Encryption.withDefaultKey(r.ID)
	if err := r.compile(known); err != nil {
		return nil, fmt.Errorf("policy of %s: %w", r.ID.ARN(), err)
	}
	return r, nil
}

func scanSettings(row db.Row) (s Settings, err error) {
	var text []byte
	if err := row.Scan(&text); err != nil {
		return s, err
	}
	return s, json.Unmarshal(text, &s)
}

// compile computes what authorization needs. It takes over the policy of known, which
// may be nil, if the text is the same.
func (r *Repository) compile(known *Repository) error {
	r.arn, r.policies = r.ID.ARN(), nil
	switch {
	case r.Policy == "":
		return nil
	case known != nil && known.arn == r.arn && known.Policy == r.Policy:
		r.policies = known.policies
		return nil
	}
	p, err := policy.Parse(r.Policy, policy.Resource)
	if err != nil {
		return err
	}
	r.policies = []*policy.Policy{p.WithSource(policy.Source{ARN: r.arn})}
	return nil
}
