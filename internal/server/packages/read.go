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

// maxSearched is how many repositories one request searches, including the one that
// was asked (CodeArtifact User Guide, "Quotas").
const maxSearched = 25

// Package returns a package as the clients of the repository see it. If the
// repository and its upstreams contain the same version, the first one in the search
// is used. codeartifact:ReadFromRepository on the repository.
func (s *Service) Package(ctx context.Context, repo RepositoryID, id PackageID) (*Package, error) {
	r, err := s.authorizeRepository(ctx, readFromRepository, repo)
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
	if p == nil || len(p.byKey) == 0 { // a package may have an origin configuration and no versions
		return nil, packageNotFound(r.id, id)
	}
	return p, nil
}

// search returns the records of the package in the order of priority: the repository
// itself, then its upstreams one after the other, each followed by its own upstreams.
// Repositories without the package are left out. The upstreams of a repository that
// has the package with upstream BLOCK are not searched.
func (s *Service) search(ctx context.Context, r *repository, id PackageID) ([]*record, error) {
	var found []*record
	err := r.walkUpstreams(func(r *repository) (deeper bool, err error) {
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

// walkUpstreams visits the repository and its upstreams, depth first and each once. It
// visits the upstreams of a repository if visit returns deeper.
func (r *repository) walkUpstreams(visit func(*repository) (deeper bool, err error)) error {
	if len(r.upstreams) == 0 { // the most frequent case, without a set
		_, err := visit(r)
		return err
	}
	return r.walkUpstreamsInto(map[*repository]bool{}, visit)
}

func (r *repository) walkUpstreamsInto(seen map[*repository]bool, visit func(*repository) (bool, error)) error {
	if seen[r] || len(seen) == maxSearched {
		return nil
	}
	seen[r] = true
	deeper, err := visit(r)
	if err != nil || !deeper {
		return err
	}
	for _, u := range r.upstreams {
		if err := u.walkUpstreamsInto(seen, visit); err != nil {
			return err
		}
	}
	return nil
}

// A mergedView is a package merged from several repositories. sources identifies the
// records that it was made of.
type mergedView struct {
	sources string
	view    *Package
}

func (v *mergedView) size() int64 { return minEntry + 96*int64(len(v.view.byKey)) }

// merge joins the records of several repositories. The first that has a version, a
// tag or attributes wins. A version that is hidden there stays hidden: an archived
// version is not replaced by the same version upstream.
func (s *Service) merge(r *repository, id PackageID, found []*record) *Package {
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

// OpenAsset opens an asset of a version that can be downloaded, listed or not. A
// version that was found upstream is retained: it stays in the repository whatever
// happens upstream (User Guide, "Requesting a package version with
// upstream repositories", Package retention). codeartifact:ReadFromRepository on the repository.
func (s *Service) OpenAsset(ctx context.Context, repo RepositoryID, id PackageID, version, asset string) (Asset, blob.Object, error) {
	r, err := s.authorizeRepository(ctx, readFromRepository, repo)
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

// open opens an asset of a version.
func (s *Service) open(ctx context.Context, id PackageID, v *Version, asset string) (Asset, blob.Object, error) {
	a := v.Asset(asset)
	if a == nil {
		return Asset{}, nil, assetNotFound(id, v.Version, asset)
	}
	o, err := s.blobs.Open(ctx, a.object)
	if errors.Is(err, blob.ErrNotFound) && !s.contentExists(ctx, a.object) {
		// The version was deleted after v was read.
		return Asset{}, nil, assetNotFound(id, v.Version, asset)
	}
	if err != nil {
		return Asset{}, nil, err
	}
	return *a, o, nil
}
