package packages

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/integrity"
	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
)

// The actions that read versions, about which admission decides one by one.
const (
	readFromRepository     = "codeartifact:ReadFromRepository"
	getPackageVersionAsset = "codeartifact:GetPackageVersionAsset"
)

// maxSearched is how many repositories one request searches, including the one that
// was asked (CodeArtifact User Guide, "Quotas").
const maxSearched = 25

// Package returns a package as the clients of the repository see it. If the
// repository and its upstreams contain the same version, the first one in the search
// is used. Versions that admission denies to the caller are left out.
// codeartifact:ReadFromRepository on the repository.
func (s *Service) Package(ctx context.Context, repo RepositoryID, id PackageID) (*Package, error) {
	r, err := s.authorizeReading(ctx, repo)
	if err != nil {
		return nil, err
	}
	p, err := s.visible(ctx, r, id)
	if err != nil {
		return nil, err
	}
	return s.admit(ctx, r, id, p)
}

// authorizeReading authorizes codeartifact:ReadFromRepository for a request in which
// admission decides about each version.
func (s *Service) authorizeReading(ctx context.Context, repo RepositoryID) (*repository, error) {
	return s.authorizeRepository(ctx, readFromRepository, repo)
}

// visible is Package without its authorization.
func (s *Service) visible(ctx context.Context, r *repository, id PackageID) (*Package, error) {
	if err := validPackage(id); err != nil {
		return nil, err
	}
	var found found
	err := s.whileStoring(ctx, id, func() (err error) {
		found, err = s.search(ctx, r, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.view(ctx, r, id, found)
}

// StoredPackage is Package without what is only in external registries.
// codeartifact:ReadFromRepository on the repository.
func (s *Service) StoredPackage(ctx context.Context, repo RepositoryID, id PackageID) (*Package, error) {
	r, err := s.authorizeReading(ctx, repo)
	if err != nil {
		return nil, err
	}
	if err := validPackage(id); err != nil {
		return nil, err
	}
	p, err := s.visibleStored(ctx, r, id)
	if err != nil {
		return nil, err
	}
	return s.admit(ctx, r, id, p)
}

// visibleStored is StoredPackage without its authorization.
func (s *Service) visibleStored(ctx context.Context, r *repository, id PackageID) (*Package, error) {
	found, err := s.searchOwn(ctx, r, id)
	if err != nil {
		return nil, err
	}
	return s.view(ctx, r, id, found)
}

// searchOwn is search without external registries.
func (s *Service) searchOwn(ctx context.Context, r *repository, id PackageID) (found, error) {
	f, err := s.searchStored(ctx, r, id)
	f.dropRemotes()
	return f, err
}

// view makes one package of what a search found.
func (s *Service) view(ctx context.Context, r *repository, id PackageID, found found) (*Package, error) {
	var p *Package
	switch len(found.records) {
	case 0:
	case 1:
		p = found.records[0].view
	default:
		p = s.merge(r, id, found)
	}
	if p == nil || len(p.byKey) == 0 { // a package may have an origin configuration and no versions
		return nil, s.whyMissing(ctx, r, id, "", found)
	}
	return p, nil
}

// WhyNotVisible returns the fault of a version that Package does not have.
// codeartifact:ReadFromRepository on the repository.
func (s *Service) WhyNotVisible(ctx context.Context, repo RepositoryID, id PackageID, version string) error {
	r, err := s.authorizeReading(ctx, repo)
	if err != nil {
		return err
	}
	find := s.search
	if id.Format.rules().ownVersion(version) {
		find = s.searchOwn
	}
	found, err := find(ctx, r, id)
	if err != nil {
		return err
	}
	if p, err := s.view(ctx, r, id, found); err == nil {
		if v := p.Version(version); v != nil {
			for _, file := range v.decided() {
				if err := s.checkDownload(ctx, readFromRepository, r, id, v, &file); err != nil {
					return err
				}
			}
		}
	}
	return s.whyMissing(ctx, r, id, version, found)
}

// whyMissing returns the fault of a package, or of a version, that a search did not find.
// If an external registry failed, that is the reason: nobody knows what it has.
func (s *Service) whyMissing(ctx context.Context, r *repository, id PackageID, version string, f found) error {
	if f.failure != nil {
		return f.failure
	}
	return s.whyNotVisible(ctx, r, id, version, f)
}

// whyNotVisible returns the fault of a package, or, unless the version is empty, of a
// version that clients of the repository do not see. It says whether the origin
// configuration of the package or a package group hides that of an upstream repository.
func (s *Service) whyNotVisible(ctx context.Context, r *repository, id PackageID, version string, searched found) error {
	missing := packageNotFound(r.id, id)
	if version != "" {
		missing = versionNotFound(r.id, id, version)
	}
	key := id.Format.versionKey(version)
	group, _ := s.snapshot.Load().domain(r.id.Domain).blockingGroup(ByInternalUpstream, r, id)
	var blocking, hidden string
	err := s.walkUpstreams(r, id.Format, func(u *repository) (func(), bool, error) {
		p, err := s.load(ctx, u, id)
		if err != nil {
			return nil, false, err
		}
		if (blocking != "" || group != nil && u != r) && hidden == "" && p.exists() &&
			(version == "" && len(p.view.Versions) > 0 || p.view.byKey[key] != nil && p.view.byKey[key].Status == Published) {
			hidden = u.id.Name
		}
		if blocking == "" && hidden == "" && p.exists() && p.origin.Upstream == Block {
			blocking = u.id.Name
			return func() {
				if hidden == "" {
					blocking = ""
				}
			}, true, nil
		}
		return nil, true, nil
	})
	if err != nil {
		return missing
	}
	f := *fault.From(missing)
	if hidden == "" {
		if why := s.whyNotAsked(r, id, searched); why != "" {
			f.Message += " " + why
		}
		return &f
	}
	f.Message += " The upstream repository " + hidden + " has it, but "
	if blocking != "" {
		f.Message += "the origin configuration of the package in repository " + blocking + " blocks upstream versions. PutPackageOriginConfiguration can allow them."
	} else {
		f.Message += "the package group " + group.pattern.String() + " blocks upstream versions in repository " + r.id.Name + ". UpdatePackageGroupOriginConfiguration can allow them."
	}
	return &f
}

// A found is what a search found of a package.
type found struct {
	// records are in the order of priority: the repository itself, then its upstreams
	// one after the other, each followed by its own upstreams.
	records []*record
	// tagged are the same records in the order in which their tags count: a
	// repository comes after its upstreams (User Guide, "npm tag handling").
	tagged []*record
	// remotes are the external connections on the way, and their places in the others.
	remotes []remoteSlot
	// blocking is a repository whose package has upstream BLOCK, or nil.
	blocking *repository
	// refused is why an external connection was not asked, or empty.
	refused string
	// failure is why an external registry did not answer, or nil.
	failure error
}

// search returns the records of the package in the repository, its upstreams and the
// registries that they are connected to.
func (s *Service) search(ctx context.Context, r *repository, id PackageID) (found, error) {
	f, err := s.searchStored(ctx, r, id)
	if err == nil && len(f.remotes) > 0 {
		err = s.askRemotes(ctx, id, &f)
	}
	return f, err
}

// searchStored returns the records of the package in the repository and its upstreams.
// Repositories without the package are left out. The upstreams of a repository that
// has the package with upstream BLOCK are not searched. The records of external
// registries are empty: see askRemotes.
func (s *Service) searchStored(ctx context.Context, r *repository, id PackageID) (found, error) {
	sees := len(r.upstreams) > 0 && s.snapshot.Load().domain(r.id.Domain).seesUpstream(r, id)
	// The most frequent case, without the bookkeeping.
	if !sees && !s.connected(r, id) {
		p, err := s.load(ctx, r, id)
		if err != nil || !p.exists() {
			return found{}, err
		}
		return found{records: []*record{p}}, nil
	}
	var f found
	err := s.walkUpstreams(r, id.Format, func(r *repository) (func(), bool, error) {
		p, err := s.load(ctx, r, id)
		if err != nil {
			return nil, false, err
		}
		if !p.exists() {
			f.addSlot(s, r, id)
			return nil, sees, nil
		}
		f.records = append(f.records, p)
		deeper := p.origin.Upstream == Allow
		if deeper {
			f.addSlot(s, r, id)
		} else if f.blocking == nil {
			f.blocking = r
		}
		return func() { f.tagged = append(f.tagged, p) }, sees && deeper, nil
	})
	return f, err
}

// A visitor is called for a repository before its upstreams. It returns whether they
// are to be visited too, and what to do after them, or nil.
type visitor func(*repository) (after func(), deeper bool, err error)

// walkUpstreams visits the repository and, if packages of the format are taken from
// upstreams, its upstreams, depth first and each once.
func (s *Service) walkUpstreams(r *repository, f Format, visit visitor) error {
	if f.rules().ownOnly {
		_, _, err := visit(r)
		return err
	}
	return s.snapshot.Load().domain(r.id.Domain).walkUpstreams(r, map[string]bool{}, visit)
}

// walkUpstreams is for a domain that may be nil, if it was deleted meanwhile.
func (d *domain) walkUpstreams(r *repository, seen map[string]bool, visit visitor) error {
	if seen[r.row] || len(seen) == maxSearched {
		return nil
	}
	seen[r.row] = true
	after, deeper, err := visit(r)
	if err != nil {
		return err
	}
	if deeper && d != nil {
		for _, row := range r.upstreams {
			u := d.repositoryAt(row)
			if u == nil {
				continue
			}
			if err := d.walkUpstreams(u, seen, visit); err != nil {
				return err
			}
		}
	}
	if after != nil {
		after()
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

// merge joins the records of several repositories. The first that has a version or
// attributes wins. A version that is hidden there stays hidden: an archived version is
// not replaced by the same version upstream. Tags are the other way round: a tag that
// is set upstream counts before the same tag downstream, as AWS documents.
func (s *Service) merge(r *repository, id PackageID, f found) *Package {
	h := sha256.New()
	for _, p := range slices.Concat(f.records, f.tagged) {
		h.Write([]byte(p.view.Revision + "\n"))
	}
	sources := hex.EncodeToString(h.Sum(nil)[:16])
	k := r.cacheKey(id)
	have := s.views.Lookup(k)
	if have.State == lru.Fresh && have.Value.sources == sources {
		return have.Value.view
	}
	first := f.records[0].view
	view := &Package{
		ID: first.ID, Revision: sources, Tags: map[string]string{}, byKey: map[string]*Version{},
		Created: first.Created, Modified: first.Modified,
	}
	for _, p := range slices.Backward(f.records) {
		for key, v := range p.versions {
			view.byKey[key] = v.withAssetsOf(view.byKey[key], id.Format).following(view.byKey[key]).unlessWithdrawn(f, id.Format)
		}
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
	for _, p := range f.tagged {
		for tag, version := range p.tags {
			if v := view.byKey[id.Format.versionKey(version)]; v != nil && v.Status == Published && view.Tags[tag] == "" {
				view.Tags[tag] = version
			}
		}
	}
	view.finish()
	s.views.Store(k, &mergedView{sources, view}, have)
	return view
}

// withAssetsOf returns the version with the assets that only the same version further
// upstream has: a wheel can be uploaded there after the version was retained (User
// Guide, "Requesting Python packages from upstreams and external connections"). Both
// must have been published to the same repository. Otherwise they are different
// versions, and the one downstream hides the other.
func (v *Version) withAssetsOf(upstream *Version, f Format) *Version {
	if upstream == nil || f.rules().sealed || upstream.EntryPoint != v.EntryPoint || !v.Status.downloadable() || !upstream.Status.downloadable() {
		return v
	}
	joined := *v
	joined.Assets = joinAssets(v.Assets, upstream.Assets)
	joined.Sidecars = joinAssets(v.Sidecars, upstream.sidecarsFor(v))
	return &joined
}

// joinAssets adds the assets of more whose names first does not have.
func joinAssets(first, more []Asset) []Asset {
	all := slices.Clone(first)
	for _, a := range more {
		if findAsset(first, a.Name) == nil {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, func(a, b Asset) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// OpenAsset opens an asset or a sidecar of a version that can be downloaded, listed or
// not. What was found upstream is retained: it stays in the repository whatever happens
// upstream (User Guide, "Requesting a package version with upstream repositories",
// Package retention). codeartifact:ReadFromRepository on the repository.
func (s *Service) OpenAsset(ctx context.Context, repo RepositoryID, id PackageID, version, name string) (Asset, blob.Object, error) {
	r, err := s.authorizeReading(ctx, repo)
	if err != nil {
		return Asset{}, nil, err
	}
	if err := validPackage(id); err != nil {
		return Asset{}, nil, err
	}
	for range maxOpenTries {
		var a Asset
		var o blob.Object
		err := s.whileStoring(ctx, id, func() (err error) {
			a, o, err = s.openFound(ctx, r, id, version, name)
			return err
		})
		if !errors.Is(err, errStored) {
			return a, o, err
		}
	}
	return Asset{}, nil, fmt.Errorf("the asset %s of version %s of %s is stored and deleted again and again", name, version, id)
}

// StatAsset is [Service.OpenAsset] for a client that asks for the length and hash of an
// asset and not for its bytes. If an external registry tells them, nothing is downloaded,
// and the object has no bytes. codeartifact:ReadFromRepository on the repository.
func (s *Service) StatAsset(ctx context.Context, repo RepositoryID, id PackageID, version, name string) (Asset, blob.Object, error) {
	r, err := s.authorizeReading(ctx, repo)
	if err != nil {
		return Asset{}, nil, err
	}
	if err := validPackage(id); err != nil {
		return Asset{}, nil, err
	}
	v, a, err := s.findAsset(ctx, r, id, version, name)
	if err != nil {
		return Asset{}, nil, err
	}
	if a.remote == nil || a.Size == 0 || a.SHA256 == "" && a.SHA512 == "" {
		return s.OpenAsset(ctx, repo, id, version, name) // it decides about the file, and counts that once
	}
	if err := s.checkDownload(ctx, readFromRepository, r, id, v, a); err != nil {
		return Asset{}, nil, err
	}
	return *a, &unreadObject{size: a.Size}, nil
}

// An unreadObject has a size and no bytes.
type unreadObject struct{ size, offset int64 }

var errUnread = errors.New("packages: the bytes of the asset were not asked for")

func (o *unreadObject) Size() int64                       { return o.size }
func (o *unreadObject) Close() error                      { return nil }
func (o *unreadObject) Read([]byte) (int, error)          { return 0, errUnread }
func (o *unreadObject) ReadAt([]byte, int64) (int, error) { return 0, errUnread }

// Seek implements io.Seeker: net/http finds the size by it.
func (o *unreadObject) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += o.offset
	case io.SeekEnd:
		offset += o.size
	}
	o.offset = offset
	return offset, nil
}

// maxOpenTries bounds how often OpenAsset looks an asset up. It looks again after the
// asset was downloaded from an external registry.
const maxOpenTries = 3

// openFound looks an asset up and opens it. After errStored it is to be called again.
func (s *Service) openFound(ctx context.Context, r *repository, id PackageID, version, name string) (Asset, blob.Object, error) {
	v, a, err := s.findAsset(ctx, r, id, version, name)
	if err != nil {
		return Asset{}, nil, err
	}
	if err := s.checkDownload(ctx, readFromRepository, r, id, v, a); err != nil {
		return Asset{}, nil, err
	}
	if a.remote != nil && a.beside != "" {
		return s.openBeside(ctx, id, v, a)
	}
	if a.remote != nil {
		return s.openRemote(ctx, r, id, v, a)
	}
	o, err := s.open(ctx, r, id, v, a)
	// An Unfinished version would stay so here when it is finished upstream.
	if err == nil && a.repository != r.id.Name && v.Status != Unfinished {
		if err = s.retain(ctx, r, v, id, a.repository); err != nil {
			o.Close()
		}
	}
	if err != nil {
		return Asset{}, nil, err
	}
	opened := *a
	opened.download = s.newDownload(r, id, v, a)
	return opened, o, nil
}

// findAsset finds an asset or a sidecar. What the repository itself has needs no search.
// So it is served while external registries are slow or fail.
func (s *Service) findAsset(ctx context.Context, r *repository, id PackageID, version, name string) (*Version, *Asset, error) {
	own, err := s.load(ctx, r, id)
	if err != nil {
		return nil, nil, err
	}
	if own.exists() {
		if v := own.view.Version(version); v != nil {
			if a := v.file(name); a != nil {
				return v, a, nil
			}
		}
	}
	if id.Format.rules().mainFile != nil {
		return s.findUnlisted(ctx, r, id, version, name)
	}
	found, err := s.search(ctx, r, id)
	if err != nil {
		return nil, nil, err
	}
	p, err := s.view(ctx, r, id, found)
	if err != nil {
		return nil, nil, err
	}
	v := p.Version(version)
	if v == nil {
		return nil, nil, s.whyMissing(ctx, r, id, version, found)
	}
	a := v.file(name)
	switch {
	case a != nil:
		return v, a, nil
	case found.failure != nil && v.External() && !id.Format.rules().sealed: // it may be there
		return nil, nil, found.failure
	}
	return nil, nil, assetNotFound(id, v.Version, name)
}

// open opens an asset or a sidecar of a version. It does not exist if its bytes are
// lost.
func (s *Service) open(ctx context.Context, r *repository, id PackageID, v *Version, a *Asset) (blob.Object, error) {
	o, err := integrity.Open(ctx, s.blobs, a.object, a.Size)
	if !integrity.IsDamaged(err) {
		return o, err
	}
	// The version may have been deleted after it was read, or the bytes replaced.
	object, currentErr := s.currentObject(ctx, r, a)
	if currentErr != nil {
		return nil, currentErr
	}
	if object != "" && object != a.object {
		if o, err = integrity.Open(ctx, s.blobs, object, a.Size); !integrity.IsDamaged(err) {
			return o, err
		}
	}
	if object != "" {
		s.damage.Report(ctx, object, a.SHA256, err)
	}
	return nil, assetNotFound(id, v.Version, a.Name)
}
