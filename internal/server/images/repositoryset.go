package images

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/benbjohnson/immutable"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A repositorySet has every repository in memory, in an immutable ordered map that
// is replaced after each commit. Readers take no lock.
type repositorySet struct {
	current atomic.Pointer[immutable.SortedMap[RepositoryID, *Repository]]
	// changing is locked while a repository is changed, from before the transaction
	// until its result is in current. So results get there in the order of commits.
	changing sync.Mutex
}

type byID struct{}

func (byID) Compare(a, b RepositoryID) int { return a.compare(b) }

const repositoryColumns = `id, account, region, name, created, settings, policy`

// load fills the set from the database.
func (set *repositorySet) load(ctx context.Context, q db.Querier) error {
	all, err := db.All(ctx, q, scanRepository, `SELECT `+repositoryColumns+` FROM image_repository`)
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

// put adds or replaces a repository. The caller has locked changing.
func (set *repositorySet) put(r *Repository) { set.current.Store(set.current.Load().Set(r.ID, r)) }

// remove removes a repository. The caller has locked changing.
func (set *repositorySet) remove(id RepositoryID) {
	set.current.Store(set.current.Load().Delete(id))
}

func scanRepository(row db.Row) (*Repository, error) {
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
	if err := r.compile(); err != nil {
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

// compile computes what authorization needs.
func (r *Repository) compile() error {
	r.arn, r.policies = r.ID.ARN(), nil
	if r.Policy == "" {
		return nil
	}
	p, err := policy.Parse(r.Policy, policy.Resource)
	if err != nil {
		return err
	}
	r.policies = []*policy.Policy{p.WithSource(policy.Source{ARN: r.arn})}
	return nil
}
