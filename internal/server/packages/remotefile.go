package packages

import (
	"context"
	"errors"
	"slices"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// How files are found that no registry lists.
//
// A Maven repository tells the versions of an artifact, but not the files of a version,
// and not even its list of versions must be complete. So a file is asked for by its name
// when a client asks for it, and nothing else is looked up.
//
// All files of a version come from one registry: if the version is kept, from the one
// through which it came, and otherwise from the first in the search that has the main file
// of the version, its POM. Files of two registries would be two versions in one.

// findUnlisted finds a file of a version of a format whose registries do not list files.
// A version that a repository of the search keeps comes before those of all registries,
// so the registries are asked only for what nobody keeps.
func (s *Service) findUnlisted(ctx context.Context, r *repository, id PackageID, version, name string) (*Version, *Asset, error) {
	f, err := s.searchStored(ctx, r, id)
	if err != nil {
		return nil, nil, err
	}
	slots := f.remotes
	f.dropRemotes()
	v := f.version(id, version)
	if v != nil && v.Status.downloadable() {
		if a := v.file(name); a != nil {
			return v, a, nil
		}
	}
	rules := id.Format.rules()
	switch {
	case v != nil && !v.Status.downloadable(), validVersion(version) != nil, rules.ownVersion(version):
		slots = nil
	case v != nil: // slots of other registries have another version of the same number
		slots = slices.DeleteFunc(slots, func(slot remoteSlot) bool { return slot.repository.connection != v.EntryPoint })
	}
	if v == nil {
		if slots, err = s.havingVersion(ctx, id, version, slots, &f); err != nil {
			return nil, nil, err
		}
	}
	for _, slot := range slots {
		a, err := s.askFile(ctx, id, version, name, slot, &f)
		if err != nil {
			return nil, nil, err
		}
		if a != nil {
			found := v.withRemote(version, a, slot.repository)
			if a := found.Asset(name); a != nil {
				return found, a, nil
			}
		}
	}
	if v != nil && v.Status.downloadable() {
		return nil, nil, assetNotFound(id, version, name)
	}
	return nil, nil, s.whyMissing(ctx, r, id, version, f)
}

// havingVersion returns the slot of the first registry that has the main file of the
// version. If none has it, that file does not tell whose the version is, and it returns
// all.
func (s *Service) havingVersion(ctx context.Context, id PackageID, version string, slots []remoteSlot, f *found) ([]remoteSlot, error) {
	if len(slots) < 2 {
		return slots, nil
	}
	for i, slot := range slots {
		a, err := s.askFile(ctx, id, version, id.Format.rules().mainFile(id, version), slot, f)
		if err != nil {
			return nil, err
		}
		if a != nil {
			return slots[i : i+1], nil
		}
	}
	return slots, nil
}

// askFile asks a registry for a file. It returns nil if the registry does not have it, or
// may not be asked.
func (s *Service) askFile(ctx context.Context, id PackageID, version, name string, slot remoteSlot, f *found) (*RemoteAsset, error) {
	r := slot.repository
	if why := s.refusal(id, r, f.blocking); why != "" {
		f.refused = why
		return nil, nil
	}
	a, state, err := s.remote.File(ctx, r.connection, id.remote(), version, name)
	switch {
	case errors.Is(err, ErrNoRemotePackage):
		return nil, nil
	case err != nil:
		return nil, err
	}
	s.noteState(ctx, r.connection, state)
	return a, nil
}

// version returns a version as the records show it together: see merge.
func (f *found) version(id PackageID, version string) (v *Version) {
	key := id.Format.versionKey(version)
	for _, p := range slices.Backward(f.records) {
		if own := p.versions[key]; own != nil {
			v = own.withAssetsOf(v, id.Format).following(v)
		}
	}
	return v
}

// withRemote returns the version with a further file of an external registry. v may be
// nil.
func (v *Version) withRemote(version string, a *RemoteAsset, r *repository) *Version {
	of := &Version{Version: version, Status: Published, Published: a.Published, EntryPoint: r.connection, Repository: r.id.Name, live: true}
	of.addRemote(a, r)
	if v == nil {
		return of
	}
	with := *v
	with.Assets = joinAssets(v.Assets, of.Assets)
	return &with
}

// FetchedAsset returns an asset with its size and all its hashes. If it is only in an
// external registry, it is fetched and kept first. codeartifact:ReadFromRepository on the
// repository.
func (s *Service) FetchedAsset(ctx context.Context, repo RepositoryID, id PackageID, version, name string) (Asset, error) {
	r, err := s.authorizeReading(ctx, repo)
	if err != nil {
		return Asset{}, err
	}
	if err := validPackage(id); err != nil {
		return Asset{}, err
	}
	for range maxOpenTries {
		v, a, err := s.findAsset(ctx, r, id, version, name)
		if err != nil {
			return Asset{}, err
		}
		if err := s.checkDownload(ctx, readFromRepository, r, id, v, a); err != nil {
			return Asset{}, err
		}
		if a.remote == nil {
			return *a, nil
		}
		if err := s.fetch(ctx, r, id, v, a); err != nil {
			return Asset{}, err
		}
	}
	return Asset{}, fault.New(fault.Unavailable, "ServiceUnavailable", "The asset %s of version %s of %s is stored and deleted again and again.", name, version, id)
}

// RemoteMavenPlugins returns what the external registries of a search say of the plug-ins
// of a group, the first in the search first: the Attributes of the packages. If one of
// them fails, those before it are returned with the failure.
//
// The address of a group is the one of an artifact, too. So no registry is asked if it
// must not be asked for that artifact. codeartifact:ReadFromRepository on the repository.
func (s *Service) RemoteMavenPlugins(ctx context.Context, repo RepositoryID, group string) ([]*RemotePackage, error) {
	r, err := s.authorizeReading(ctx, repo)
	if err != nil {
		return nil, err
	}
	if group == "" || validPrefix(group) != nil {
		return nil, nil
	}
	id := PackageID{Format: Maven, Namespace: group}
	f, err := s.searchStored(ctx, r, id)
	if err != nil {
		return nil, err
	}
	artifact, isArtifact := mavenArtifactAt(group)
	blocking := f.blocking
	if isArtifact && len(f.remotes) > 0 {
		same, err := s.searchStored(ctx, r, artifact)
		if err != nil {
			return nil, err
		}
		blocking = same.blocking
	}
	var all []*RemotePackage
	for _, slot := range f.remotes {
		if s.refusal(id, slot.repository, blocking) != "" || isArtifact && s.refusal(artifact, slot.repository, blocking) != "" {
			continue
		}
		p, state, err := s.remote.Package(ctx, slot.repository.connection, id)
		switch {
		case err == nil:
			s.noteState(ctx, slot.repository.connection, state)
			all = append(all, p)
		case errors.Is(err, ErrNoRemotePackage):
		case IsRemoteFailure(err):
			s.noteStale(ctx, StaleNotice{Connection: slot.repository.connection})
			return all, err
		default:
			return nil, err
		}
	}
	return all, nil
}
