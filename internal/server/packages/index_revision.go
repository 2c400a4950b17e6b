package packages

import (
	"context"
	"hash/maphash"
	"strconv"
	"sync/atomic"
)

// IndexRevision returns a text that changes whenever [Service.PackageNames] or
// [Service.Package] may answer something else for any package of a format: when a
// package changes in the repository or in its upstreams, or when an upstream or a package
// group does, when admission may decide something else, or when an external registry that
// has a list of its packages has another one now. It reads no database. It is for the keys
// of caches in memory, because it differs between servers and after a restart. Take it
// before the packages are read.
// codeartifact:ReadFromRepository on the repository.
func (s *Service) IndexRevision(ctx context.Context, repo RepositoryID, format Format) (string, error) {
	r, err := s.authorizeRepository(ctx, readFromRepository, repo)
	if err != nil {
		return "", err
	}
	var revision []byte
	if d := s.snapshot.Load().domain(repo.Domain); d != nil {
		revision = strconv.AppendUint(revision, d.change, 36)
	}
	var connected []*repository
	err = s.walkUpstreams(r, format, func(u *repository) (func(), bool, error) {
		if s.connected(u, PackageID{Format: format}) {
			connected = append(connected, u)
		}
		revision = append(append(append(revision, ' '), u.row...), '-')
		revision = strconv.AppendUint(revision, s.changes.of(u.row, format).Load(), 36)
		return nil, true, nil
	})
	if err != nil {
		return "", err
	}
	if len(connected) > 0 {
		list, err := s.listOf(ctx, connected)
		if err != nil && !IsRemoteFailure(err) {
			return "", err
		}
		if list != nil {
			revision = append(append(revision, ' '), list.Revision...)
		}
	}
	admission, err := s.admissionRevision(ctx, r)
	return string(revision) + admission, err
}

// indexChanges count the changes of packages for each repository and format. A few of
// them share a counter, so that the memory does not grow with the number of repositories.
type indexChanges struct {
	seed     maphash.Seed
	counters [1 << 12]atomic.Uint64
}

func newIndexChanges() *indexChanges { return &indexChanges{seed: maphash.MakeSeed()} }

// of returns the counter of a repository's row and a format. It is incremented after the
// caches have forgotten what was changed: who reads the new count must not read an old
// record.
func (c *indexChanges) of(repository string, f Format) *atomic.Uint64 {
	h := maphash.Comparable(c.seed, cacheKey{repository: repository, format: f})
	return &c.counters[h%uint64(len(c.counters))]
}

// all counts a change of every repository and format.
func (c *indexChanges) all() {
	for i := range c.counters {
		c.counters[i].Add(1)
	}
}
