package iam

import (
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// newEntityID returns a new unique id.
func newEntityID(kind Kind) string {
	return token.NewID(map[Kind]token.IDPrefix{
		KindUser: token.UserID, KindGroup: token.GroupID, KindRole: token.RoleID, KindPolicy: token.ManagedPolicy, KindOIDCProvider: providerID,
	}[kind])
}

// policy applies a managed policy. A text that changes is a new version, and the
// default; the oldest one makes room.
func (a *application) policy(d *DeclaredPolicy) error {
	common, old, err := a.begin(KindPolicy, &d.DeclaredEntity)
	if err != nil {
		return err
	}
	p := &Policy{Common: common, Description: d.Description, Updated: common.Created}
	if was, ok := old.(*Policy); ok {
		p.Updated, p.Versions, p.Default, p.Last = was.Updated, was.Versions, was.Default, was.Last
	}
	if old == nil || p.DefaultVersion().Document != d.Document.Text {
		if len(p.Versions) == maxVersions {
			p.Versions = p.Versions[1:]
		}
		p.Default = p.addVersion(d.Document.Text, a.service.second()).Number
	}
	return a.finish(p, old)
}

// provider applies an OIDC provider.
func (a *application) provider(d *DeclaredOIDCProvider) error {
	if err := a.service.webIDs.CheckIssuer(d.Issuer); err != nil {
		return err
	}
	common, old, err := a.begin(KindOIDCProvider, d.entity())
	if err != nil {
		return err
	}
	p := &OIDCProvider{Common: common, Issuer: d.Issuer, Thumbprints: d.Thumbprints}
	if p.ClientIDs, err = checkClientIDs(d.ClientIDs); err != nil {
		return err
	}
	if err := a.finish(p, old); err != nil {
		return err
	}
	return a.checkProviders(common.Account)
}

// group applies a group.
func (a *application) group(d *DeclaredGroup) error {
	common, old, err := a.begin(KindGroup, &d.DeclaredEntity)
	if err != nil {
		return err
	}
	g := &Group{Common: common}
	if g.Permissions, err = a.permissions(KindGroup, common.Account, &d.DeclaredPermissions); err != nil {
		return err
	}
	return a.finish(g, old)
}

// user applies a user.
func (a *application) user(d *DeclaredUser) error {
	common, old, err := a.begin(KindUser, &d.DeclaredEntity)
	if err != nil {
		return err
	}
	u := &User{Common: common}
	if u.Permissions, err = a.permissions(KindUser, common.Account, &d.DeclaredPermissions); err != nil {
		return err
	}
	for _, name := range d.Groups {
		g, ok := a.named(common.Account, KindGroup, name)
		if !ok {
			return noSuch(KindGroup, name)
		}
		u.Groups = append(u.Groups, g.common().ID)
	}
	var had []AccessKey
	if old != nil {
		had = old.accessKeys()
	}
	if u.Keys, err = a.keys(d.AccessKeys, had); err != nil {
		return err
	}
	return a.finish(u, old)
}

// keys returns the keys of the names: those that the user had, and new ones.
func (a *application) keys(names []string, had []AccessKey) ([]AccessKey, error) {
	var keys []AccessKey
	for _, name := range names {
		i := slices.IndexFunc(had, func(k AccessKey) bool { return k.Name == name || k.ID == name })
		var k AccessKey
		switch {
		case i >= 0:
			k = had[i]
		case isKeyID(name):
			return nil, noSuchKey(name)
		default:
			k = a.service.newKey()
		}
		k.Name = name
		keys = append(keys, k)
	}
	return keys, nil
}

// beginRole makes sure that a role has its unique id, by which the trust policies
// of others name it. It returns the role that was there, or nil.
func (a *application) beginRole(d *DeclaredRole) (*Role, error) {
	common, old, err := a.begin(KindRole, &d.DeclaredEntity)
	if err != nil || old != nil {
		was, _ := old.(*Role)
		return was, err
	}
	a.set(&Role{Common: common, MaxSession: minMaxSession, Trust: trustsNobody})
	return nil, nil
}

// role applies a role after [application.beginRole].
func (a *application) role(d *DeclaredRole, old *Role) error {
	now, _ := a.named(d.Account, KindRole, d.Name)
	common := *now.common()
	common.Tags, common.Declared = d.Tags, true
	r := &Role{Common: common, Description: d.Description, MaxSession: d.MaxSession}
	if r.MaxSession == 0 {
		r.MaxSession = minMaxSession
	}
	var err error
	if r.Permissions, err = a.permissions(KindRole, common.Account, &d.DeclaredPermissions); err != nil {
		return err
	}
	if r.Trust, err = a.bindTrust(d.Trust.Text); err != nil {
		return at(d.Trust.Where, err)
	}
	if old == nil { // not a nil *Role in an interface
		return a.finish(r, nil)
	}
	return a.finish(r, old)
}

// permissions returns what a holder is declared to have.
func (a *application) permissions(kind Kind, account string, d *DeclaredPermissions) (Permissions, error) {
	p := Permissions{Inline: d.inline()}
	for _, name := range d.Policies {
		attached, err := a.attachable(account, name)
		if err != nil {
			return p, err
		}
		if !slices.Contains(p.Attached, attached) {
			p.Attached = append(p.Attached, attached)
		}
	}
	if len(p.Attached) > maxAttached {
		return p, tooManyAttached(kind)
	}
	var err error
	if d.Boundary != "" {
		p.Boundary, err = a.attachable(account, d.Boundary)
	}
	return p, err
}

// attachable returns the ARN of a managed policy that is given by its ARN or by
// its name. Fault: NoSuchEntity.
func (a *application) attachable(account, policy string) (string, error) {
	if strings.HasPrefix(policy, "arn:") {
		_, err := usable(a.snapshot, account, policy)
		return policy, err
	}
	for _, owner := range []string{account, awsAccount} {
		if e, ok := a.named(owner, KindPolicy, policy); ok {
			return entityARN(e), nil
		}
	}
	return "", fault.New(fault.NotFound, "NoSuchEntity", "Neither the account nor AWS has a managed policy with the name %s.", policy)
}
