package packages

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// PackageNames returns at most limit packages of a format that have a visible version
// in the repository or its upstreams, ordered by namespace and name, and whether there
// are more. after is the last package of the previous page; its zero value asks for
// the first page. codeartifact:ReadFromRepository on the repository.
func (s *Service) PackageNames(ctx context.Context, repo RepositoryID, format Format, after PackageID, limit int) (ids []PackageID, more bool, err error) {
	r, err := s.authorizeRepository(ctx, readFromRepository, repo)
	if err != nil {
		return nil, false, err
	}
	if limit <= 0 {
		return nil, false, invalid("A page must have at least one name.")
	}
	after.Format = format
	for at := sortKeyOf(after); ; {
		page, err := s.namesPage(ctx, r, format, at, limit)
		if err != nil {
			return nil, false, err
		}
		for _, n := range page.names {
			if len(ids) == limit {
				return ids, true, nil
			}
			held := page.first[n]
			shown, err := s.hasPublished(ctx, r, held)
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

// Bounds of a search, in names.
const (
	searchPageSize   = 1000   // names that are read at a time
	maxSearchedNames = 50_000 // names that one search examines
)

// A SearchPage selects results of a search: at most Size of them, after the first From.
type SearchPage struct{ From, Size int }

// Search returns one page of the packages of a format that match, ordered by namespace
// and name, and their number on all pages. Examined are the packages that PackageNames
// returns, at most 50,000. match gets the package and the text in which searches look:
// see Publication.Search. codeartifact:ReadFromRepository on the repository.
func (s *Service) Search(ctx context.Context, repo RepositoryID, format Format, page SearchPage,
	match func(id PackageID, text string) bool,
) (ids []PackageID, total int, err error) {
	r, err := s.authorizeRepository(ctx, readFromRepository, repo)
	if err != nil {
		return nil, 0, err
	}
	// What a client has got is found once: among the packages here, or by the registry.
	if err := s.settle(ctx, r, nil); err != nil {
		return nil, 0, err
	}
	after := sortKeyOf(PackageID{Format: format})
	for examined := 0; examined < maxSearchedNames; {
		names, err := s.namesPage(ctx, r, format, after, searchPageSize)
		if err != nil {
			return nil, 0, err
		}
		for _, k := range names.names {
			examined++
			n := names.first[k]
			if !match(n.id, n.text) {
				continue
			}
			shown, err := s.hasPublished(ctx, r, n)
			if err != nil {
				return nil, 0, err
			}
			if !shown {
				continue
			}
			if total >= page.From && len(ids) < page.Size {
				ids = append(ids, n.id)
			}
			total++
		}
		if names.end {
			break
		}
		after = names.names[len(names.names)-1]
	}
	return ids, total, nil
}

// A sortKey is the position of a package in the order of names.
type sortKey struct{ namespace, key string }

func sortKeyOf(id PackageID) sortKey { return sortKey{id.Namespace, id.key()} }

func (a sortKey) compare(b sortKey) int {
	return cmp.Or(strings.Compare(a.namespace, b.namespace), strings.Compare(a.key, b.key))
}

// A listedName is a package in the list of one repository.
type listedName struct {
	id        PackageID
	published bool // it has a Published version
	text      string
}

// A namesPage is a range of the names in a repository and its upstreams.
type namesPage struct {
	names []sortKey
	first map[sortKey]listedName // in the first repository of the search
	end   bool                   // there are no more names
}

// namesPage reads limit+1 names from each repository. If a repository has more names
// than that, the page ends at its last name: after it, names of that repository may be
// missing.
func (s *Service) namesPage(ctx context.Context, r *repository, format Format, after sortKey, limit int) (namesPage, error) {
	p := namesPage{first: map[sortKey]listedName{}, end: true}
	var last sortKey
	d := s.snapshot.Load().domain(r.id.Domain)
	err := s.walkUpstreams(r, format, func(u *repository) (func(), bool, error) {
		names, err := s.ownNames(ctx, u, format, after, limit+1)
		if err != nil {
			return nil, false, err
		}
		for _, n := range names {
			if u != r && !d.seesUpstream(r, n.id) {
				continue
			}
			k := sortKeyOf(n.id)
			first, met := p.first[k]
			if !met {
				p.first[k] = n
				p.names = append(p.names, k)
			} else if first.text == "" { // as attributes: the first that has some counts
				first.text = n.text
				p.first[k] = first
			}
		}
		if len(names) == limit+1 {
			if end := sortKeyOf(names[limit].id); p.end || end.compare(last) < 0 {
				p.end, last = false, end
			}
		}
		return nil, true, nil
	})
	slices.SortFunc(p.names, sortKey.compare)
	if !p.end {
		i, _ := slices.BinarySearchFunc(p.names, last, sortKey.compare)
		p.names = p.names[:i+1]
	}
	return p, err
}

func (s *Service) ownNames(ctx context.Context, r *repository, format Format, after sortKey, limit int) ([]listedName, error) {
	return db.All(ctx, s.db, func(row db.Row) (n listedName, err error) {
		n.id.Format = format
		var published int64
		err = row.Scan(&n.id.Namespace, &n.id.Name, &n.text, &published)
		n.published = published != 0
		return n, err
	}, `SELECT namespace, name, search,
			CASE WHEN EXISTS (SELECT 1 FROM pkg_version v WHERE v.package = p.id AND v.status = 'Published') THEN 1 ELSE 0 END
		FROM pkg_package p WHERE repository = $1 AND format = $2 AND (namespace, name_key) > ($3, $4)
		ORDER BY namespace, name_key LIMIT $5`, r.row, string(format), after.namespace, after.key, limit)
}

// hasPublished reports whether clients of the repository see a version of the
// package. If the first repository of the search has a Published version, they do.
// Otherwise its hidden versions may hide those of its upstreams.
func (s *Service) hasPublished(ctx context.Context, r *repository, n listedName) (bool, error) {
	if n.published {
		return true, nil
	}
	p, err := s.visibleStored(ctx, r, n.id)
	if isNotFound(err) { // deleted since it was listed
		return false, nil
	}
	return err == nil && len(p.Versions) > 0, err
}
