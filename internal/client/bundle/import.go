package bundle

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-registry/gatehouse/internal/client/packagerepo"
)

// A Report says what became of the versions and images of a bundle.
type Report struct {
	// Imported are new, or changed; Held were there already.
	Imported, Held int
	// Failed says what was refused, and why.
	Failed []string

	mu sync.Mutex
}

func (r *Report) count(n *int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*n++
}

func (r *Report) fail(what string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Failed = append(r.Failed, what+": "+err.Error())
}

// Import brings the versions of the bundle to a repository. A version that the repository
// refuses is in the report; the others are imported all the same. It can be repeated: what
// is there is not sent again. step is called after each version.
func (b *Bundle) Import(ctx context.Context, r *packagerepo.Repository, report *Report, step func()) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	err := b.versions(func(t *packagerepo.Transfer) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		group.Go(func() error {
			defer step()
			held, err := r.Import(ctx, t)
			switch {
			case err == nil && held:
				report.count(&report.Held)
			case err == nil:
				report.count(&report.Imported)
			case ctx.Err() != nil:
				return ctx.Err()
			case packagerepo.IsDenied(err):
				return fmt.Errorf("%s: %w", t.String(), err)
			default:
				report.fail(t.String(), err)
			}
			return nil
		})
		return nil
	})
	if waited := group.Wait(); waited != nil {
		return waited
	}
	return err
}
