package formats

import (
	"context"
	"iter"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// Index returns a document about all packages of a repository, such as the list of their
// names. It is rendered only if a package has changed since. kind tells the documents of a
// format apart. render is called with a context that does not end with the request,
// because other clients wait for the document too.
func (b *Base[P]) Index(r *Request, kind string, render func(context.Context) (*Document, error)) (*Document, error) {
	revision, err := b.Packages.IndexRevision(r.Context(), r.Repository, r.Format)
	if err != nil {
		return nil, err
	}
	return b.Documents.Get(kind+"\n"+r.Repository.ARN()+"\n"+revision, func() (*Document, error) {
		return render(context.WithoutCancel(r.Context()))
	})
}

// namesPage is how many names are read from the store at a time.
const namesPage = 1000

// Names returns the packages of a format that have a visible version, ordered by name.
// The sequence ends after an error.
func (b *Base[P]) Names(ctx context.Context, repo packages.RepositoryID, f packages.Format) iter.Seq2[packages.PackageID, error] {
	return func(yield func(packages.PackageID, error) bool) {
		var after packages.PackageID
		for more := true; more; {
			ids, next, err := b.Packages.PackageNames(ctx, repo, f, after, namesPage)
			if err != nil {
				yield(packages.PackageID{}, err)
				return
			}
			for _, id := range ids {
				if !yield(id, nil) {
					return
				}
				after = id
			}
			more = next && len(ids) > 0
		}
	}
}
