package iam

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/resourcetags"
)

// A Kind is a kind of entity. Its text is the word that AWS uses in the names of
// operations: CreateUser, PutRolePolicy.
type Kind string

// The kinds. An account also stands for its root.
const (
	KindAccount Kind = "Account"
	KindUser    Kind = "User"
	KindGroup   Kind = "Group"
	KindRole    Kind = "Role"
	KindPolicy  Kind = "Policy"
	// KindOIDCProvider is an OpenID Connect issuer that an account trusts.
	KindOIDCProvider Kind = "OpenIDConnectProvider"
)

// Noun is the kind in a sentence and, apart from root's, in an ARN.
func (k Kind) Noun() string {
	if k == KindOIDCProvider {
		return "oidc-provider"
	}
	return strings.ToLower(string(k))
}

// A Tag is a key with a value.
type Tag = resourcetags.Tag

// An InlinePolicy is a policy that is part of one user, group or role.
type InlinePolicy struct {
	Name     string `json:"name"`
	Document string `json:"document"`
}

// An Entity is what the snapshot holds, and is immutable in it. To change one,
// copy it, change the copy, and replace every slice that changes.
type Entity interface {
	Kind() Kind
	// common returns the part that all kinds have.
	Base() *Common
	// references lists what must not be deleted while this entity exists: see
	// the reference functions.
	references() []string
	// accessKeys are the keys that the entity has.
	AccessKeys() []AccessKey
	// compile prepares a copy for the snapshot, by parsing its policies.
	compile(c *compiler)
}

// Common is what every entity has.
type Common struct {
	// ID is the unique id, AIDA…, AGPA…, AROA… or ANPA…, or the account's twelve
	// digits. No other entity ever gets it again.
	ID      string    `json:"-"`
	Account string    `json:"-"`
	Path    string    `json:"path,omitzero"`
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Tags    []Tag     `json:"tags,omitempty"`
	// Declared says that the entity comes from the configuration file, and that
	// only [Service.Apply] changes or deletes it.
	Declared bool `json:"declared,omitzero"`
}

func (c *Common) Base() *Common { return c }

// Permissions is what users, groups and roles are given. Groups have no boundary.
type Permissions struct {
	// Boundary is the ARN of the permissions boundary, or empty.
	Boundary string `json:"boundary,omitzero"`
	// Inline is in the order of the names.
	Inline []InlinePolicy `json:"inline,omitempty"`
	// Attached are ARNs of managed policies, in the order of attachment.
	Attached []string `json:"attached,omitempty"`

	inline []*policy.Policy
}

func (p *Permissions) permissions() *Permissions { return p }

func (p *Permissions) references(account string) []string {
	refs := make([]string, 0, len(p.Attached)+1)
	for _, a := range p.Attached {
		refs = append(refs, attachmentOf(account, a))
	}
	if p.Boundary != "" {
		refs = append(refs, boundaryOf(account, p.Boundary))
	}
	return refs
}

// compile takes what the permissions are attached to: "user/alice".
func (p *Permissions) compile(c *compiler, attachment string) {
	p.inline = make([]*policy.Policy, len(p.Inline))
	for i, doc := range p.Inline {
		p.inline[i] = c.policy(doc.Document, policy.Identity, policy.Source{Name: doc.Name, Attachment: attachment})
	}
}

// The names under which the snapshot counts references.
func attachmentOf(account, policyARN string) string { return account + " attachment " + policyARN }
func boundaryOf(account, policyARN string) string   { return account + " boundary " + policyARN }
func membershipOf(groupID string) string            { return "membership " + groupID }

func aliasOf(alias string) string { return "alias " + alias }

// An Account owns everything else, and has a root with all permissions.
type Account struct {
	Common
	// Alias is unique over all accounts; empty if there is none.
	Alias string      `json:"alias,omitzero"`
	Keys  []AccessKey `json:"keys,omitempty"`
	// Issues means that the account is an OpenID Connect issuer: its identities can get
	// web identity tokens.
	Issues bool `json:"issues,omitzero"`
}

func (*Account) Kind() Kind                { return KindAccount }
func (a *Account) AccessKeys() []AccessKey { return a.Keys }
func (*Account) compile(*compiler)         {}

func (a *Account) references() []string {
	if a.Alias == "" {
		return nil
	}
	return []string{aliasOf(a.Alias)}
}

// ARN returns root's.
func (a *Account) ARN() string { return arn.New("iam", "", a.ID, "root").String() }

// A User is a person or a machine with long-term credentials.
type User struct {
	Common
	Permissions
	// Groups are unique ids.
	Groups []string    `json:"groups,omitempty"`
	Keys   []AccessKey `json:"keys,omitempty"`

	resolved *atomic.Pointer[resolution]
}

func (*User) Kind() Kind                { return KindUser }
func (u *User) AccessKeys() []AccessKey { return u.Keys }

func (u *User) references() []string {
	refs := u.Permissions.references(u.Account)
	for _, g := range u.Groups {
		refs = append(refs, membershipOf(g))
	}
	return refs
}

func (u *User) compile(c *compiler) {
	u.Permissions.compile(c, attachment(u))
	u.resolved = new(atomic.Pointer[resolution])
}

// ARN returns the user's.
func (u *User) ARN() string { return ARNOf(u) }

// A Group gives its permissions to its members. The members name their groups.
type Group struct {
	Common
	Permissions
}

func (*Group) Kind() Kind              { return KindGroup }
func (g *Group) references() []string  { return g.Permissions.references(g.Account) }
func (*Group) AccessKeys() []AccessKey { return nil }

func (g *Group) compile(c *compiler) { g.Permissions.compile(c, attachment(g)) }

// ARN returns the group's.
func (g *Group) ARN() string { return ARNOf(g) }

// A Role is what others act as, for a while.
type Role struct {
	Common
	Permissions
	Description string `json:"description,omitzero"`
	// MaxSession is how long a session of the role can last, in seconds: 3600 to
	// 43200.
	MaxSession int `json:"max_session"`
	// Trust is the trust policy, in which users and roles are unique ids: one
	// that is deleted and created again is not trusted any more. See
	// [Service.ShowPrincipals] for how it is shown.
	Trust string `json:"trust"`

	trust    *policy.Policy
	resolved *atomic.Pointer[resolution]
}

func (*Role) Kind() Kind              { return KindRole }
func (r *Role) references() []string  { return r.Permissions.references(r.Account) }
func (*Role) AccessKeys() []AccessKey { return nil }

func (r *Role) compile(c *compiler) {
	r.Permissions.compile(c, attachment(r))
	r.trust = c.policy(r.Trust, policy.Trust, policy.Source{ARN: r.ARN()})
	r.resolved = new(atomic.Pointer[resolution])
}

// TrustPolicy is the compiled trust policy.
func (r *Role) TrustPolicy() *policy.Policy { return r.trust }

// ARN returns the role's.
func (r *Role) ARN() string { return ARNOf(r) }

// A Policy is a managed policy. The account of AWS's own is "aws".
type Policy struct {
	Common
	Description string          `json:"description,omitzero"`
	Updated     time.Time       `json:"updated"`
	Versions    []PolicyVersion `json:"versions"`
	// Default is the number of the version in force, and Last the highest that
	// was ever given.
	Default int `json:"default"`
	Last    int `json:"last"`

	compiled *policy.Policy
}

// A PolicyVersion is one text of a managed policy.
type PolicyVersion struct {
	Number   int       `json:"number"`
	Created  time.Time `json:"created"`
	Document string    `json:"document"`
}

func (*Policy) Kind() Kind              { return KindPolicy }
func (*Policy) references() []string    { return nil }
func (*Policy) AccessKeys() []AccessKey { return nil }

func (p *Policy) compile(c *compiler) {
	p.compiled = c.policy(p.DefaultVersion().Document, policy.Identity, policy.Source{Name: p.Name, ARN: p.ARN()})
}

// ARN returns the policy's.
func (p *Policy) ARN() string { return ARNOf(p) }

// DefaultVersion returns the version in force.
func (p *Policy) DefaultVersion() PolicyVersion {
	v, _ := p.Version(p.Default)
	return v
}

// Version returns a version by its number.
func (p *Policy) Version(number int) (PolicyVersion, bool) {
	for _, v := range p.Versions {
		if v.Number == number {
			return v, true
		}
	}
	return PolicyVersion{}, false
}

// ofService reports whether the policy is for service-linked roles alone.
func (p *Policy) ofService() bool {
	return p.AWSManaged() && strings.HasPrefix(p.Path, serviceLinkedPath)
}

// AWSAccount stands in ARNs for the owner of AWS's managed policies.
const AWSAccount = "aws"

// AWSManaged reports whether the policy is one of AWS's own, which no one changes.
func (p *Policy) AWSManaged() bool { return p.Account == AWSAccount }

// An AccessKey is a long-term key. Its secret is derived from the keyring.
type AccessKey struct {
	ID string `json:"id"`
	// KeyringID names the key of the keyring from which the secret comes.
	KeyringID string    `json:"keyring_id"`
	Active    bool      `json:"active"`
	Created   time.Time `json:"created"`
	// Name is the name of a declared key: see declare.User.
	Name string `json:"name,omitzero"`
}

func ARNOf(e Entity) string {
	c := e.Base()
	return arn.New("iam", "", c.Account, e.Kind().Noun()+c.Path+c.Name).String()
}

// attachment is how a [policy.Source] names what a policy is attached to.
func attachment(e Entity) string { return e.Kind().Noun() + "/" + e.Base().Name }
