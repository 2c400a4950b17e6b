package iam

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// A ChangeKind says what [Service.Apply] did with an entity.
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

// A Change is one entity that [Service.Apply] changed.
type Change struct {
	Kind ChangeKind
	ARN  string
	// Fields are the parts that differ, of an entity that was changed or adopted,
	// by the names under which they are stored.
	Fields []string
}

// Apply makes the declared identities what the declaration says, and deletes
// those of earlier declarations that it does not have any more, all in one
// transaction: it is applied whole or not at all. Applied again, it changes
// nothing. What was created through the API is left alone, unless it is adopted.
//
// The changes are in the order in which they were made. Errors are
// [*DeclarationError]s where the declaration is to blame: its form, a name that is
// taken by what was not declared, something that does not exist or is in use.
//
// Apply authorizes nobody: who writes the configuration owns the server.
func (s *Service) Apply(ctx context.Context, declaration Declaration) ([]Change, error) {
	if err := declaration.Validate(); err != nil {
		return nil, err
	}
	var changes []Change
	err := s.commit(ctx, func(d *draft) error {
		a := &application{draft: d, service: s}
		defer func() { changes = a.changes }()
		return a.apply(&declaration)
	})
	if err != nil {
		return nil, err
	}
	return changes, nil
}

// Declared returns the number of entities that declarations have left.
func (s *Service) Declared() int {
	n := 0
	for range s.current.Load().declared() {
		n++
	}
	return n
}

// DeclaredCredentials are those of a declared access key.
type DeclaredCredentials struct {
	Credentials
	// Key is the name of the key.
	Key string
}

// DeclaredKeys returns the credentials of all declared access keys of the
// accounts, in the order of accounts, users and keys.
func (s *Service) DeclaredKeys(accounts []string) ([]DeclaredCredentials, error) {
	var out []DeclaredCredentials
	sn := s.current.Load()
	for _, account := range accounts {
		for u := range list[*User](sn, account, KindUser, "") {
			for _, k := range u.Keys {
				if k.Name == "" || !k.Active {
					continue
				}
				secret, err := s.keyring.AccessKeySecret(k.KeyringID, k.ID)
				if err != nil {
					return nil, fmt.Errorf("iam: access key %s of %s: %w", k.Name, u.ARN(), err)
				}
				out = append(out, DeclaredCredentials{Credentials{account, u.Name, k.ID, secret}, k.Name})
			}
		}
	}
	return out, nil
}

// An application is the work of one [Service.Apply] on one draft.
type application struct {
	*draft
	service *Service
	changes []Change
	removed []entity
}

// apply goes in an order in which everything finds what it refers to. What is not
// declared any more goes first, since its name may be taken again. Roles come in
// two steps, because they may trust each other.
func (a *application) apply(d *Declaration) error {
	a.removeUndeclared(d)
	for i := range d.Policies {
		if err := a.policy(&d.Policies[i]); err != nil {
			return at(d.Policies[i].Where, err)
		}
	}
	for i := range d.OIDCProviders {
		if err := a.provider(&d.OIDCProviders[i]); err != nil {
			return at(d.OIDCProviders[i].Where, err)
		}
	}
	for i := range d.Groups {
		if err := a.group(&d.Groups[i]); err != nil {
			return at(d.Groups[i].Where, err)
		}
	}
	for i := range d.Users {
		if err := a.user(&d.Users[i]); err != nil {
			return at(d.Users[i].Where, err)
		}
	}
	roles := make([]*Role, len(d.Roles))
	for i := range d.Roles {
		var err error
		if roles[i], err = a.beginRole(&d.Roles[i]); err != nil {
			return at(d.Roles[i].Where, err)
		}
	}
	for i := range d.Roles {
		if err := a.role(&d.Roles[i], roles[i]); err != nil {
			return at(d.Roles[i].Where, err)
		}
	}
	return a.checkRemoved()
}

func (a *application) note(kind ChangeKind, e entity, fields ...string) {
	a.changes = append(a.changes, Change{kind, entityARN(e), fields})
}

// names yields what is declared.
func (d *Declaration) names() map[nameKey]string {
	names := map[nameKey]string{}
	add := func(kind Kind, e *DeclaredEntity) {
		names[keyOfDeclared(kind, e)] = e.Name
	}
	for i := range d.Users {
		add(KindUser, &d.Users[i].DeclaredEntity)
	}
	for i := range d.Groups {
		add(KindGroup, &d.Groups[i].DeclaredEntity)
	}
	for i := range d.Roles {
		add(KindRole, &d.Roles[i].DeclaredEntity)
	}
	for i := range d.Policies {
		add(KindPolicy, &d.Policies[i].DeclaredEntity)
	}
	for i := range d.OIDCProviders {
		add(KindOIDCProvider, d.OIDCProviders[i].entity())
	}
	return names
}

// removeUndeclared removes what only an earlier declaration has.
func (a *application) removeUndeclared(d *Declaration) {
	names := d.names()
	for _, e := range slices.Collect(a.declared()) {
		if names[keyOf(e)] == e.common().Name {
			continue
		}
		a.remove(e)
		a.removed = append(a.removed, e)
		a.note(EntityDeleted, e)
	}
}

// checkRemoved reports what is gone and still in use by what is not declared: to
// take a policy or a group away from it could also give it more, where there is a
// Deny, and is not ours to decide.
func (a *application) checkRemoved() error {
	for _, e := range a.removed {
		for _, reference := range referencesTo(e) {
			if a.uses(reference) == 0 {
				continue
			}
			noun, account := e.kind().noun(), e.common().Account
			return &DeclarationError{"iam", fault.New(fault.Conflict, "DeleteConflict",
				"The %s %s is not declared any more, or under another path, and still in use by %s of account %s. Keep it in the file, or take it from them first.",
				noun, e.common().Name, strings.Join(a.users(account, reference), ", "), account)}
		}
	}
	return nil
}

// referencesTo are the names under which the snapshot counts who uses e.
func referencesTo(e entity) []string {
	switch e := e.(type) {
	case *Policy:
		return []string{attachmentOf(e.Account, e.ARN()), boundaryOf(e.Account, e.ARN())}
	case *Group:
		return []string{membershipOf(e.ID)}
	}
	return nil
}

// users returns who of an account has a reference: "user/alice".
func (s *snapshot) users(account, reference string) []string {
	var names []string
	for _, kind := range []Kind{KindGroup, KindRole, KindUser} {
		for e := range list[entity](s, account, kind, "") {
			if slices.Contains(e.references(), reference) {
				names = append(names, attachment(e))
			}
		}
	}
	return names
}

// begin returns what the declared entity begins with, and the one that exists
// already; that is nil where it is to be created.
func (a *application) begin(kind Kind, d *DeclaredEntity) (common Common, old entity, err error) {
	path, err := checkPath(d.Path)
	if err != nil {
		return common, nil, err
	}
	common = Common{ID: newEntityID(kind), Account: d.Account, Path: path, Name: d.Name, Created: a.service.second(), Tags: d.Tags, Declared: true}
	old, ok := a.byName.Get(keyOfDeclared(kind, d))
	if !ok {
		return common, nil, nil
	}
	had := old.common()
	switch {
	case !had.Declared && !d.Adopt:
		return common, nil, fault.New(fault.Conflict, "EntityAlreadyExists",
			"The %s %s exists already and was not created by this file. Set adopt: true to take it over (it becomes what the file says, and what else it has is taken away), or choose another name.", kind.noun(), had.Name)
	case had.Name != d.Name:
		return common, nil, fault.New(fault.Conflict, "EntityAlreadyExists", "The name is %s, as it exists: names that differ in case alone are the same name.", had.Name)
	case had.Path != path && (kind == KindRole || kind == KindPolicy):
		if !had.Declared {
			return common, nil, invalid("The %s %s exists with the path %s, which cannot change: declare it with path: %s to take it over.", kind.noun(), had.Name, had.Path, had.Path)
		}
		a.remove(old)
		a.removed = append(a.removed, old)
		return common, nil, nil
	}
	common.ID, common.Created = had.ID, had.Created
	return common, old, nil
}

func keyOfDeclared(kind Kind, d *DeclaredEntity) nameKey {
	return nameKey{d.Account, kind, strings.ToLower(d.Name)}
}

// finish puts e in the place of old, if that is not the same.
func (a *application) finish(e, old entity) error {
	if old == nil {
		a.set(e)
		kind := EntityCreated
		if slices.ContainsFunc(a.removed, func(r entity) bool { return keyOf(r) == keyOf(e) }) {
			kind = EntityReplaced
		}
		a.note(kind, e)
		return nil
	}
	fields, err := differences(old, e)
	if err != nil || len(fields) == 0 {
		return err
	}
	a.set(e)
	if old.common().Declared {
		a.note(EntityChanged, e, fields...)
	} else {
		a.note(EntityAdopted, e, slices.DeleteFunc(fields, func(f string) bool { return f == "declared" })...)
	}
	return nil
}

// differences returns the fields in which two entities of a kind are stored
// differently, in their order.
func differences(a, b entity) ([]string, error) {
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

func fields(e entity) (map[string]jsontext.Value, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	var values map[string]jsontext.Value
	return values, json.Unmarshal(body, &values)
}
