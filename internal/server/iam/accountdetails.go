package iam

import (
	"context"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
)

// A DetailKind is a kind of entity as GetAccountAuthorizationDetails filters
// them.
type DetailKind string

// The kinds of details.
const (
	DetailUser        DetailKind = "User"
	DetailGroup       DetailKind = "Group"
	DetailRole        DetailKind = "Role"
	DetailLocalPolicy DetailKind = "LocalManagedPolicy"
	DetailAWSPolicy   DetailKind = "AWSManagedPolicy"
)

// detailKinds is the order in which they are listed.
var detailKinds = []struct {
	kind   DetailKind
	entity Kind
}{
	{DetailUser, KindUser},
	{DetailGroup, KindGroup},
	{DetailRole, KindRole},
	{DetailLocalPolicy, KindPolicy},
	{DetailAWSPolicy, KindPolicy},
}

// A Detail is an entity with what it is given: one of User, Group, Role and
// Policy is set.
type Detail struct {
	User   *User
	Group  *Group
	Role   *Role
	Policy *PolicyUse
	// Attached are the managed policies of a user, a group or a role.
	Attached []*Policy
	// Groups are those of a user.
	Groups []*Group
}

// AccountDetails lists everything in the caller's account: users, groups, roles,
// managed policies and those of AWS's that are in use. kinds selects; none is
// all. after is the Next of the page before. Faults: ValidationError.
func (s *Service) AccountDetails(ctx context.Context, kinds []DetailKind, after string, most int) (Listing[Detail], error) {
	var l Listing[Detail]
	c, err := caller(ctx)
	if err != nil {
		return l, err
	}
	if err := s.authz.Authorize(ctx, &authz.Request{Action: "iam:GetAccountAuthorizationDetails", Resource: "*"}); err != nil {
		return l, err
	}
	if most == 0 {
		most = defaultPage
	}
	sn := s.current.Load()
	from, name, _ := strings.Cut(after, "/")
	for _, k := range detailKinds {
		switch {
		case from != "" && from != string(k.kind): // of an earlier page
			continue
		case len(kinds) > 0 && !slices.Contains(kinds, k.kind):
			from, name = "", ""
			continue
		}
		owner := c.Account
		if k.kind == DetailAWSPolicy {
			owner = awsAccount
		}
		last := name
		for e := range list[entity](sn, owner, k.entity, name) {
			d := sn.detail(c.Account, e)
			if k.kind == DetailAWSPolicy && d.Policy.Attachments+d.Policy.Boundaries == 0 {
				continue
			}
			if len(l.Entries) == most {
				l.Next = string(k.kind) + "/" + last
				return l, nil
			}
			l.Entries = append(l.Entries, d)
			last = e.common().Name
		}
		from, name = "", ""
	}
	return l, nil
}

func (s *snapshot) detail(account string, e entity) Detail {
	var d Detail
	switch e := e.(type) {
	case *User:
		d.User = e
		for _, id := range e.Groups {
			if g, ok := get[*Group](s, id); ok {
				d.Groups = append(d.Groups, g)
			}
		}
	case *Group:
		d.Group = e
	case *Role:
		d.Role = e
	case *Policy:
		d.Policy = new(s.use(account, e))
	}
	if h, ok := e.(holder); ok {
		for _, a := range h.permissions().Attached {
			if p, ok := s.policyByARN(a); ok {
				d.Attached = append(d.Attached, p)
			}
		}
	}
	return d
}
