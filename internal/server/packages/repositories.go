package packages

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A Repository describes a repository.
type Repository struct {
	ID          RepositoryID
	Description string
	// Administrator is the account of the caller who created it.
	Administrator string
	Created       time.Time
	// Upstreams are names in the order of the search.
	Upstreams []string
	// ExternalConnection is such as public:npmjs; empty for none.
	ExternalConnection string
}

func (d *domain) describeRepository(r *repository) Repository {
	out := Repository{ID: r.id, Description: r.description, Administrator: r.administrator, Created: r.created, ExternalConnection: r.connection}
	for _, row := range r.upstreams {
		if u := d.repositoryAt(row); u != nil {
			out.Upstreams = append(out.Upstreams, u.id.Name)
		}
	}
	return out
}

// maxUpstreams is the maximum number of direct upstreams of a repository
// (CodeArtifact User Guide, "Quotas").
const maxUpstreams = 10

// maxDescription is the length of the longest description, in characters.
const maxDescription = 1000

// A NewRepository is the input of CreateRepository.
type NewRepository struct {
	ID          RepositoryID
	Description string
	Upstreams   []string
	Tags        map[string]string
}

// CreateRepository creates a repository; the caller's account administers it.
// Faults: Conflict (it exists already), ServiceQuotaExceeded (more than ten
// upstreams). codeartifact:CreateRepository on the domain and on the
// repository, with tags codeartifact:TagResource on the repository, and
// codeartifact:AssociateWithDownstreamRepository on each upstream.
func (s *Service) CreateRepository(ctx context.Context, n NewRepository) (Repository, error) {
	const action = "codeartifact:CreateRepository"
	d, err := s.authorizeDomain(ctx, action, n.ID.Domain, authz.Request{RequestTags: n.Tags})
	if err != nil {
		return Repository{}, err
	}
	for _, action := range createActions(action, n.Tags) {
		if _, err := s.authorizeRepositoryWith(ctx, action, n.ID, authz.Request{RequestTags: n.Tags}); err != nil && !isNotFound(err) {
			return Repository{}, err
		}
	}
	if err := validRepository(n.ID); err != nil {
		return Repository{}, err
	}
	if err := validDescription(n.Description); err != nil {
		return Repository{}, err
	}
	tags, err := mergeTags(nil, n.Tags)
	if err != nil {
		return Repository{}, err
	}
	if err := s.checkUpstreams(ctx, n.ID, n.Upstreams); err != nil {
		return Repository{}, err
	}
	administrator := n.ID.Domain.Owner
	if c := authn.FromContext(ctx); c != nil {
		administrator = c.Account
	}
	return s.changeRepository(ctx, n.ID, func(tx *db.Tx) error {
		ids, err := upstreamRows(ctx, tx, d.row, n.ID, n.Upstreams)
		if err != nil {
			return err
		}
		if _, err := db.One(ctx, tx, db.Scalar[string], `SELECT id FROM pkg_domain WHERE id = $1`, d.row); err != nil {
			return orNotFound(err, domainNotFound(n.ID.Domain)) // deleted since
		}
		changed, err := tx.Exec(ctx, `INSERT INTO pkg_repository (id, domain, name, description, administrator, created, upstreams, tags, policy, policy_revision)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '', '') ON CONFLICT (domain, name) DO NOTHING`,
			randid.Text(), d.row, n.ID.Name, n.Description, administrator, db.Micros(s.now()), asJSON(ids), asJSON(tags))
		if err == nil && changed == 0 {
			err = conflict(typeRepository, n.ID.Name, "The repository %s exists in domain %s already.", n.ID.Name, d.id.Name)
		}
		return err
	})
}

func validDescription(d string) error {
	if len([]rune(d)) > maxDescription {
		return invalid("A description has at most %d characters.", maxDescription)
	}
	if strings.ContainsRune(d, 0) {
		return invalid("A description cannot contain the character NUL.")
	}
	return nil
}

// changeRepository is changeDomain and returns the changed repository.
func (s *Service) changeRepository(ctx context.Context, id RepositoryID, fn func(tx *db.Tx) error) (Repository, error) {
	if err := s.changeDomain(ctx, id.Domain, delta{repository: id.Name}, fn); err != nil {
		return Repository{}, err
	}
	return s.describeRepository(id)
}

func (s *Service) describeRepository(id RepositoryID) (Repository, error) {
	d, r := s.find(id)
	if r == nil { // deleted in the meantime
		return Repository{}, repositoryNotFound(id)
	}
	return d.describeRepository(r), nil
}

// checkUpstreams checks everything that needs no transaction.
func (s *Service) checkUpstreams(ctx context.Context, id RepositoryID, upstreams []string) error {
	if len(upstreams) > maxUpstreams {
		return quotaExceeded(typeRepository, id.Name, "A repository has at most %d upstream repositories.", maxUpstreams)
	}
	for i, u := range upstreams {
		if slices.Contains(upstreams[:i], u) {
			return invalid("The upstream repository %s is listed twice.", u)
		}
		if u == id.Name {
			return invalid("The repository %s cannot be its own upstream.", u)
		}
		if _, err := s.authorizeRepository(ctx, "codeartifact:AssociateWithDownstreamRepository", id.Domain.Repository(u)); err != nil {
			return err
		}
	}
	return nil
}

// upstreamRows returns the rows of the upstreams. A repository must not become its own
// upstream through others. The transaction reads all of it: another server may have
// changed what the snapshot has.
func upstreamRows(ctx context.Context, tx *db.Tx, domainRow string, id RepositoryID, upstreams []string) ([]string, error) {
	rows := []string{}
	for _, name := range upstreams {
		row, err := db.One(ctx, tx, db.Scalar[string], `SELECT id FROM pkg_repository WHERE domain = $1 AND name = $2`, domainRow, name)
		if err != nil {
			return nil, orNotFound(err, repositoryNotFound(id.Domain.Repository(name)))
		}
		cycle, err := reaches(ctx, tx, row, id.Name, map[string]bool{})
		if err != nil {
			return nil, err
		}
		if cycle {
			return nil, invalid("The repository %[1]s cannot be an upstream of %[2]s, because %[2]s is an upstream of %[1]s.", name, id.Name)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// reaches reports whether the named repository has the row or is one of the direct or
// indirect upstreams of that one.
func reaches(ctx context.Context, tx *db.Tx, row, name string, seen map[string]bool) (bool, error) {
	if seen[row] {
		return false, nil
	}
	seen[row] = true
	var upstreams []string
	found, err := db.One(ctx, tx, func(r db.Row) (found string, err error) {
		var text []byte
		if err := r.Scan(&found, &text); err != nil {
			return "", err
		}
		return found, json.Unmarshal(text, &upstreams)
	}, `SELECT name, upstreams FROM pkg_repository WHERE id = $1`, row)
	if errors.Is(err, db.ErrNoRows) { // deleted since it became an upstream
		return false, nil
	}
	if err != nil || found == name {
		return err == nil, err
	}
	for _, row := range upstreams {
		if found, err := reaches(ctx, tx, row, name, seen); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// DescribeRepository returns a repository.
// codeartifact:DescribeRepository on the repository.
func (s *Service) DescribeRepository(ctx context.Context, id RepositoryID) (Repository, error) {
	if _, err := s.authorizeRepository(ctx, "codeartifact:DescribeRepository", id); err != nil {
		return Repository{}, err
	}
	return s.describeRepository(id)
}

// A RepositoryUpdate is the input of UpdateRepository; nil leaves a field as it is.
type RepositoryUpdate struct {
	Description *string
	// Upstreams replace the current ones; an empty slice that is not nil removes all.
	Upstreams []string
}

// UpdateRepository changes a repository. Fault ServiceQuotaExceeded: more than ten
// upstreams. codeartifact:UpdateRepository on the repository, and
// codeartifact:AssociateWithDownstreamRepository on each upstream that is named.
func (s *Service) UpdateRepository(ctx context.Context, id RepositoryID, u RepositoryUpdate) (Repository, error) {
	r, err := s.authorizeRepository(ctx, "codeartifact:UpdateRepository", id)
	if err != nil {
		return Repository{}, err
	}
	if u.Description != nil {
		if err := validDescription(*u.Description); err != nil {
			return Repository{}, err
		}
	}
	if err := s.checkUpstreams(ctx, id, u.Upstreams); err != nil {
		return Repository{}, err
	}
	return s.changeRepository(ctx, id, func(tx *db.Tx) error {
		var upstreams, description any
		if u.Upstreams != nil {
			ids, err := upstreamRows(ctx, tx, r.domainRow, id, u.Upstreams)
			if err != nil {
				return err
			}
			upstreams = asJSON(ids)
		}
		if u.Description != nil {
			description = *u.Description
		}
		n, err := tx.Exec(ctx, `UPDATE pkg_repository SET description = coalesce($2, description), upstreams = coalesce($3, upstreams) WHERE id = $1`,
			r.row, description, upstreams)
		if err == nil && n == 0 {
			err = repositoryNotFound(id)
		}
		return err
	})
}

// DeleteRepository deletes a repository with all its packages and returns its
// description. It is removed from the upstreams of other repositories, and a new
// repository of the same name does not become their upstream. (On AWS, reads of those
// repositories fail until they are updated.) codeartifact:DeleteRepository on the
// repository.
func (s *Service) DeleteRepository(ctx context.Context, id RepositoryID) (Repository, error) {
	r, err := s.authorizeRepository(ctx, "codeartifact:DeleteRepository", id)
	if err != nil {
		return Repository{}, err
	}
	gone, err := s.describeRepository(id)
	if err != nil {
		return Repository{}, err
	}
	err = s.changeDomain(ctx, id.Domain, delta{repository: id.Name}, func(tx *db.Tx) error {
		if err := s.removeUpstream(ctx, tx, r); err != nil {
			return err
		}
		if err := s.deleteRepositoryContent(ctx, tx, r); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `DELETE FROM pkg_repository WHERE id = $1`, r.row)
		if err == nil && n == 0 {
			err = repositoryNotFound(id)
		}
		return err
	})
	if err != nil {
		return Repository{}, err
	}
	return gone, nil
}

// removeUpstream removes the repository from the upstreams of all others. The snapshot
// says which these are; if it lacks one, that keeps the row of a repository that does
// not exist, which is not an upstream. For the same reason the others need not be read
// again.
func (s *Service) removeUpstream(ctx context.Context, tx *db.Tx, gone *repository) error {
	d := s.snapshot.Load().domain(gone.id.Domain)
	if d == nil {
		return domainNotFound(gone.id.Domain)
	}
	var err error
	d.all(func(r *repository) {
		if err == nil && slices.Contains(r.upstreams, gone.row) {
			err = removeUpstreamOf(ctx, tx, r.row, gone.row)
		}
	})
	return err
}

func removeUpstreamOf(ctx context.Context, tx *db.Tx, row, gone string) error {
	text, err := db.One(ctx, tx, db.Scalar[[]byte], `SELECT upstreams FROM pkg_repository WHERE id = $1`, row)
	if errors.Is(err, db.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	rest := []string{}
	if err := json.Unmarshal(text, &rest); err != nil {
		return err
	}
	rest = slices.DeleteFunc(rest, func(u string) bool { return u == gone })
	_, err = tx.Exec(ctx, `UPDATE pkg_repository SET upstreams = $2 WHERE id = $1`, row, asJSON(rest))
	return err
}

// A RepositoryFilter selects repositories of a listing; empty fields select all.
type RepositoryFilter struct {
	NamePrefix    string
	Administrator string
}

func (f RepositoryFilter) selects(r *repository) bool {
	return strings.HasPrefix(r.id.Name, f.NamePrefix) && (f.Administrator == "" || f.Administrator == r.administrator)
}

// ListRepositories returns at most limit of the repositories in the region whose
// domain the account owns or that it administers, by domain and name, and whether
// there are more. after is the last one of the previous page.
// codeartifact:ListRepositories on *.
func (s *Service) ListRepositories(ctx context.Context, account, region string, f RepositoryFilter, after RepositoryID, limit int) (page []Repository, more bool, err error) {
	if err := s.authorizeAccount(ctx, "codeartifact:ListRepositories"); err != nil {
		return nil, false, err
	}
	s.snapshot.Load().all(func(d *domain) {
		if d.id.Region != region {
			return
		}
		d.all(func(r *repository) {
			if (d.id.Owner == account || r.administrator == account) && f.selects(r) && compareRepositories(r.id, after) > 0 {
				page = append(page, d.describeRepository(r))
			}
		})
	})
	page, more = firstPage(sortRepositories(page), limit)
	return page, more, nil
}

// ListRepositoriesInDomain returns at most limit of a domain's repositories by
// name, and whether there are more. after is the last name of the previous page.
// codeartifact:ListRepositoriesInDomain on the domain.
func (s *Service) ListRepositoriesInDomain(ctx context.Context, id DomainID, f RepositoryFilter, after string, limit int) (page []Repository, more bool, err error) {
	d, err := s.authorizeDomain(ctx, "codeartifact:ListRepositoriesInDomain", id, authz.Request{})
	if err != nil {
		return nil, false, err
	}
	d.all(func(r *repository) {
		if f.selects(r) && r.id.Name > after {
			page = append(page, d.describeRepository(r))
		}
	})
	page, more = firstPage(sortRepositories(page), limit)
	return page, more, nil
}

func sortRepositories(all []Repository) []Repository {
	slices.SortFunc(all, func(a, b Repository) int { return compareRepositories(a.ID, b.ID) })
	return all
}

func compareRepositories(a, b RepositoryID) int {
	return cmp.Or(strings.Compare(a.Domain.Name, b.Domain.Name), strings.Compare(a.Domain.Owner, b.Domain.Owner), strings.Compare(a.Name, b.Name))
}
