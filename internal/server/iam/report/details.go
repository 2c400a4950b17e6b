package report

import (
	"context"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
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
	entity iam.Kind
}{
	{DetailUser, iam.KindUser},
	{DetailGroup, iam.KindGroup},
	{DetailRole, iam.KindRole},
	{DetailLocalPolicy, iam.KindPolicy},
	{DetailAWSPolicy, iam.KindPolicy},
}

// A Detail is an entity with its permissions: one of User, Group, Role and
// Policy is set.
type Detail struct {
	User   *iam.User
	Group  *iam.Group
	Role   *iam.Role
	Policy *iam.PolicyUse
	// Attached are the managed policies of a user, a group or a role.
	Attached []*iam.Policy
	// Groups are the groups of a user.
	Groups []*iam.Group
}

// AccountDetails lists everything in the caller's account: users, groups, roles,
// managed policies and those of AWS's that are in use. kinds selects; none is
// all. after is the Next of the page before. Faults: ValidationError.
func (s *Service) AccountDetails(ctx context.Context, kinds []DetailKind, after string, most int) (iam.Listing[Detail], error) {
	var l iam.Listing[Detail]
	c, err := s.core.Caller(ctx)
	if err != nil {
		return l, err
	}
	if err := s.core.Authorize(ctx, &authz.Request{Action: "iam:GetAccountAuthorizationDetails", Resource: "*"}); err != nil {
		return l, err
	}
	if most == 0 {
		most = iam.DefaultPage
	}
	sn := s.core.Snapshot()
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
			owner = iam.AWSAccount
		}
		last := name
		for e := range sn.Entities(owner, k.entity, name) {
			d := detail(sn, c.Account, e)
			if k.kind == DetailAWSPolicy && d.Policy.Attachments+d.Policy.Boundaries == 0 {
				continue
			}
			if len(l.Entries) == most {
				l.Next = string(k.kind) + "/" + last
				return l, nil
			}
			l.Entries = append(l.Entries, d)
			last = e.Base().Name
		}
		from, name = "", ""
	}
	return l, nil
}

func detail(sn *iam.Snapshot, account string, e iam.Entity) Detail {
	d := Detail{Attached: sn.AttachedTo(e)}
	switch e := e.(type) {
	case *iam.User:
		d.User, d.Groups = e, sn.GroupsOf(e)
	case *iam.Group:
		d.Group = e
	case *iam.Role:
		d.Role = e
	case *iam.Policy:
		d.Policy = new(sn.Use(account, e))
	}
	return d
}
