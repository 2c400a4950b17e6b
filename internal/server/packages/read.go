package packages

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"slices"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
)

const readFromRepository = "codeartifact:ReadFromRepository"

// maxSearched is how many repositories one request looks into, the one that
// was asked included (CodeArtifact User Guide, "Quotas").
const maxSearched = 25

// Package returns what the repository's clients see of a package: where the
// repository and its upstreams have the same version, the one that comes first
// in the search. codeartifact:ReadFromRepository on the repository.
func (s *Service) Package(ctx context.Context, repo RepositoryID, id PackageID) (*Package, error) {
	r, err := s.onRepository(ctx, readFromRepository, repo)
	if err != nil {
		return nil, err
	}
	return s.visible(ctx, r, id)
}

// visible is Package without its authorization.
func (s *Service) visible(ctx context.Context, r *repository, id PackageID) (*Package, error) {
	if err := validPackage(id); err != nil {
		return nil, err
	}
	found, err := s.search(ctx, r, id)
	if err != nil {
		return nil, err
	}
	var p *Package
	switch len(found) {
	case 0:
	case 1:
		p = found[0].view
	default:
		p = s.merge(r, id, found)
	}
	if p == nil || len(p.byKey) == 0 { // a name may be kept for its origin configuration alone
		return nil, packageNotFound(r.id, id)
	}
	return p, nil
}

// search returns what each repository holds of the package, the ones without
// it left out, in the order of priority: the repository itself, then its
// upstreams one after the other, each with its own before the next. Below a
// repository that has the package with upstream BLOCK nothing is searched.
func (s *Service) search(ctx context.Context, r *repository, id PackageID) ([]*stored, error) {
	var found []*stored
	err := r.walk(func(r *repository) (deeper bool, err error) {
		p, err := s.load(ctx, r, id)
		if err != nil {
			return false, err
		}
		if !p.exists() {
			return true, nil
		}
		found = append(found, p)
		return p.origin.Upstream == Allow, nil
	})
	return found, err
}

// walk visits the repository and its upstreams, depth first and each once, and
// goes deeper where visit says so.
func (r *repository) walk(visit func(*repository) (deeper bool, err error)) error {
	if len(r.upstreams) == 0 { // the most frequent case, without a set
		_, err := visit(r)
		return err
	}
	return r.walkInto(map[*repository]bool{}, visit)
}

func (r *repository) walkInto(seen map[*repository]bool, visit func(*repository) (bool, error)) error {
	if seen[r] || len(seen) == maxSearched {
		return nil
	}
	seen[r] = true
	deeper, err := visit(r)
	if err != nil || !deeper {
		return err
	}
	for _, u := range r.upstreams {
		if err := u.walkInto(seen, visit); err != nil {
			return err
		}
	}
	return nil
}

// A mergedView is a package as it is seen through upstreams, with what it was
// made of.
type mergedView struct {
	sources string
	view    *Package
}

func (v *mergedView) size() int64 { return minEntry + 96*int64(len(v.view.byKey)) }

// merge joins what several repositories hold. The first that has a version, a
// tag or attributes wins, a version that is hidden there too: an archived
// version does not shine through from upstream.
func (s *Service) merge(r *repository, id PackageID, found []*stored) *Package {
	h := sha256.New()
	for _, p := range found {
		h.Write([]byte(p.view.Revision + "\n"))
	}
	sources := hex.EncodeToString(h.Sum(nil)[:16])
	k := r.cacheKey(id)
	have := s.views.Lookup(k)
	if have.State == lru.Fresh && have.Value.sources == sources {
		return have.Value.view
	}
	first := found[0].view
	view := &Package{
		ID: first.ID, Revision: sources, Tags: map[string]string{}, byKey: map[string]*Version{},
		Created: first.Created, Modified: first.Modified,
	}
	for _, p := range slices.Backward(found) {
		maps.Copy(view.byKey, p.versions)
		maps.Copy(view.Tags, p.tags)
		if p.view.Attributes != nil {
			view.Attributes = p.view.Attributes
		}
		if p.view.Created.Before(view.Created) {
			view.Created = p.view.Created
		}
		if p.view.Modified.After(view.Modified) {
			view.Modified = p.view.Modified
		}
	}
	view.finish()
	s.views.Store(k, &mergedView{sources, view}, have)
	return view
}

// OpenAsset opens an asset of a version that can be downloaded, listed or not.
// A version found upstream stays in the repository from then on, whatever
// happens to it upstream (User Guide, "Requesting a package version with
// upstream repositories", Package retention). codeartifact:ReadFromRepository on the repository.
func (s *Service) OpenAsset(ctx context.Context, repo RepositoryID, id PackageID, version, asset string) (Asset, blob.Object, error) {
	r, err := s.onRepository(ctx, readFromRepository, repo)
	if err != nil {
		return Asset{}, nil, err
	}
	p, err := s.visible(ctx, r, id)
	if err != nil {
		return Asset{}, nil, err
	}
	v := p.Version(version)
	if v == nil {
		return Asset{}, nil, versionNotFound(repo, id, version)
	}
	a, o, err := s.open(ctx, id, v, asset)
	if err == nil && v.Repository != repo.Name {
		if err = s.retain(ctx, r, v, id); err != nil {
			o.Close()
		}
	}
	if err != nil {
		return Asset{}, nil, err
	}
	return a, o, nil
}

// open opens an asset of a version that was found.
func (s *Service) open(ctx context.Context, id PackageID, v *Version, asset string) (Asset, blob.Object, error) {
	a := v.Asset(asset)
	if a == nil {
		return Asset{}, nil, assetNotFound(id, v.Version, asset)
	}
	o, err := s.blobs.Open(ctx, a.object)
	if errors.Is(err, blob.ErrNotFound) && !s.contentExists(ctx, a.object) {
		// It was deleted since v was read.
		return Asset{}, nil, assetNotFound(id, v.Version, asset)
	}
	if err != nil {
		return Asset{}, nil, err
	}
	return *a, o, nil
}
