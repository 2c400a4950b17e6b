package packages

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// How a search takes external registries in.
//
// A registry's record comes after the one of the repository that is connected to it. It is
// asked only if nothing says that the name is ours: see refusal. Otherwise somebody could
// register the name of an internal package there, with a higher version, and builds would
// take it.

// A remoteSlot is the place of an external registry in what a search found. record is in
// found.records and found.tagged and has no content until the registry is asked.
type remoteSlot struct {
	repository *repository // the one with the connection
	record     *record
}

// connected reports whether the repository has an external connection for the package.
func (s *Service) connected(r *repository, id PackageID) bool {
	return s.remote != nil && r.connection != "" && externalConnections[r.connection] == id.Format
}

// reachesConnected reports whether the repository or an upstream of it is connected. It
// reads memory only.
func (s *Service) reachesConnected(r *repository, id PackageID) (reaches bool) {
	_ = s.walkUpstreams(r, id.Format, func(u *repository) (func(), bool, error) {
		reaches = reaches || s.connected(u, id)
		return nil, !reaches, nil
	})
	return reaches
}

// addSlot makes a place for the registry that the repository is connected to, if any.
func (f *found) addSlot(s *Service, r *repository, id PackageID) {
	if !s.connected(r, id) {
		return
	}
	slot := remoteSlot{r, &record{remote: true}}
	f.remotes = append(f.remotes, slot)
	f.records = append(f.records, slot.record)
	f.tagged = append(f.tagged, slot.record)
}

// fill puts a registry's record into its place. nil removes the place.
func (f *found) fill(slot remoteSlot, p *record) {
	for _, list := range []*[]*record{&f.records, &f.tagged} {
		i := slices.Index(*list, slot.record)
		if p == nil {
			*list = slices.Delete(*list, i, i+1)
		} else {
			(*list)[i] = p
		}
	}
}

// dropRemotes removes the places of the registries.
func (f *found) dropRemotes() {
	for _, slot := range f.remotes {
		f.fill(slot, nil)
	}
	f.remotes = nil
}

// askRemotes fills the places of the registries. One that fails is left out, with those
// that come after it; its failure is noted.
func (s *Service) askRemotes(ctx context.Context, id PackageID, f *found) error {
	for _, slot := range f.remotes {
		if why := s.refusal(id, slot.repository, f.blocking); why != "" {
			f.refused = why
			f.fill(slot, nil)
			continue
		}
		if f.failure != nil {
			// A registry that comes first may have the same versions. While it fails, those
			// of the others must not take their place.
			f.fill(slot, nil)
			continue
		}
		p, err := s.remoteRecord(ctx, slot.repository, id)
		switch {
		case err == nil || errors.Is(err, ErrNoRemotePackage):
		case IsRemoteFailure(err):
			f.failure = err
			s.noteStale(ctx, StaleNotice{Connection: slot.repository.connection})
		default:
			return err
		}
		f.fill(slot, p)
	}
	f.remotes = nil
	return nil
}

// IsRemoteFailure reports whether an external registry, and not this server, failed.
func IsRemoteFailure(err error) bool {
	var f *fault.Error
	return errors.As(err, &f) && (f.Kind == fault.BadGateway || f.Kind == fault.GatewayTimeout)
}

// refusal says why the registry that the repository is connected to is not asked for the
// package, or is empty. blocking is a repository of the search that has the package with
// upstream BLOCK, or nil: the package was published there, or an administrator decided.
// It counts wherever in the search the repository is.
func (s *Service) refusal(id PackageID, r, blocking *repository) string {
	if blocking != nil {
		return fmt.Sprintf("The external connection %s of repository %s is not asked for it, because the origin configuration of the package in repository %s blocks upstream versions. PutPackageOriginConfiguration can allow them.", r.connection, r.id.Name, blocking.id.Name)
	}
	if !s.remote.Connected(r.connection) {
		return fmt.Sprintf("The server does not fetch through the external connection %s of repository %s: it has no address for it, or cannot fetch this format. Its administrator can add an address to upstreams in the configuration.", r.connection, r.id.Name)
	}
	switch g, weak := s.snapshot.Load().domain(r.id.Domain).blockingGroup(ByExternalUpstream, r, id); {
	case g == nil:
		return ""
	case weak:
		return fmt.Sprintf("The external connection %s of repository %s is not asked for it, because its name resembles the packages of the package group %s.", r.connection, r.id.Name, g.pattern)
	default:
		return fmt.Sprintf("The external connection %s of repository %s is not asked for it, because the package group %s blocks versions from external connections. UpdatePackageGroupOriginConfiguration can allow them.", r.connection, r.id.Name, g.pattern)
	}
}

// whyNotAsked says why a search from the repository did not ask an external registry. It
// is empty if all were asked, or if there is none.
func (s *Service) whyNotAsked(r *repository, id PackageID, f found) string {
	if f.refused != "" {
		return f.refused
	}
	d := s.snapshot.Load().domain(r.id.Domain)
	group, weak := d.blockingGroup(ByInternalUpstream, r, id)
	if f.blocking == nil && group == nil {
		return ""
	}
	var connected *repository
	_ = s.walkUpstreams(r, id.Format, func(u *repository) (func(), bool, error) {
		if connected == nil && s.connected(u, id) {
			connected = u
		}
		return nil, connected == nil, nil
	})
	switch {
	case connected == nil:
		return ""
	case f.blocking != nil:
		return s.refusal(id, connected, f.blocking)
	case connected == r:
		return ""
	case weak:
		return fmt.Sprintf("The external connection %s of repository %s is not asked for it, because its name resembles the packages of the package group %s.", connected.connection, connected.id.Name, group.pattern)
	}
	return fmt.Sprintf("The external connection %s of repository %s is not asked for it, because the package group %s blocks upstream versions in repository %s. UpdatePackageGroupOriginConfiguration can allow them.", connected.connection, connected.id.Name, group.pattern, r.id.Name)
}

// A remoteView is a package of an external registry as the repository that is connected
// to it shows it.
type remoteView struct {
	of     *RemotePackage
	record *record
}

func (v *remoteView) size() int64 { return v.record.view.bytes }

// remoteRecord asks the registry that the repository is connected to.
func (s *Service) remoteRecord(ctx context.Context, r *repository, id PackageID) (*record, error) {
	p, state, err := s.remote.Package(ctx, r.connection, id.remote())
	if err != nil {
		return nil, err
	}
	s.noteState(ctx, r.connection, state)
	k := r.cacheKey(id)
	have := s.remotes.Lookup(k)
	if have.Value != nil && have.Value.of == p {
		return have.Value.record, nil
	}
	v := &remoteView{p, newRemoteRecord(r, id, p)}
	s.remotes.Store(k, v, have)
	return v.record, nil
}

// noteState tells the caller if an answer is not current.
func (s *Service) noteState(ctx context.Context, connection string, state RemoteState) {
	if state.Failure != nil {
		s.noteStale(ctx, StaleNotice{connection, max(s.now().Sub(state.Checked), 1)})
	}
}

// newRemoteRecord turns what a registry has into the record of a repository. What cannot
// be a version or an asset here is left out.
func newRemoteRecord(r *repository, id PackageID, p *RemotePackage) *record {
	out := &record{
		row: "remote", remote: true, connection: r.connection, tags: p.Tags, versions: make(map[string]*Version, len(p.Versions)),
		origin: Origin{Publish: Block, Upstream: Allow},
	}
	view := &Package{
		ID: id.canonical(), Revision: r.connection + "-" + p.Revision, Tags: p.Tags, Attributes: p.Attributes,
		Created: p.Created, Modified: p.Modified, byKey: out.versions,
	}
	rules := id.Format.rules()
	view.ID.Name = cmp.Or(p.Name, view.ID.Name)
	for i := range p.Versions {
		v := &p.Versions[i]
		key := id.Format.versionKey(v.Version)
		if validVersion(v.Version) != nil || rules.ownVersion(v.Version) || out.versions[key] != nil || v.Status != Published && v.Status != Unlisted {
			continue
		}
		n := &Version{
			Version: v.Version, Revision: p.Revision, Status: v.Status, Published: v.Published, Metadata: v.Metadata,
			EntryPoint: r.connection, Repository: r.id.Name, live: true, seen: v.Seen,
		}
		for j := range v.Assets {
			n.addRemote(&v.Assets[j], r)
		}
		if len(n.Assets) == 0 && rules.mainFile == nil {
			continue
		}
		for _, files := range [][]Asset{n.Assets, n.Sidecars} {
			slices.SortFunc(files, func(a, b Asset) int { return strings.Compare(a.Name, b.Name) })
		}
		out.versions[key] = n
		if !n.Published.IsZero() && (view.Created.IsZero() || n.Published.Before(view.Created)) {
			view.Created = n.Published
		}
		if n.Published.After(view.Modified) {
			view.Modified = n.Published
		}
	}
	view.finish()
	out.view = view
	return out
}

func (v *Version) addRemote(a *RemoteAsset, r *repository) {
	if validAssetName(a.Name) != nil || a.Beside != "" && a.SHA256 == "" {
		return
	}
	published := a.Published
	if published.IsZero() {
		published = v.Published
	}
	v.add(Asset{
		Name: a.Name, Size: a.Size, MD5: a.MD5, SHA1: a.SHA1, SHA256: a.SHA256, SHA512: a.SHA512,
		Published: published, Metadata: a.Metadata, repository: r.id.Name, remote: a, beside: a.Beside,
	})
}

// following returns the version with what the external registry says of it now: that it
// was yanked, unlisted or deprecated. upstream is the same version further upstream, or
// nil. A version that was changed here stays as it is, and so does one for which the
// registry has other bytes now: what it says is about those.
func (v *Version) following(upstream *Version) *Version {
	if upstream == nil || !upstream.live || v.edited || v.differsFrom(upstream) || v.EntryPoint != upstream.EntryPoint || v.Status != Published && v.Status != Unlisted {
		return v
	}
	now := *v
	now.Status, now.Metadata, now.live = upstream.Status, upstream.Metadata, true
	return &now
}

// unlessWithdrawn returns the version, or, if the external registry does not list it any
// more, the same as Unlisted: registries of some formats leave out what was yanked. Files
// that it does not list any more are marked. A version that was changed here stays as it is.
func (v *Version) unlessWithdrawn(f found, format Format) *Version {
	if !format.rules().forgetsYanked || !v.External() || v.edited || v.Status != Published {
		return v
	}
	for _, p := range f.records {
		if p.connection != v.EntryPoint {
			continue
		}
		there := p.versions[format.versionKey(v.Version)]
		if there != nil {
			return v.markWithdrawn(there)
		}
		if v.live {
			return v
		}
		now := *v
		now.Status, now.live = Unlisted, true
		return &now
	}
	return v
}

// markWithdrawn marks the files that the same version of the registry does not have any
// more: a gem can be yanked for one platform.
func (v *Version) markWithdrawn(there *Version) *Version {
	isGone := func(a Asset) bool { return findAsset(there.Assets, a.Name) == nil }
	if !slices.ContainsFunc(v.Assets, isGone) {
		return v
	}
	now := *v
	now.Assets = slices.Clone(v.Assets)
	for i := range now.Assets {
		now.Assets[i].Withdrawn = isGone(now.Assets[i])
	}
	return &now
}

// differsFrom reports whether an asset has other bytes in the other version. Hashes that
// one of them does not have are not compared.
func (v *Version) differsFrom(other *Version) bool {
	return slices.ContainsFunc(v.Assets, func(a Asset) bool {
		b := findAsset(other.Assets, a.Name)
		return b != nil && a.differsFrom(b)
	})
}

func (a *Asset) differsFrom(other *Asset) bool {
	differ := func(a, b string) bool { return a != "" && b != "" && !strings.EqualFold(a, b) }
	return differ(a.SHA512, other.SHA512) || differ(a.SHA256, other.SHA256) || differ(a.SHA1, other.SHA1) || differ(a.MD5, other.MD5)
}

// sidecarsFor are the sidecars, for a version that gets the files of v that it does not have.
// Those about a file of which it has other bytes are left out: they are about other bytes.
func (v *Version) sidecarsFor(of *Version) []Asset {
	return slices.DeleteFunc(slices.Clone(v.Sidecars), func(sidecar Asset) bool {
		theirs, ours := findAsset(v.Assets, sidecar.beside), findAsset(of.Assets, sidecar.beside)
		return theirs != nil && ours != nil && ours.differsFrom(theirs)
	})
}

// remoteHas returns the external connection through which clients of the repository see
// the version already, or "". Only what a new version needs is asked. If a registry fails,
// the publication may go on, as in CodeArtifact.
func (s *Service) remoteHas(ctx context.Context, r *repository, id PackageID, version string) (string, error) {
	if !s.reachesConnected(r, id) { // do not read the package, which every publication makes stale
		return "", nil
	}
	f, err := s.searchStored(ctx, r, id)
	if err != nil || len(f.remotes) == 0 {
		return "", err
	}
	key := id.Format.versionKey(version)
	for _, p := range f.records {
		if p.versions[key] != nil {
			return "", nil // the transaction decides
		}
	}
	remotes := f.remotes
	ctx = WithStaleNotice(ctx, func(StaleNotice) {})
	for _, slot := range remotes {
		if s.refusal(id, slot.repository, f.blocking) != "" {
			continue
		}
		p, err := s.remoteRecord(ctx, slot.repository, id)
		switch {
		case err == nil && p.versions[key] != nil:
			return slot.repository.connection, nil
		case err == nil, errors.Is(err, ErrNoRemotePackage), IsRemoteFailure(err):
		default:
			return "", err
		}
	}
	return "", nil
}

// remoteName is for messages and logs: a file of a version of a registry.
func remoteName(connection string, id PackageID, version, file string) string {
	return fmt.Sprintf("%s of version %s of %s from %s", file, version, id, cmp.Or(connection, "?"))
}
