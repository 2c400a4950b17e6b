package declare

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/internal"
)

// A ChangeKind says what [Apply] did with an entity.
type ChangeKind string

// The kinds of changes. A role or a managed policy whose path changes is
// replaced, since its ARN is another one then.
const (
	EntityCreated  ChangeKind = "created"
	EntityChanged  ChangeKind = "changed"
	EntityAdopted  ChangeKind = "adopted"
	EntityReplaced ChangeKind = "replaced"
	EntityDeleted  ChangeKind = "deleted"
)

// A Change is one iam.Entity that [Apply] changed.
type Change struct {
	Kind ChangeKind
	ARN  string
	// Fields are the parts that differ, of an entity that was changed or adopted,
	// by the names under which they are stored.
	Fields []string
}

// Apply makes the declared identities what the declaration says, and deletes
// what earlier declarations had and this one does not, all in one
// transaction: it is applied whole or not at all. Applied again, it changes
// nothing. What was created through the API is left alone, unless it is adopted.
//
// The changes are in the order in which they were made. Errors are
// [*Error]s if the declaration is to blame: its form, a name that is
// taken by what was not declared, something that does not exist or is in use.
//
// Apply authorizes no one: who writes the configuration owns the server.
func Apply(ctx context.Context, s *iam.Service, declaration Declaration) ([]Change, error) {
	if err := declaration.Validate(); err != nil {
		return nil, err
	}
	var changes []Change
	core := s.Core(internal.CoreKey{})
	err := core.Commit(ctx, func(d *iam.Draft) error {
		a := &applier{Draft: d, core: core}
		defer func() { changes = a.changes }()
		return a.apply(&declaration)
	})
	if err != nil {
		return nil, err
	}
	return changes, nil
}

// Count returns the number of entities that declarations have left.
func Count(s *iam.Service) int {
	n := 0
	for range s.Core(internal.CoreKey{}).Snapshot().Declared() {
		n++
	}
	return n
}

// Credentials are the credentials of a declared access key.
type Credentials struct {
	iam.Credentials
	// Key is the name of the key.
	Key string
}

// Keys returns the credentials of all declared access keys of the
// accounts, in the order of accounts, users and keys.
func Keys(s *iam.Service, accounts []string) ([]Credentials, error) {
	var out []Credentials
	core := s.Core(internal.CoreKey{})
	sn := core.Snapshot()
	for _, account := range accounts {
		for u := range sn.Users(account, "") {
			for _, k := range u.Keys {
				if k.Name == "" || !k.Active {
					continue
				}
				secret, err := core.Secret(k)
				if err != nil {
					return nil, fmt.Errorf("iam: access key %s of %s: %w", k.Name, u.ARN(), err)
				}
				out = append(out, Credentials{iam.Credentials{Account: account, User: u.Name, AccessKeyID: k.ID, Secret: secret}, k.Name})
			}
		}
	}
	return out, nil
}

// An applier is the work of one [Apply] on one draft.
type applier struct {
	*iam.Draft
	core    iam.Core
	changes []Change
	removed []iam.Entity
}

// apply goes in an order in which everything finds what it refers to. What is not
// declared any more goes first, since its name may be taken again. Roles come in
// two steps, because they may trust each other.
func (a *applier) apply(d *Declaration) error {
	a.removeUndeclared(d)
	for i := range d.Policies {
		if err := a.policy(&d.Policies[i]); err != nil {
			return atPlace(d.Policies[i].Where, err)
		}
	}
	for i := range d.OIDCProviders {
		if err := a.provider(&d.OIDCProviders[i]); err != nil {
			return atPlace(d.OIDCProviders[i].Where, err)
		}
	}
	for i := range d.Groups {
		if err := a.group(&d.Groups[i]); err != nil {
			return atPlace(d.Groups[i].Where, err)
		}
	}
	for i := range d.Users {
		if err := a.user(&d.Users[i]); err != nil {
			return atPlace(d.Users[i].Where, err)
		}
	}
	roles := make([]*iam.Role, len(d.Roles))
	for i := range d.Roles {
		var err error
		if roles[i], err = a.beginRole(&d.Roles[i]); err != nil {
			return atPlace(d.Roles[i].Where, err)
		}
	}
	for i := range d.Roles {
		if err := a.role(&d.Roles[i], roles[i]); err != nil {
			return atPlace(d.Roles[i].Where, err)
		}
	}
	return a.checkRemoved()
}

func (a *applier) note(kind ChangeKind, e iam.Entity, fields ...string) {
	a.changes = append(a.changes, Change{kind, iam.ARNOf(e), fields})
}

// names yields what is declared.
func (d *Declaration) names() map[nameKey]string {
	names := map[nameKey]string{}
	add := func(kind iam.Kind, e *Entity) {
		names[keyOfDeclared(kind, e)] = e.Name
	}
	for i := range d.Users {
		add(iam.KindUser, &d.Users[i].Entity)
	}
	for i := range d.Groups {
		add(iam.KindGroup, &d.Groups[i].Entity)
	}
	for i := range d.Roles {
		add(iam.KindRole, &d.Roles[i].Entity)
	}
	for i := range d.Policies {
		add(iam.KindPolicy, &d.Policies[i].Entity)
	}
	for i := range d.OIDCProviders {
		add(iam.KindOIDCProvider, d.OIDCProviders[i].entity())
	}
	return names
}

// removeUndeclared removes what only an earlier declaration has.
func (a *applier) removeUndeclared(d *Declaration) {
	names := d.names()
	for _, e := range slices.Collect(a.Declared()) {
		if names[keyOf(e)] == e.Base().Name {
			continue
		}
		a.Remove(e)
		a.removed = append(a.removed, e)
		a.note(EntityDeleted, e)
	}
}

// checkRemoved reports what is gone and still in use by what is not declared: to
// take a policy or a group away from it could also give it more, if there is a
// Deny, and is not ours to decide.
func (a *applier) checkRemoved() error {
	for _, e := range a.removed {
		users := a.UsedBy(e)
		if len(users) == 0 {
			continue
		}
		noun, account := e.Kind().Noun(), e.Base().Account
		return &Error{"iam", fault.New(fault.Conflict, "DeleteConflict",
			"The %s %s is no longer declared, or is declared with another path, but %s of account %s still use it. Keep it in the file, or remove it from them first.",
			noun, e.Base().Name, strings.Join(users, ", "), account)}
	}
	return nil
}

// begin returns what the declared entity begins with, and the one that exists
// already; that is nil if it is to be created.
func (a *applier) begin(kind iam.Kind, d *Entity) (common iam.Common, old iam.Entity, err error) {
	path, err := iam.CheckPath(d.Path)
	if err != nil {
		return common, nil, err
	}
	common = iam.Common{ID: newEntityID(kind), Account: d.Account, Path: path, Name: d.Name, Created: a.core.Second(), Tags: d.Tags, Declared: true}
	old, ok := a.Taken(d.Account, kind, d.Name)
	if !ok {
		return common, nil, nil
	}
	had := old.Base()
	switch {
	case !had.Declared && !d.Adopt:
		return common, nil, fault.New(fault.Conflict, "EntityAlreadyExists",
			"The %s %s already exists and was not created by this file. Set adopt: true to take it over (it becomes what the file says, and everything else that it has is removed), or choose another name.", kind.Noun(), had.Name)
	case had.Name != d.Name:
		return common, nil, fault.New(fault.Conflict, "EntityAlreadyExists", "It already exists with the name %s. Names that differ only in case are the same name.", had.Name)
	case had.Path != path && (kind == iam.KindRole || kind == iam.KindPolicy):
		if !had.Declared {
			return common, nil, invalid("The %s %s exists with the path %s, which cannot change: declare it with path: %s to take it over.", kind.Noun(), had.Name, had.Path, had.Path)
		}
		a.Remove(old)
		a.removed = append(a.removed, old)
		return common, nil, nil
	}
	common.ID, common.Created = had.ID, had.Created
	return common, old, nil
}

func keyOfDeclared(kind iam.Kind, d *Entity) nameKey {
	return nameKey{d.Account, kind, strings.ToLower(d.Name)}
}

// A nameKey is a name that one entity can have. Names that differ only in case
// are the same name.
type nameKey struct {
	account string
	kind    iam.Kind
	name    string // in lower case
}

func keyOf(e iam.Entity) nameKey {
	c := e.Base()
	return nameKey{c.Account, e.Kind(), strings.ToLower(c.Name)}
}

// finish puts e in the place of old, if that is not the same.
func (a *applier) finish(e, old iam.Entity) error {
	if old == nil {
		a.Set(e)
		kind := EntityCreated
		if slices.ContainsFunc(a.removed, func(r iam.Entity) bool { return keyOf(r) == keyOf(e) }) {
			kind = EntityReplaced
		}
		a.note(kind, e)
		return nil
	}
	fields, err := differences(old, e)
	if err != nil || len(fields) == 0 {
		return err
	}
	a.Set(e)
	if old.Base().Declared {
		a.note(EntityChanged, e, fields...)
	} else {
		a.note(EntityAdopted, e, slices.DeleteFunc(fields, func(f string) bool { return f == "declared" })...)
	}
	return nil
}

// differences returns the fields in which two entities of a kind are stored
// differently, in their order.
func differences(a, b iam.Entity) ([]string, error) {
	was, err := fields(a)
	if err != nil {
		return nil, err
	}
	is, err := fields(b)
	if err != nil {
		return nil, err
	}
	changed := map[string]bool{}
	for name, value := range was {
		changed[name] = string(is[name]) != string(value)
	}
	for name := range is {
		if _, ok := was[name]; !ok {
			changed[name] = true
		}
	}
	maps.DeleteFunc(changed, func(_ string, differs bool) bool { return !differs })
	return slices.Sorted(maps.Keys(changed)), nil
}

func fields(e iam.Entity) (map[string]jsontext.Value, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	var values map[string]jsontext.Value
	return values, json.Unmarshal(body, &values)
}
