package packages

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// PackageNames returns, in the order of namespace and name, at most limit
// packages of a format of which clients see a version, upstream ones too, and
// whether there are more. after is the last of the page before; its zero value
// asks for the first. codeartifact:ReadFromRepository on the repository.
func (s *Service) PackageNames(ctx context.Context, repo RepositoryID, format Format, after PackageID, limit int) (ids []PackageID, more bool, err error) {
	r, err := s.onRepository(ctx, readFromRepository, repo)
	if err != nil {
		return nil, false, err
	}
	if limit <= 0 {
		return nil, false, invalid("A page has one name at least.")
	}
	after.Format = format
	for at := at(after); ; {
		page, err := s.namesPage(ctx, r, format, at, limit)
		if err != nil {
			return nil, false, err
		}
		for _, n := range page.names {
			if len(ids) == limit {
				return ids, true, nil
			}
			held := page.first[n]
			shown, err := s.shows(ctx, r, held)
			if err != nil {
				return nil, false, err
			}
			if shown {
				ids = append(ids, held.id)
			}
		}
		if page.end {
			return ids, false, nil
		}
		at = page.names[len(page.names)-1]
	}
}

// A namePlace is a place in the order of names.
type namePlace struct{ namespace, key string }

func at(id PackageID) namePlace { return namePlace{id.Namespace, id.key()} }

func (a namePlace) compare(b namePlace) int {
	return cmp.Or(strings.Compare(a.namespace, b.namespace), strings.Compare(a.key, b.key))
}

// A heldName is a package as one repository lists it.
type heldName struct {
	id        PackageID
	published bool // it has a Published version
}

// A namesPage is what a repository and its upstreams have between two places.
type namesPage struct {
	names []namePlace
	first map[namePlace]heldName // in the repository that the search meets first
	end   bool                   // there is nothing behind
}

// namesPage reads limit+1 names from each repository. Behind the last name of
// the repository that has more, the others are not to be trusted: what comes
// later there may be in between. The page ends before.
func (s *Service) namesPage(ctx context.Context, r *repository, format Format, after namePlace, limit int) (namesPage, error) {
	p := namesPage{first: map[namePlace]heldName{}, end: true}
	var last namePlace
	err := r.walk(func(r *repository) (bool, error) {
		names, err := s.namesIn(ctx, r, format, after, limit+1)
		if err != nil {
			return false, err
		}
		for _, n := range names {
			if _, met := p.first[at(n.id)]; !met {
				p.first[at(n.id)] = n
				p.names = append(p.names, at(n.id))
			}
		}
		if len(names) == limit+1 {
			if end := at(names[limit].id); p.end || end.compare(last) < 0 {
				p.end, last = false, end
			}
		}
		return true, nil
	})
	slices.SortFunc(p.names, namePlace.compare)
	if !p.end {
		i, _ := slices.BinarySearchFunc(p.names, last, namePlace.compare)
		p.names = p.names[:i+1]
	}
	return p, err
}

func (s *Service) namesIn(ctx context.Context, r *repository, format Format, after namePlace, limit int) ([]heldName, error) {
	return db.All(ctx, s.db, func(row db.Row) (n heldName, err error) {
		n.id.Format = format
		var published int64
		err = row.Scan(&n.id.Namespace, &n.id.Name, &published)
		n.published = published != 0
		return n, err
	}, `SELECT namespace, name,
			CASE WHEN EXISTS (SELECT 1 FROM pkg_version v WHERE v.package = p.id AND v.status = 'Published') THEN 1 ELSE 0 END
		FROM pkg_package p WHERE repository = $1 AND format = $2 AND (namespace, name_key) > ($3, $4)
		ORDER BY namespace, name_key LIMIT $5`, r.row, string(format), after.namespace, after.key, limit)
}

// shows reports whether clients of the repository see a version of the
// package. What the search meets first hides nothing of itself; where that has
// no Published version, it may still hide those that come later.
func (s *Service) shows(ctx context.Context, r *repository, n heldName) (bool, error) {
	if n.published {
		return true, nil
	}
	p, err := s.visible(ctx, r, n.id)
	if isNotFound(err) { // deleted since it was listed
		return false, nil
	}
	return err == nil && len(p.Versions) > 0, err
}
