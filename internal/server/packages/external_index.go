package packages

import (
	"context"
	"fmt"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// An ExternalIndex is the list of all packages of an external registry, and which of them
// clients of a repository see.
type ExternalIndex struct {
	*RemoteIndex
	// Shows reports whether clients see what the registry has under a name. Origin
	// configurations and package groups decide, as for [Service.Package].
	Shows func(name string) bool
	// Judged reports whether a rule of admission decides about the versions of a package. The
	// list does not say what the rule needs to know.
	Judged func(name string) bool
}

// ExternalIndex returns the list of the external registry behind the repository or its
// upstreams, or nil if there is none. If the registry fails and there is no older list, the
// error is one of [IsRemoteFailure]. codeartifact:ReadFromRepository on the repository.
func (s *Service) ExternalIndex(ctx context.Context, repo RepositoryID, format Format) (*ExternalIndex, error) {
	r, err := s.authorizeReading(ctx, repo)
	if err != nil {
		return nil, err
	}
	var connected, all []*repository
	err = s.walkUpstreams(r, format, func(u *repository) (func(), bool, error) {
		all = append(all, u)
		if s.connected(u, PackageID{Format: format}) {
			connected = append(connected, u)
		}
		return nil, true, nil
	})
	if err != nil || len(connected) == 0 {
		return nil, err
	}
	list, err := s.listOf(ctx, connected)
	if err != nil || list == nil {
		return nil, err
	}
	blocked, err := s.blockedNames(ctx, all, format)
	if err != nil {
		return nil, err
	}
	d := s.snapshot.Load().domain(r.id.Domain)
	return &ExternalIndex{list, func(name string) bool {
		id := PackageID{Format: format, Name: name}
		return !blocked[id.key()] && d.showsExternal(r, connected, id)
	}, func(name string) bool {
		_, _, decides := d.decidesAbout(ctx, readFromRepository, r, PackageID{Format: format, Name: name})
		return decides
	}}, nil
}

// listOf returns the list of the registry to which the repositories are connected. Formats
// whose registries have one have a single external connection.
func (s *Service) listOf(ctx context.Context, connected []*repository) (*RemoteIndex, error) {
	connection := connected[0].connection
	if !s.remote.Connected(connection) {
		return nil, nil
	}
	for _, u := range connected {
		if u.connection != connection {
			return nil, fmt.Errorf("packages: lists of several registries, %s and %s, cannot be joined", connection, u.connection)
		}
	}
	list, state, err := s.remote.Index(ctx, connection)
	switch {
	case IsRemoteFailure(err):
		s.noteStale(ctx, StaleNotice{Connection: connection})
		return nil, err
	case err != nil:
		return nil, err
	case state.Failure != nil:
		s.noteStale(ctx, StaleNotice{connection, max(s.now().Sub(state.Checked), 1)})
	}
	return list, nil
}

// showsExternal reports whether package groups allow the package of a registry to be seen
// in a repository through one of those that are connected.
func (d *domain) showsExternal(r *repository, connected []*repository, id PackageID) bool {
	for _, u := range connected {
		if u != r && !d.seesUpstream(r, id) {
			continue
		}
		if g, _ := d.blockingGroup(ByExternalUpstream, u, id); g == nil {
			return true
		}
	}
	return false
}

// blockedNames are the keys of packages that have upstream BLOCK in one of the
// repositories.
func (s *Service) blockedNames(ctx context.Context, all []*repository, format Format) (map[string]bool, error) {
	blocked := map[string]bool{}
	for _, u := range all {
		keys, err := db.All(ctx, s.db, db.Scalar[string], `SELECT name_key FROM pkg_package WHERE repository = $1 AND format = $2 AND upstream = $3`, u.row, string(format), string(Block))
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			blocked[key] = true
		}
	}
	return blocked, nil
}
