package packages

import (
	"context"
	"maps"

	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages/grouppattern"
)

// An AssociatedPackage is a package of a domain that belongs to a group.
type AssociatedPackage struct {
	ID PackageID
	// Strong is false if the pattern of the group matches only weakly.
	Strong bool
}

// associatedBatch is how many packages are read at a time, and associatedScan how many one
// call looks at, so that it ends although few of them belong to the group.
const (
	associatedBatch = 500
	associatedScan  = 10_000
)

// AssociatedPackages returns at most limit of the packages of the domain that belong to a
// group, in the order of format, namespace and name, and from which package the next page
// goes on; nil after the last one. A page may be short, or empty, before the last one.
// codeartifact:ListAssociatedPackages on the group.
func (s *Service) AssociatedPackages(ctx context.Context, id GroupID, after PackageID, limit int) (page []AssociatedPackage, next *PackageID, err error) {
	d, g, err := s.existingGroup(ctx, "codeartifact:ListAssociatedPackages", id)
	if err != nil {
		return nil, nil, err
	}
	return s.associated(ctx, d, g, after, limit)
}

// PreviewAssociatedPackages is AssociatedPackages for a group that need not exist: it
// returns the packages that would belong to it.
func (s *Service) PreviewAssociatedPackages(ctx context.Context, id GroupID, after PackageID, limit int) (page []AssociatedPackage, next *PackageID, err error) {
	d, pattern, g, err := s.authorizeGroup(ctx, "codeartifact:ListAssociatedPackages", id, authz.Request{})
	if err != nil {
		return nil, nil, err
	}
	if g == nil {
		g = &group{pattern: pattern}
		with := *d
		with.setGroup(pattern, g)
		d = &with
	}
	return s.associated(ctx, d, g, after, limit)
}

func (s *Service) associated(ctx context.Context, d *domain, g *group, after PackageID, limit int) (page []AssociatedPackage, next *PackageID, err error) {
	for range associatedScan / associatedBatch {
		batch, err := s.packagesOfDomain(ctx, d, g.pattern, after, associatedBatch)
		if err != nil {
			return nil, nil, err
		}
		for _, id := range batch {
			if found, strong := d.associate(id); found == g {
				page = append(page, AssociatedPackage{id, strong})
			}
			if after = id; len(page) == limit {
				return page, &after, nil
			}
		}
		if len(batch) < associatedBatch {
			return page, nil, nil
		}
	}
	return page, &after, nil
}

// packagesOfDomain returns packages of the pattern's format that any repository of the
// domain has, each once.
func (s *Service) packagesOfDomain(ctx context.Context, d *domain, pattern grouppattern.Pattern, after PackageID, limit int) ([]PackageID, error) {
	return db.All(ctx, s.db, func(row db.Row) (id PackageID, err error) {
		err = row.Scan(&id.Format, &id.Namespace, &id.Name)
		return id, err
	}, `SELECT p.format, p.namespace, min(p.name) FROM pkg_package p JOIN pkg_repository r ON r.id = p.repository
		WHERE r.domain = $1 AND (p.format, p.namespace, p.name_key) > ($2, $3, $4) AND ($5 = '' OR p.format = $5)
		GROUP BY p.format, p.namespace, p.name_key ORDER BY p.format, p.namespace, p.name_key LIMIT $6`,
		d.row, string(after.Format), after.Namespace, after.key(), pattern.Format(), limit)
}

// deleteGroups removes the groups of a domain.
func deleteGroups(ctx context.Context, tx *db.Tx, d *domain) error {
	_, err := tx.Exec(ctx, `DELETE FROM pkg_group WHERE domain = $1`, d.row)
	return err
}

// groupTags are the tags of a group as a resource with tags.
func (s *Service) groupTags(ctx context.Context, action string, id GroupID, more authz.Request) (taggedResource, error) {
	d, pattern, g, err := s.authorizeGroup(ctx, action, id, more)
	if err == nil && g == nil {
		err = groupNotFound(id)
	}
	if err != nil {
		return taggedResource{}, err
	}
	t := taggedResource{domain: id.Domain, delta: delta{group: pattern.String()}, table: "pkg_group", tags: maps.Clone(g.tags)}
	t.find = func(ctx context.Context, tx *db.Tx) (string, error) {
		if pattern.IsRoot() {
			if _, err := insertGroup(ctx, tx, d, d.root); err != nil {
				return "", err
			}
		}
		row, err := db.One(ctx, tx, db.Scalar[string], `SELECT id FROM pkg_group WHERE domain = $1 AND pattern = $2`, d.row, pattern.String())
		return row, orNotFound(err, groupNotFound(id))
	}
	return t, nil
}
