package declare

import (
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// newEntityID returns a new unique id.
func newEntityID(kind iam.Kind) string {
	return token.NewID(map[iam.Kind]token.IDPrefix{
		iam.KindUser: token.UserID, iam.KindGroup: token.GroupID, iam.KindRole: token.RoleID, iam.KindPolicy: token.ManagedPolicy, iam.KindOIDCProvider: iam.OIDCProviderID,
	}[kind])
}

// policy applies a managed policy. A text that changes is a new version, and the
// default; the oldest one makes room.
func (a *applier) policy(d *Policy) error {
	common, old, err := a.begin(iam.KindPolicy, &d.Entity)
	if err != nil {
		return err
	}
	p := &iam.Policy{Common: common, Description: d.Description, Updated: common.Created}
	if was, ok := old.(*iam.Policy); ok {
		p.Updated, p.Versions, p.Default, p.Last = was.Updated, was.Versions, was.Default, was.Last
	}
	if old == nil || p.DefaultVersion().Document != d.Document.Text {
		if len(p.Versions) == iam.MaxVersions {
			p.Versions = p.Versions[1:]
		}
		p.Default = p.AddVersion(d.Document.Text, a.core.Second()).Number
	}
	return a.finish(p, old)
}

// provider applies an OIDC provider.
func (a *applier) provider(d *OIDCProvider) error {
	if err := a.core.WebIdentities().CheckIssuer(d.Issuer); err != nil {
		return err
	}
	common, old, err := a.begin(iam.KindOIDCProvider, d.entity())
	if err != nil {
		return err
	}
	p := &iam.OIDCProvider{Common: common, Issuer: d.Issuer, Thumbprints: d.Thumbprints}
	if p.ClientIDs, err = iam.CheckClientIDs(d.ClientIDs); err != nil {
		return err
	}
	if err := a.finish(p, old); err != nil {
		return err
	}
	return a.CheckProviders(common.Account)
}

// group applies a group.
func (a *applier) group(d *Group) error {
	common, old, err := a.begin(iam.KindGroup, &d.Entity)
	if err != nil {
		return err
	}
	g := &iam.Group{Common: common}
	if g.Permissions, err = a.permissions(iam.KindGroup, common.Account, &d.Permissions); err != nil {
		return err
	}
	return a.finish(g, old)
}

// user applies a user.
func (a *applier) user(d *User) error {
	common, old, err := a.begin(iam.KindUser, &d.Entity)
	if err != nil {
		return err
	}
	u := &iam.User{Common: common}
	if u.Permissions, err = a.permissions(iam.KindUser, common.Account, &d.Permissions); err != nil {
		return err
	}
	for _, name := range d.Groups {
		g, ok := a.Named(common.Account, iam.KindGroup, name)
		if !ok {
			return iam.NoSuchEntity(iam.KindGroup, name)
		}
		u.Groups = append(u.Groups, g.Base().ID)
	}
	var had []iam.AccessKey
	if old != nil {
		had = old.AccessKeys()
	}
	if u.Keys, err = a.keys(d.AccessKeys, had); err != nil {
		return err
	}
	return a.finish(u, old)
}

// keys returns the keys of the names: those that the user had, and new ones.
func (a *applier) keys(names []string, had []iam.AccessKey) ([]iam.AccessKey, error) {
	var keys []iam.AccessKey
	for _, name := range names {
		i := slices.IndexFunc(had, func(k iam.AccessKey) bool { return k.Name == name || k.ID == name })
		var k iam.AccessKey
		switch {
		case i >= 0:
			k = had[i]
		case isKeyID(name):
			return nil, iam.NoSuchKey(name)
		default:
			k = a.core.NewKey()
		}
		k.Name = name
		keys = append(keys, k)
	}
	return keys, nil
}

// beginRole makes sure that a role has its unique id, by which the trust policies
// of others name it. It returns the role that was there, or nil.
func (a *applier) beginRole(d *Role) (*iam.Role, error) {
	common, old, err := a.begin(iam.KindRole, &d.Entity)
	if err != nil || old != nil {
		was, _ := old.(*iam.Role)
		return was, err
	}
	a.Set(&iam.Role{Common: common, MaxSession: iam.DefaultMaxSession, Trust: iam.TrustsNobody})
	return nil, nil
}

// role applies a role after [applier.beginRole].
func (a *applier) role(d *Role, old *iam.Role) error {
	now, _ := a.Named(d.Account, iam.KindRole, d.Name)
	common := *now.Base()
	common.Tags, common.Declared = d.Tags, true
	r := &iam.Role{Common: common, Description: d.Description, MaxSession: d.MaxSession}
	if r.MaxSession == 0 {
		r.MaxSession = iam.DefaultMaxSession
	}
	var err error
	if r.Permissions, err = a.permissions(iam.KindRole, common.Account, &d.Permissions); err != nil {
		return err
	}
	if r.Trust, err = a.BindTrust(d.Trust.Text); err != nil {
		return atPlace(d.Trust.Where, err)
	}
	if old == nil { // not a nil *iam.Role in an interface
		return a.finish(r, nil)
	}
	return a.finish(r, old)
}

// permissions returns what a holder is declared to have.
func (a *applier) permissions(kind iam.Kind, account string, d *Permissions) (iam.Permissions, error) {
	p := iam.Permissions{Inline: d.inline()}
	for _, name := range d.Policies {
		attached, err := a.attachable(account, name)
		if err != nil {
			return p, err
		}
		if !slices.Contains(p.Attached, attached) {
			p.Attached = append(p.Attached, attached)
		}
	}
	if len(p.Attached) > iam.MaxAttached {
		return p, iam.TooManyAttached(kind)
	}
	var err error
	if d.Boundary != "" {
		p.Boundary, err = a.attachable(account, d.Boundary)
	}
	return p, err
}

// attachable returns the ARN of a managed policy that is given by its ARN or by
// its name. Fault: NoSuchEntity.
func (a *applier) attachable(account, policy string) (string, error) {
	if strings.HasPrefix(policy, "arn:") {
		_, err := a.AttachablePolicy(account, policy)
		return policy, err
	}
	for _, owner := range []string{account, iam.AWSAccount} {
		if e, ok := a.Named(owner, iam.KindPolicy, policy); ok {
			return iam.ARNOf(e), nil
		}
	}
	return "", fault.New(fault.NotFound, "NoSuchEntity", "Neither the account nor AWS has a managed policy with the name %s.", policy)
}
