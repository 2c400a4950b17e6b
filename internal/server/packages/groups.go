package packages

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages/grouppattern"
)

// A GroupID names a package group: a domain and a pattern, such as /npm/space/*. See
// package grouppattern for the patterns.
type GroupID struct {
	Domain  DomainID
	Pattern string
}

// ARN is arn:aws:codeartifact:REGION:OWNER:package-group/DOMAIN followed by the pattern,
// in which the suffixes $, ~ and * are escaped.
func (g GroupID) ARN() string {
	return g.Domain.arn("package-group/" + g.Domain.Name + groupARNEscapes.Replace(g.Pattern))
}

var (
	groupARNEscapes   = strings.NewReplacer("*", "%2a", "~", "%7e", "$", "%24")
	groupARNUnescapes = strings.NewReplacer("%2a", "*", "%2A", "*", "%7e", "~", "%7E", "~", "%24", "$")
)

// A PackageGroup describes a package group.
type PackageGroup struct {
	ID                   GroupID
	Contact, Description string
	Created              time.Time
	// Parent is the pattern of the group from which this one inherits; empty for the
	// root.
	Parent       string
	Restrictions map[OriginType]GroupRestriction
}

// A GroupRestriction says which repositories packages of a group may come into in one
// way.
type GroupRestriction struct {
	Mode OriginMode
	// Effective is Mode, or if that is Inherit, the mode of InheritedFrom: the closest
	// group above with another one.
	Effective     OriginMode
	InheritedFrom string
	// Repositories is the number of the group's own allowed repositories.
	Repositories int
}

func (d *domain) describeGroup(g *group) PackageGroup {
	out := PackageGroup{
		ID: GroupID{d.id, g.pattern.String()}, Contact: g.contact, Description: g.description, Created: g.created,
		Restrictions: map[OriginType]GroupRestriction{},
	}
	if parent := d.parentGroup(g.pattern); parent != nil {
		out.Parent = parent.pattern.String()
	}
	for _, t := range originTypes {
		own := g.restriction(t)
		r := GroupRestriction{Mode: own.Mode, Repositories: len(d.repositoryNames(own.Repositories))}
		from := d.effectiveGroup(g, t)
		if r.Effective = from.restriction(t).Mode; from != g {
			r.InheritedFrom = from.pattern.String()
		}
		out.Restrictions[t] = r
	}
	return out
}

// parsePattern reads the pattern of a group.
func parsePattern(text string) (grouppattern.Pattern, error) {
	p, err := grouppattern.Parse(text, func(name string) (grouppattern.Format, bool) {
		f := Format(name)
		return grouppattern.Format{Namespaces: f.rules().namespaces, Normalize: f.rules().namePrefix()}, f.Known()
	})
	if err != nil {
		return p, invalid("%q cannot be the pattern of a package group: %s.", text, err)
	}
	return p, nil
}

func groupNotFound(id GroupID) error {
	return fault.New(fault.NotFound, "ResourceNotFound", "Package group not found: %s in domain %s.", id.Pattern, id.Domain.Name).About("", id.Pattern)
}

// authorizeGroup authorizes the action on a group, whether it exists or not, and returns
// the domain, the pattern and the group, which is nil if it does not exist.
func (s *Service) authorizeGroup(ctx context.Context, action string, id GroupID, more authz.Request) (*domain, grouppattern.Pattern, *group, error) {
	pattern, malformed := parsePattern(id.Pattern)
	if malformed == nil {
		id.Pattern = pattern.String()
	}
	d := s.snapshot.Load().domain(id.Domain)
	var g *group
	more.Action, more.Resource, more.Account = action, id.ARN(), id.Domain.Owner
	if d != nil {
		more.Policies = policies(d.policy)
		if malformed == nil {
			g = d.groupOf(pattern)
		}
		if g != nil {
			more.ResourceTags = g.tags
		}
	}
	if err := s.authz.Authorize(ctx, &more); err != nil {
		return nil, pattern, nil, err
	}
	if d == nil {
		return nil, pattern, nil, domainNotFound(id.Domain)
	}
	return d, pattern, g, malformed
}

// existingGroup is authorizeGroup for a group that must exist.
func (s *Service) existingGroup(ctx context.Context, action string, id GroupID) (*domain, *group, error) {
	d, _, g, err := s.authorizeGroup(ctx, action, id, authz.Request{})
	if err == nil && g == nil {
		err = groupNotFound(id)
	}
	return d, g, err
}

// A NewGroup is the input of CreateGroup.
type NewGroup struct {
	ID                   GroupID
	Contact, Description string
	Tags                 map[string]string
}

// CreateGroup creates a package group, which inherits its origin restrictions. Fault
// Conflict: it exists already. codeartifact:CreatePackageGroup on the group, and with
// tags codeartifact:TagResource too.
func (s *Service) CreateGroup(ctx context.Context, n NewGroup) (PackageGroup, error) {
	var d *domain
	var pattern grouppattern.Pattern
	for _, action := range createActions("codeartifact:CreatePackageGroup", n.Tags) {
		var err error
		if d, pattern, _, err = s.authorizeGroup(ctx, action, n.ID, authz.Request{RequestTags: n.Tags}); err != nil {
			return PackageGroup{}, err
		}
	}
	if err := validGroupTexts(&n.Contact, &n.Description); err != nil {
		return PackageGroup{}, err
	}
	tags, err := mergeTags(nil, n.Tags)
	if err != nil {
		return PackageGroup{}, err
	}
	exists := conflict("", pattern.String(), "The package group %s exists in domain %s already.", pattern, d.id.Name)
	if pattern.IsRoot() {
		return PackageGroup{}, exists
	}
	return s.changeGroup(ctx, d, pattern, func(tx *db.Tx) error {
		n, err := insertGroup(ctx, tx, d, &group{pattern: pattern, contact: n.Contact, description: n.Description, created: s.now(), tags: tags, restrictions: map[OriginType]restriction{}})
		if err == nil && n == 0 {
			err = exists
		}
		return err
	})
}

// insertGroup returns 0 if the group exists.
func insertGroup(ctx context.Context, tx *db.Tx, d *domain, g *group) (int64, error) {
	if _, err := db.One(ctx, tx, db.Scalar[string], `SELECT id FROM pkg_domain WHERE id = $1`, d.row); err != nil {
		return 0, orNotFound(err, domainNotFound(d.id)) // deleted since
	}
	return tx.Exec(ctx, `INSERT INTO pkg_group (id, domain, pattern, contact, description, created, tags, restrictions)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (domain, pattern) DO NOTHING`,
		randid.Text(), d.row, g.pattern.String(), g.contact, g.description, db.Micros(g.created), asJSON(g.tags), asJSON(g.restrictions))
}

// changeGroup runs fn in a transaction and returns the group as it is afterwards. The
// root gets its row first, if it has none yet.
func (s *Service) changeGroup(ctx context.Context, d *domain, pattern grouppattern.Pattern, fn func(tx *db.Tx) error) (PackageGroup, error) {
	err := s.changeDomain(ctx, d.id, delta{group: pattern.String()}, func(tx *db.Tx) error {
		if pattern.IsRoot() {
			if _, err := insertGroup(ctx, tx, d, d.root); err != nil {
				return err
			}
		}
		return fn(tx)
	})
	if err != nil {
		return PackageGroup{}, err
	}
	if d = s.snapshot.Load().domain(d.id); d != nil {
		if g := d.groupOf(pattern); g != nil {
			return d.describeGroup(g), nil
		}
	}
	return PackageGroup{}, nil // deleted in the meantime, or by fn
}

func validGroupTexts(texts ...*string) error {
	for _, text := range texts {
		if text != nil {
			if err := validDescription(*text); err != nil {
				return err
			}
		}
	}
	return nil
}

// A GroupUpdate is the input of UpdateGroup; nil leaves a field as it is.
type GroupUpdate struct{ Contact, Description *string }

// UpdateGroup changes the contact and the description of a group.
// codeartifact:UpdatePackageGroup on the group.
func (s *Service) UpdateGroup(ctx context.Context, id GroupID, u GroupUpdate) (PackageGroup, error) {
	d, g, err := s.existingGroup(ctx, "codeartifact:UpdatePackageGroup", id)
	if err != nil {
		return PackageGroup{}, err
	}
	if err := validGroupTexts(u.Contact, u.Description); err != nil {
		return PackageGroup{}, err
	}
	return s.changeGroup(ctx, d, g.pattern, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE pkg_group SET contact = coalesce($3, contact), description = coalesce($4, description) WHERE domain = $1 AND pattern = $2`,
			d.row, g.pattern.String(), optionalText(u.Contact), optionalText(u.Description))
		if err == nil && n == 0 {
			err = groupNotFound(id)
		}
		return err
	})
}

// optionalText is NULL for nil.
func optionalText(s *string) any {
	if s == nil {
		return nil
	}
	return *s
}

// DescribeGroup returns a group. codeartifact:DescribePackageGroup on the group.
func (s *Service) DescribeGroup(ctx context.Context, id GroupID) (PackageGroup, error) {
	d, g, err := s.existingGroup(ctx, "codeartifact:DescribePackageGroup", id)
	if err != nil {
		return PackageGroup{}, err
	}
	return d.describeGroup(g), nil
}

// DeleteGroup deletes a group and returns it. Its packages and the groups below it belong
// to its parent then. The root cannot be deleted. codeartifact:DeletePackageGroup on the
// group.
func (s *Service) DeleteGroup(ctx context.Context, id GroupID) (PackageGroup, error) {
	d, g, err := s.existingGroup(ctx, "codeartifact:DeletePackageGroup", id)
	if err != nil {
		return PackageGroup{}, err
	}
	if g.pattern.IsRoot() {
		return PackageGroup{}, invalid("The package group %s cannot be deleted: every domain has it.", grouppattern.Root)
	}
	gone := d.describeGroup(g)
	_, err = s.changeGroup(ctx, d, g.pattern, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `DELETE FROM pkg_group WHERE domain = $1 AND pattern = $2`, d.row, g.pattern.String())
		if err == nil && n == 0 {
			err = groupNotFound(id)
		}
		return err
	})
	return gone, err
}

// ListGroups returns at most limit of the groups of a domain whose pattern begins with
// the prefix, by pattern, and whether there are more. after is the last pattern of the
// previous page. codeartifact:ListPackageGroups on the domain.
func (s *Service) ListGroups(ctx context.Context, id DomainID, prefix, after string, limit int) (page []PackageGroup, more bool, err error) {
	d, err := s.authorizeDomain(ctx, "codeartifact:ListPackageGroups", id, authz.Request{})
	if err != nil {
		return nil, false, err
	}
	page, more = d.listGroups(after, limit, func(g *group) bool { return strings.HasPrefix(g.pattern.String(), prefix) })
	return page, more, nil
}

// ListSubGroups is ListGroups for the groups whose parent a group is.
// codeartifact:ListSubPackageGroups on the group.
func (s *Service) ListSubGroups(ctx context.Context, id GroupID, after string, limit int) (page []PackageGroup, more bool, err error) {
	d, parent, err := s.existingGroup(ctx, "codeartifact:ListSubPackageGroups", id)
	if err != nil {
		return nil, false, err
	}
	page, more = d.listGroups(after, limit, func(g *group) bool { return d.parentGroup(g.pattern) == parent })
	return page, more, nil
}

func (d *domain) listGroups(after string, limit int, want func(*group) bool) ([]PackageGroup, bool) {
	var selected []*group
	d.allGroups(func(g *group) {
		if g.pattern.String() > after && want(g) {
			selected = append(selected, g)
		}
	})
	slices.SortFunc(selected, func(a, b *group) int { return strings.Compare(a.pattern.String(), b.pattern.String()) })
	selected, more := firstPage(selected, limit)
	page := make([]PackageGroup, len(selected))
	for i, g := range selected {
		page[i] = d.describeGroup(g)
	}
	return page, more
}

// GroupOf returns the group to which a package belongs, and whether its pattern matches
// strongly. The package need not exist. codeartifact:GetAssociatedPackageGroup on the
// domain.
func (s *Service) GroupOf(ctx context.Context, id DomainID, p PackageID) (g PackageGroup, strong bool, err error) {
	d, err := s.authorizeDomain(ctx, "codeartifact:GetAssociatedPackageGroup", id, authz.Request{})
	if err != nil {
		return PackageGroup{}, false, err
	}
	if err := validPackage(p); err != nil {
		return PackageGroup{}, false, err
	}
	found, strong := d.associate(p)
	return d.describeGroup(found), strong, nil
}

// AllowedRepositories returns at most limit of the names of a group's own allowed
// repositories, and whether there are more. codeartifact:ListAllowedRepositoriesForGroup
// on the group.
func (s *Service) AllowedRepositories(ctx context.Context, id GroupID, t OriginType, after string, limit int) (page []string, more bool, err error) {
	d, g, err := s.existingGroup(ctx, "codeartifact:ListAllowedRepositoriesForGroup", id)
	if err != nil {
		return nil, false, err
	}
	if !slices.Contains(originTypes, t) {
		return nil, false, unknownOriginType(t)
	}
	names := d.repositoryNames(g.restriction(t).Repositories)
	page, more = firstPage(slices.DeleteFunc(names, func(name string) bool { return name <= after }), limit)
	return page, more, nil
}

// An OriginUpdate is the input of UpdateGroupOrigin.
type OriginUpdate struct {
	Modes       map[OriginType]OriginMode
	Add, Remove map[OriginType][]string // names of repositories
}

// An OriginChange is what UpdateGroupOrigin changed in the lists of allowed repositories.
type OriginChange struct{ Added, Removed map[OriginType][]string }

// UpdateGroupOrigin changes the origin restrictions of a group and its allowed
// repositories. A repository that is on a list already, or not on it, is not an error.
// codeartifact:UpdatePackageGroupOriginConfiguration on the group.
func (s *Service) UpdateGroupOrigin(ctx context.Context, id GroupID, u OriginUpdate) (PackageGroup, OriginChange, error) {
	d, g, err := s.existingGroup(ctx, "codeartifact:UpdatePackageGroupOriginConfiguration", id)
	if err != nil {
		return PackageGroup{}, OriginChange{}, err
	}
	if err := u.validate(g); err != nil {
		return PackageGroup{}, OriginChange{}, err
	}
	var change OriginChange
	out, err := s.changeGroup(ctx, d, g.pattern, func(tx *db.Tx) error {
		change = OriginChange{map[OriginType][]string{}, map[OriginType][]string{}}
		restrictions, err := readRestrictions(ctx, tx, d.row, g.pattern)
		if err != nil {
			return orNotFound(err, groupNotFound(id))
		}
		for t, mode := range u.Modes {
			r := restrictions[t]
			r.Mode = mode
			restrictions[t] = r
		}
		if err := u.edit(ctx, tx, d, restrictions, &change); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE pkg_group SET restrictions = $3 WHERE domain = $1 AND pattern = $2`, d.row, g.pattern.String(), asJSON(restrictions))
		return err
	})
	return out, change, err
}

func (u *OriginUpdate) validate(g *group) error {
	for t, mode := range u.Modes {
		if !slices.Contains(originTypes, t) {
			return unknownOriginType(t)
		}
		if !slices.Contains([]OriginMode{AllowAll, AllowSpecific, BlockAll, Inherit}, mode) {
			return invalid("%q is not a mode of an origin restriction: use ALLOW, ALLOW_SPECIFIC_REPOSITORIES, BLOCK or INHERIT.", mode)
		}
		if mode == Inherit && g.pattern.IsRoot() {
			return invalid("The package group %s inherits from no other group: use ALLOW, ALLOW_SPECIFIC_REPOSITORIES or BLOCK.", grouppattern.Root)
		}
	}
	for _, lists := range []map[OriginType][]string{u.Add, u.Remove} {
		for t := range lists {
			if !slices.Contains(originTypes, t) {
				return unknownOriginType(t)
			}
		}
	}
	for t, names := range u.Add {
		for _, name := range names {
			if slices.Contains(u.Remove[t], name) {
				return invalid("The repository %s cannot be both added and removed.", name)
			}
		}
	}
	return nil
}

func unknownOriginType(t OriginType) error {
	return invalid("%q is not a type of origin restrictions: use PUBLISH, EXTERNAL_UPSTREAM or INTERNAL_UPSTREAM.", t)
}

// edit changes the lists of allowed repositories in restrictions.
func (u *OriginUpdate) edit(ctx context.Context, tx *db.Tx, d *domain, restrictions map[OriginType]restriction, change *OriginChange) error {
	rows := func(name string) ([]string, error) {
		return db.All(ctx, tx, db.Scalar[string], `SELECT id FROM pkg_repository WHERE domain = $1 AND name = $2`, d.row, name)
	}
	for t, names := range u.Add {
		r := restrictions[t]
		for _, name := range names {
			found, err := rows(name)
			if err != nil {
				return err
			}
			if len(found) == 0 {
				return repositoryNotFound(d.id.Repository(name))
			}
			if !slices.Contains(r.Repositories, found[0]) {
				r.Repositories = append(r.Repositories, found[0])
				change.Added[t] = append(change.Added[t], name)
			}
		}
		restrictions[t] = r
	}
	for t, names := range u.Remove {
		r := restrictions[t]
		for _, name := range names {
			found, err := rows(name)
			if err != nil {
				return err
			}
			if len(found) > 0 && slices.Contains(r.Repositories, found[0]) {
				r.Repositories = slices.DeleteFunc(slices.Clone(r.Repositories), func(row string) bool { return row == found[0] })
				change.Removed[t] = append(change.Removed[t], name)
			}
		}
		restrictions[t] = r
	}
	return nil
}

// repositoryNames returns the names of those of the repositories that exist, sorted.
func (d *domain) repositoryNames(rows []string) []string {
	names := map[string]bool{}
	for _, row := range rows {
		if name, ok := d.names.Get(row); ok {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
