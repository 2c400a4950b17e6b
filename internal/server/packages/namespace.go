package packages

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A NamedPackage is a package in the list of a namespace.
type NamedPackage struct {
	ID PackageID
	// Attributes is the format's own JSON about the package, or nil.
	Attributes json.RawMessage
}

// PackagesIn returns the packages of a namespace in the repository and its upstreams,
// ordered by name, also those without a visible version. Usually it reads no database.
// codeartifact:ReadFromRepository on the repository.
func (s *Service) PackagesIn(ctx context.Context, repo RepositoryID, format Format, namespace string) ([]NamedPackage, error) {
	r, err := s.authorizeRepository(ctx, readFromRepository, repo)
	if err != nil {
		return nil, err
	}
	if err := validPrefix(namespace); err != nil {
		return nil, err
	}
	var all []NamedPackage
	met := map[string]int{} // the key of a package → its index in all
	err = s.walkUpstreams(r, format, func(r *repository) (func(), bool, error) {
		own, err := s.ownNamespace(ctx, r, format, namespace)
		for _, p := range own {
			i, known := met[p.ID.key()]
			if !known {
				met[p.ID.key()] = len(all)
				all = append(all, p)
			} else if all[i].Attributes == nil { // as in merge: the first that has some counts
				all[i].Attributes = p.Attributes
			}
		}
		return nil, true, err
	})
	slices.SortFunc(all, func(a, b NamedPackage) int { return strings.Compare(a.ID.key(), b.ID.key()) })
	return all, err
}

// namespaceNames are the packages of a namespace in one repository.
type namespaceNames []NamedPackage

func (n namespaceNames) size() int64 {
	size := int64(minEntry)
	for _, p := range n {
		size += 128 + int64(len(p.ID.Namespace)+len(p.ID.Name)+len(p.Attributes))
	}
	return size
}

func (s *Service) ownNamespace(ctx context.Context, r *repository, format Format, namespace string) (namespaceNames, error) {
	return s.namespaces.Load(cacheKey{r.row, format, namespace, ""}, func() (namespaceNames, error) {
		return db.All(ctx, s.db, func(row db.Row) (p NamedPackage, err error) {
			p.ID = PackageID{Format: format, Namespace: namespace}
			err = row.Scan(&p.ID.Name, (*[]byte)(&p.Attributes))
			return p, err
		}, `SELECT name, attributes FROM pkg_package WHERE repository = $1 AND format = $2 AND namespace = $3 ORDER BY name_key`,
			r.row, string(format), namespace)
	})
}
