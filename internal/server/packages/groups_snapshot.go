package packages

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/benbjohnson/immutable"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages/grouppattern"
)

// A group of the snapshot, immutable.
type group struct {
	pattern              grouppattern.Pattern
	contact, description string
	created              time.Time
	tags                 map[string]string
	restrictions         map[OriginType]restriction
}

// A restriction is as the database has it. The zero value inherits.
type restriction struct {
	Mode OriginMode `json:"mode,omitempty"`
	// Repositories are the rows of the allowed repositories, for the mode
	// AllowSpecific. One that was deleted since is not there.
	Repositories []string `json:"repositories,omitempty"`
}

func (g *group) restriction(t OriginType) restriction {
	r := g.restrictions[t]
	if r.Mode == "" {
		r.Mode = Inherit
	}
	return r
}

// groupIndex has the groups of a domain that have rows, by the key of their pattern.
// Several patterns with one key match each other's packages weakly; they are in the order
// of their texts.
type groupIndex = *immutable.SortedMap[grouppattern.Key, []*group]

func newGroupIndex() groupIndex {
	return immutable.NewSortedMap[grouppattern.Key, []*group](nil)
}

// rootPattern is grouppattern.Root, parsed.
var rootPattern = func() grouppattern.Pattern {
	p, err := parsePattern(grouppattern.Root)
	if err != nil {
		panic(err)
	}
	return p
}()

// newRoot returns the root of a domain that has no row for it: it allows everything.
func newRoot(created time.Time) *group {
	g := &group{pattern: rootPattern, created: created, tags: map[string]string{}, restrictions: map[OriginType]restriction{}}
	for _, t := range originTypes {
		g.restrictions[t] = restriction{Mode: AllowAll}
	}
	return g
}

// setGroup puts a group into the domain, or removes the one with the pattern if g is nil.
func (d *domain) setGroup(pattern grouppattern.Pattern, g *group) {
	key := pattern.Key()
	old, _ := d.groups.Get(key)
	all := slices.DeleteFunc(slices.Clone(old), func(o *group) bool { return o.pattern == pattern })
	if g != nil {
		all = append(all, g)
		slices.SortFunc(all, func(a, b *group) int {
			if a.pattern.String() < b.pattern.String() {
				return -1
			}
			return 1
		})
	}
	if len(all) == 0 {
		d.groups = d.groups.Delete(key)
	} else {
		d.groups = d.groups.Set(key, all)
	}
	if pattern.IsRoot() {
		if d.root = g; g == nil {
			d.root = newRoot(d.created)
		}
	}
}

// allGroups calls f with every group, the root too.
func (d *domain) allGroups(f func(*group)) {
	rooted := false
	for it := d.groups.Iterator(); !it.Done(); {
		_, groups, _ := it.Next()
		for _, g := range groups {
			rooted = rooted || g.pattern.IsRoot()
			f(g)
		}
	}
	if !rooted {
		f(d.root)
	}
}

// groupOf returns the group with the pattern, or nil.
func (d *domain) groupOf(pattern grouppattern.Pattern) *group {
	if pattern.IsRoot() {
		return d.root
	}
	groups, _ := d.groups.Get(pattern.Key())
	for _, g := range groups {
		if g.pattern == pattern {
			return g
		}
	}
	return nil
}

// associate returns the group to which a package belongs: the one with the most specific
// pattern that matches it. strong is false if the package only looks as if the pattern
// meant it.
func (d *domain) associate(id PackageID) (g *group, strong bool) {
	if d.groups.Len() == 0 {
		return d.root, true
	}
	path := groupPath(id)
	for key := range grouppattern.Keys(grouppattern.Fold(path)) {
		groups, ok := d.groups.Get(key)
		if !ok {
			continue
		}
		for _, g := range groups {
			if g.pattern.Matches(path) {
				return g, true
			}
		}
		return groups[0], false
	}
	return d.root, true
}

// groupPath is /FORMAT/NAMESPACE/NAME, with the stored spelling of the name.
func groupPath(id PackageID) string {
	id = id.canonical()
	return "/" + string(id.Format) + "/" + id.Namespace + "/" + id.Name
}

// parentGroup returns the most specific group whose pattern contains the pattern; nil for
// the root.
func (d *domain) parentGroup(pattern grouppattern.Pattern) *group {
	if pattern.IsRoot() {
		return nil
	}
	for key := range pattern.PathKeys() {
		groups, _ := d.groups.Get(key)
		for _, g := range groups {
			if g.pattern.Contains(pattern) {
				return g
			}
		}
	}
	return d.root
}

// effectiveGroup returns the group whose restriction counts for g: g itself, or the first
// one above that does not inherit it.
func (d *domain) effectiveGroup(g *group, t OriginType) *group {
	for g.restriction(t).Mode == Inherit && !g.pattern.IsRoot() {
		g = d.parentGroup(g.pattern)
	}
	return g
}

// loadGroups reads the groups of a domain that the condition selects; its first parameter
// is $2.
func loadGroups(ctx context.Context, q db.Querier, d *domain, condition string, args ...any) ([]*group, error) {
	return db.All(ctx, q, func(row db.Row) (*group, error) {
		g := new(group)
		var pattern, tags, restrictions string
		var created int64
		if err := row.Scan(&pattern, &g.contact, &g.description, &created, &tags, &restrictions); err != nil {
			return nil, err
		}
		g.created = db.Time(created)
		var err error
		if g.pattern, err = parsePattern(pattern); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(tags), &g.tags); err != nil {
			return nil, fmt.Errorf("tags of package group %s: %w", pattern, err)
		}
		if err := json.Unmarshal([]byte(restrictions), &g.restrictions); err != nil {
			return nil, fmt.Errorf("restrictions of package group %s: %w", pattern, err)
		}
		return g, nil
	}, `SELECT pattern, contact, description, created, tags, restrictions FROM pkg_group WHERE domain = $1`+condition, append([]any{d.row}, args...)...)
}

// readGroup reads one group of a domain into d, or removes it.
func readGroup(ctx context.Context, q db.Querier, d *domain, text string) error {
	pattern, err := parsePattern(text)
	if err != nil {
		return err
	}
	found, err := loadGroups(ctx, q, d, ` AND pattern = $2`, text)
	if err != nil {
		return err
	}
	var g *group
	if len(found) > 0 {
		g = found[0]
	}
	d.setGroup(pattern, g)
	return nil
}

func readRestrictions(ctx context.Context, tx *db.Tx, domainRow string, pattern grouppattern.Pattern) (map[OriginType]restriction, error) {
	text, err := db.One(ctx, tx, db.Scalar[[]byte], `SELECT restrictions FROM pkg_group WHERE domain = $1 AND pattern = $2`, domainRow, pattern.String())
	if err != nil {
		return nil, err
	}
	out := map[OriginType]restriction{}
	return out, json.Unmarshal(text, &out)
}
