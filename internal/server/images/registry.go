package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/benbjohnson/immutable"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A RegistryID names a registry: an account in a region.
type RegistryID struct{ Account, Region string }

// arn is what a registry policy is called in decisions.
func (id RegistryID) arn() string { return RepositoryID{id.Account, id.Region, "*"}.ARN() }

func (id RegistryID) compare(other RegistryID) int {
	if c := strings.Compare(id.Account, other.Account); c != 0 {
		return c
	}
	return strings.Compare(id.Region, other.Region)
}

// registry returns the registry of a repository.
func (id RepositoryID) registry() RegistryID { return RegistryID{id.Account, id.Region} }

// A Registry has what is set for a registry as a whole. It is shared between requests: do
// not change it. A registry for which nothing was set has no row.
type Registry struct {
	ID RegistryID
	registrySettings
	// Policy is the text of the registry policy, or empty. It names users and roles by
	// their unique ids.
	Policy string

	policies []*policy.Policy
}

// registrySettings are stored as JSON.
type registrySettings struct {
	// AccountSettings are those that were put, by name.
	AccountSettings map[string]string `json:"accountSettings,omitempty"`
	// Scanning is nil if it was not put.
	Scanning *ScanningConfiguration `json:"scanning,omitempty"`
	// PullTimeExclusions are in the order of the ARNs.
	PullTimeExclusions []PullTimeExclusion `json:"pullTimeExclusions,omitempty"`
	// Templates are in the order of their prefixes, without a "/" at their ends.
	Templates []*Template `json:"templates,omitempty"`
	// Replication has the rules of the replication configuration.
	Replication []ReplicationRule `json:"replication,omitempty"`
	// CacheRules are the pull-through cache rules in the order of their prefixes.
	CacheRules []*CacheRule `json:"pullThroughCacheRules,omitempty"`
	// Signing has the rules of the signing configuration; nil if there is none.
	Signing *SigningConfiguration `json:"signing,omitempty"`
}

// A registrySet has every registry for which something was set, in memory, like
// [repositorySet].
type registrySet struct {
	current  atomic.Pointer[immutable.SortedMap[RegistryID, *Registry]]
	changing changefeed.Turn
}

type byRegistry struct{}

func (byRegistry) Compare(a, b RegistryID) int { return a.compare(b) }

// registryScope is the scope of registries in the change feed. It is not the one of the
// repositories, so that servers of earlier versions, which do not know registries, skip it.
const registryScope = "images-registry"

const registryColumns = `account, region, settings, policy`

func (set *registrySet) load(ctx context.Context, q db.Querier) error {
	all, err := db.All(ctx, q, scanRegistry, `SELECT `+registryColumns+` FROM image_registry`)
	if err != nil {
		return err
	}
	b := immutable.NewSortedMapBuilder[RegistryID, *Registry](byRegistry{})
	for _, r := range all {
		b.Set(r.ID, r)
	}
	set.current.Store(b.Map())
	return nil
}

// unset is what every registry has for which nothing was set.
var unset = new(Registry)

// get returns what is set for a registry. It never returns nil.
func (set *registrySet) get(id RegistryID) *Registry {
	if r, ok := set.current.Load().Get(id); ok {
		return r
	}
	return unset
}

func (set *registrySet) publish(r *Registry) { set.current.Store(set.current.Load().Set(r.ID, r)) }

func scanRegistry(row db.Row) (*Registry, error) {
	r := new(Registry)
	var settings []byte
	if err := row.Scan(&r.ID.Account, &r.ID.Region, &settings, &r.Policy); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(settings, &r.registrySettings); err != nil {
		return nil, fmt.Errorf("settings of the registry %s: %w", r.ID.arn(), err)
	}
	if err := r.compile(); err != nil {
		return nil, fmt.Errorf("policy of the registry %s: %w", r.ID.arn(), err)
	}
	return r, nil
}

// compile computes what authorization needs.
func (r *Registry) compile() error {
	r.policies = nil
	if r.Policy == "" {
		return nil
	}
	p, err := policy.Parse(r.Policy, policy.Resource)
	if err != nil {
		return err
	}
	r.policies = []*policy.Policy{p.WithSource(policy.Source{ARN: r.ID.arn()})}
	return nil
}

func readRegistry(ctx context.Context, q db.Querier, id RegistryID) (*Registry, error) {
	r, err := db.One(ctx, q, scanRegistry, `SELECT `+registryColumns+` FROM image_registry WHERE account = $1 AND region = $2`, id.Account, id.Region)
	if errors.Is(err, db.ErrNoRows) {
		return &Registry{ID: id}, nil
	}
	return r, err
}

// editRegistry reads a registry in a transaction, applies the function edit to it, and
// commits and publishes the result. An edit that changes nothing writes nothing. When it
// returns, every server has the change.
func (s *Service) editRegistry(ctx context.Context, id RegistryID, edit func(*Registry) error) (*Registry, error) {
	return s.editRegistryTx(ctx, id, func(_ *db.Tx, r *Registry) error { return edit(r) })
}

// editRegistryTx is editRegistry with an edit that can write more in the transaction.
func (s *Service) editRegistryTx(ctx context.Context, id RegistryID, edit func(*db.Tx, *Registry) error) (r *Registry, err error) {
	err = s.feed.Make(ctx, changefeed.Change{
		Scope: registryScope, Turn: &s.registries.changing,
		Run: func(tx *db.Tx) (keys []string, err error) {
			if r, err = readRegistry(ctx, tx, id); err != nil {
				return nil, err
			}
			before, err := json.Marshal(r.registrySettings)
			if err != nil {
				return nil, err
			}
			oldPolicy := r.Policy
			if err := edit(tx, r); err != nil {
				return nil, err
			}
			if err := r.compile(); err != nil {
				return nil, err
			}
			after, err := json.Marshal(r.registrySettings)
			if err != nil || bytes.Equal(before, after) && r.Policy == oldPolicy {
				return nil, err
			}
			_, err = tx.Exec(ctx, `INSERT INTO image_registry (`+registryColumns+`) VALUES ($1, $2, $3, $4)
				ON CONFLICT (account, region) DO UPDATE SET settings = excluded.settings, policy = excluded.policy`, id.Account, id.Region, string(after), r.Policy)
			return []string{id.Account + "/" + id.Region}, err
		},
		Publish: func() { s.registries.publish(r) },
	})
	return r, err
}

// A registryFollower takes over what other servers have changed.
type registryFollower struct{ s *Service }

// Apply reads registries again.
func (f registryFollower) Apply(ctx context.Context, keys []string) error {
	set := &f.s.registries
	if err := set.changing.Lock(ctx); err != nil {
		return err
	}
	defer set.changing.Unlock()
	for _, key := range keys {
		account, region, ok := strings.Cut(key, "/")
		if !ok {
			return fmt.Errorf("images: the change feed has the key %q", key)
		}
		r, err := readRegistry(ctx, f.s.db, RegistryID{account, region})
		if err != nil {
			return err
		}
		set.publish(r)
	}
	return nil
}

// Reload reads all registries.
func (f registryFollower) Reload(ctx context.Context) error {
	set := &f.s.registries
	if err := set.changing.Lock(ctx); err != nil {
		return err
	}
	defer set.changing.Unlock()
	return set.load(ctx, f.s.db)
}

// authorizeSettings authorizes an action on a registry as a whole, whose resource is *. It
// returns what is set.
func (s *Service) authorizeSettings(ctx context.Context, id RegistryID, action string) (*Registry, error) {
	r := s.registries.get(id)
	return r, s.authz.Authorize(ctx, &authz.Request{Action: action, Resource: "*", Account: id.Account, Policies: r.policies})
}

// The account settings and their values. The first value is the default.
var accountSettings = map[string][]string{
	anonymousPulls:            {"DISABLED", enabled},
	"BASIC_SCAN_TYPE_VERSION": {"AWS_NATIVE"},
	"REGISTRY_POLICY_SCOPE":   {"V2"},
	blobMounting:              {enabled, "DISABLED"},
}

const (
	blobMounting = "BLOB_MOUNTING"
	enabled      = "ENABLED"
)

// accountSetting returns the value of a setting that exists.
func (r *Registry) accountSetting(name string) string {
	if value, ok := r.AccountSettings[name]; ok {
		return value
	}
	return accountSettings[name][0]
}

// AccountSetting returns the value of an account setting. Action ecr:GetAccountSetting.
// Faults: AccessDenied, InvalidParameter.
func (s *Service) AccountSetting(ctx context.Context, id RegistryID, name string) (string, error) {
	r, err := s.authorizeSettings(ctx, id, "ecr:GetAccountSetting")
	if err != nil {
		return "", err
	}
	if accountSettings[name] == nil {
		return "", unknownSetting()
	}
	return r.accountSetting(name), nil
}

// PutAccountSetting sets an account setting. Action ecr:PutAccountSetting. Faults:
// AccessDenied, InvalidParameter.
func (s *Service) PutAccountSetting(ctx context.Context, id RegistryID, name, value string) error {
	if _, err := s.authorizeSettings(ctx, id, "ecr:PutAccountSetting"); err != nil {
		return err
	}
	values := accountSettings[name]
	if values == nil {
		return unknownSetting()
	}
	if !slices.Contains(values, value) {
		return invalidParameter("value", "Member must satisfy enum value set: ["+strings.Join(values, ", ")+"]")
	}
	_, err := s.editRegistry(ctx, id, func(r *Registry) error {
		settings := map[string]string{name: value}
		for other, v := range r.AccountSettings {
			if other != name {
				settings[other] = v
			}
		}
		r.AccountSettings = settings
		return nil
	})
	return err
}

func unknownSetting() error {
	return invalidParameter("name", "Member must satisfy enum value set: [ANONYMOUS_PULLS, BASIC_SCAN_TYPE_VERSION, BLOB_MOUNTING, REGISTRY_POLICY_SCOPE]")
}

// A PullTimeExclusion names a role or a user whose pulls do not count as the last pull of
// an image.
type PullTimeExclusion struct {
	ARN     string    `json:"arn"`
	Created time.Time `json:"created"`
}
