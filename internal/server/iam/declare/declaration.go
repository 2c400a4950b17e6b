// Package declare makes the identities in the configuration file real: [Apply]
// creates, changes and deletes users, groups, roles, policies and OIDC providers
// until they are what a [Declaration] says, in one transaction.
package declare

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
	"github.com/gatehouse-registry/gatehouse/internal/server/webidentity"
)

// A Declaration is all the identities that the configuration declares, of every
// account. [Apply] makes them so.
type Declaration struct {
	Users    []User
	Groups   []Group
	Roles    []Role
	Policies []Policy
	// OIDCProviders are named by their issuers: see [OIDCProvider].
	OIDCProviders []OIDCProvider
}

// A Entity is what all declared identities have.
type Entity struct {
	// Where is the place in the configuration, for messages: "iam.users.alice".
	Where string
	// Path is "/" if it is empty.
	Account, Path, Name string
	// Tags are in the order of their keys. Groups have none.
	Tags []iam.Tag
	// Adopt takes over an entity of that name that was not declared before. It
	// keeps its unique id, and everything else becomes what is declared.
	Adopt bool
}

// A Document is the text of a policy.
type Document struct {
	// Where is the place in the configuration: "iam.roles.ci.trust (line 12)".
	Where string
	// Name is an inline policy's.
	Name string
	Text string
}

// Permissions are what users, groups and roles are given.
type Permissions struct {
	// Policies are managed policies: ARNs, or the names of policies of the
	// account or, if it has none of that name, of AWS.
	Policies []string
	Inline   []Document // in the order of their names
	// Boundary is one such policy, or empty. Groups have none.
	Boundary string
}

// A User is a user.
type User struct {
	Entity
	Permissions
	// Groups are names of groups of the account.
	Groups []string
	// AccessKeys are names for access keys. A key is created when its name first
	// appears, stays the same key while the name does, and is deleted with it. The
	// id of a key that an adopted user has keeps that key.
	AccessKeys []string
}

// A Group is a group; its members are those users that say so.
type Group struct {
	Entity
	Permissions
}

// A Role is a role.
type Role struct {
	Entity
	Permissions
	Description string
	// MaxSession is in seconds; 0 is an hour.
	MaxSession int
	Trust      Document
}

// A Policy is a managed policy.
type Policy struct {
	Entity
	Description string
	Document    Document
}

// A OIDCProvider is an OpenID Connect issuer that the account trusts.
type OIDCProvider struct {
	// Of Entity name and path do not count: the issuer gives them.
	Entity
	// Issuer, ClientIDs and Thumbprints are as in [NewOIDCProvider].
	Issuer                 string
	ClientIDs, Thumbprints []string
}

// entity is the part that all have, with the name.
func (p *OIDCProvider) entity() *Entity {
	e := p.Entity
	e.Name = webidentity.Name(p.Issuer)
	return &e
}

// A Error says what in the configuration cannot be applied.
type Error struct {
	Where string
	Err   error
}

func (e *Error) Error() string {
	var malformed *policy.MalformedError
	if errors.As(e.Err, &malformed) { // with the details, which the API leaves out
		return e.Where + ": " + malformed.Error()
	}
	return e.Where + ": " + fault.From(e.Err).Message
}

// Unwrap returns the cause, a fault.
func (e *Error) Unwrap() error { return e.Err }

// at names the place of an error. atPlace(where, nil) is nil, and an error that has a
// place keeps it. What is not a fault is a failed machine, and no one's declaration.
func atPlace(where string, err error) error {
	var placed *Error
	var f *fault.Error
	if err == nil || errors.As(err, &placed) || !errors.As(err, &f) {
		return err
	}
	return &Error{where, err}
}

// maxDescription is in characters (IAM API Reference, CreateRole and
// CreatePolicy).
const maxDescription = 1000

// keyNamePattern matches names of declared access keys, which become part of a
// profile's.
var keyNamePattern = lazyregexp.New(`^[A-Za-z0-9_.-]{1,64}$`)

// Validate checks the form of everything that is declared, without a look at what
// exists. It returns all that is wrong: [*Error]s, joined.
func (d *Declaration) Validate() error {
	v := declarationCheck{seen: map[nameKey]string{}}
	for i := range d.Users {
		u := &d.Users[i]
		v.entity(iam.KindUser, &u.Entity)
		v.permissions(iam.KindUser, &u.Entity, &u.Permissions)
		v.add(u.Where, checkUser(u))
	}
	for i := range d.Groups {
		g := &d.Groups[i]
		v.entity(iam.KindGroup, &g.Entity)
		v.permissions(iam.KindGroup, &g.Entity, &g.Permissions)
	}
	for i := range d.Roles {
		r := &d.Roles[i]
		v.entity(iam.KindRole, &r.Entity)
		v.permissions(iam.KindRole, &r.Entity, &r.Permissions)
		v.add(r.Where, checkDescription(r.Description))
		if r.MaxSession != 0 {
			v.add(r.Where, iam.CheckMaxSession(r.MaxSession))
		}
		v.add(r.Trust.Where, iam.CheckDocument(r.Trust.Text, policy.Trust))
	}
	for i := range d.Policies {
		p := &d.Policies[i]
		v.entity(iam.KindPolicy, &p.Entity)
		v.add(p.Where, checkDescription(p.Description))
		v.add(p.Document.Where, iam.CheckManagedPolicy(p.Document.Text))
	}
	for i := range d.OIDCProviders {
		p := &d.OIDCProviders[i]
		v.once(iam.KindOIDCProvider, p.entity())
		_, err := iam.MergeTags(nil, p.Tags)
		v.add(p.Where, err)
		_, err = iam.CheckClientIDs(p.ClientIDs)
		v.add(p.Where, err)
		_, err = iam.CheckThumbprints(p.Thumbprints)
		v.add(p.Where, err)
	}
	return errors.Join(v.errs...)
}

// A declarationCheck gathers what is wrong.
type declarationCheck struct {
	errs []error
	seen map[nameKey]string
}

func (v *declarationCheck) add(where string, err error) {
	if err != nil {
		v.errs = append(v.errs, atPlace(where, err))
	}
}

func (v *declarationCheck) entity(kind iam.Kind, e *Entity) {
	v.add(e.Where, iam.CheckName(kind, e.Name))
	_, err := iam.CheckPath(e.Path)
	v.add(e.Where, err)
	_, err = iam.MergeTags(nil, e.Tags)
	v.add(e.Where, err)
	v.once(kind, e)
}

// once checks that there is no other of the name.
func (v *declarationCheck) once(kind iam.Kind, e *Entity) {
	key := keyOfDeclared(kind, e)
	if other, ok := v.seen[key]; ok {
		v.add(e.Where, invalid("There is also %s. Names that differ only in case are the same name.", other))
	}
	v.seen[key] = e.Where
}

func (v *declarationCheck) permissions(kind iam.Kind, e *Entity, p *Permissions) {
	for _, doc := range p.Inline {
		v.add(doc.Where, iam.CheckName(iam.KindPolicy, doc.Name))
		v.add(doc.Where, iam.CheckDocument(doc.Text, policy.Identity))
	}
	v.add(e.Where, iam.CheckInlineSize(kind, e.Name, p.inline()))
	v.add(e.Where, checkUnique("policy", p.Policies))
}

// checkUser checks what only users have.
func checkUser(u *User) error {
	if err := checkUnique("group", u.Groups); err != nil {
		return err
	}
	if err := checkUnique("access key", u.AccessKeys); err != nil {
		return err
	}
	switch {
	case len(u.Groups) > iam.MaxGroups:
		return iam.TooManyGroups()
	case len(u.AccessKeys) > iam.MaxKeys:
		return iam.TooManyKeys()
	}
	for _, name := range u.AccessKeys {
		if !keyNamePattern.MatchString(name) {
			return invalid("The name %q of an access key is invalid: it has 1 to 64 letters, digits or characters of _.-", name)
		}
	}
	return nil
}

func checkDescription(text string) error {
	if n := len([]rune(text)); n > maxDescription {
		return invalid("The description has %d characters, and at most %d are accepted.", n, maxDescription)
	}
	return nil
}

func checkUnique(what string, names []string) error {
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return invalid("The %s %s is named twice.", what, name)
		}
	}
	return nil
}

func (p *Permissions) inline() []iam.InlinePolicy {
	var out []iam.InlinePolicy
	for _, doc := range p.Inline {
		out = append(out, iam.InlinePolicy{Name: doc.Name, Document: doc.Text})
	}
	return out
}

// SortedTags returns tags in the order of their keys.
func SortedTags(tags map[string]string) []iam.Tag {
	var out []iam.Tag
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, iam.Tag{Key: key, Value: tags[key]})
	}
	return out
}

// isKeyID reports whether a name is the id of an access key.
func isKeyID(name string) bool {
	return len(name) == keyIDLength && strings.HasPrefix(name, string(token.LongTermKey))
}

// keyIDLength is the length of an id AKIA….
const keyIDLength = 20

func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, "ValidationError", format, args...)
}
