// Package orphans removes the objects of a blob store that no row names: what
// failed requests and killed processes left behind. The sweeps of the domain
// packages use it.
//
// Such a sweep trusts the database. With the wrong database in place it would
// remove everything, as happened when a database was lost and the server created
// a new one beside the old blobs. Therefore a [Sweep]
//
//   - leaves objects that are older than the database, which may belong to an
//     earlier one,
//   - stops with [ErrImplausible] if it would remove an implausible share of the
//     objects, as with a database that was restored from an old backup,
//   - sets objects aside instead of deleting them. [blob.Store.Purge] deletes them
//     days later, and until then opening an object restores it.
package orphans

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
)

// ErrImplausible means that a sweep found too many objects that no row names, and
// removed none.
var ErrImplausible = errors.New("too many objects are in no row of the database")

const (
	// DefaultMaxShare is the largest share of all objects that one sweep removes.
	DefaultMaxShare = 0.25
	// minimum is how many objects a sweep removes whatever their share. A small
	// installation may well have more failed uploads than images.
	minimum = 20
	// batch is how many names are looked up at a time.
	batch = 200
	// future is how far in the future an object's time may be. A later one was
	// written while the clock was wrong, and counts as old: otherwise the object
	// would stay until that time comes.
	future = 48 * time.Hour
)

// A Sweep is one run over the objects of one domain.
type Sweep struct {
	Store blob.Store
	// Prefix begins the names of the domain's objects.
	Prefix string
	// Now is the current time. Objects that were written to since Before are left.
	Now, Before time.Time
	// Created is when the database was created; the zero time if that is unknown.
	// Older objects are left.
	Created time.Time
	// MaxShare is the largest share of the domain's objects that may be removed;
	// 0 means DefaultMaxShare, and 1 removes any number.
	MaxShare float64
	// Named returns those of the names that a row names. It gets at most 200 at a
	// time.
	Named func(ctx context.Context, names []string) ([]string, error)
}

// Run removes the orphans and returns how many.
func (s *Sweep) Run(ctx context.Context) (n int, err error) {
	all, orphans, err := s.find(ctx)
	if err != nil {
		return 0, err
	}
	share := s.MaxShare
	if share == 0 {
		share = DefaultMaxShare
	}
	if len(orphans) > minimum && float64(len(orphans)) > share*float64(all) {
		return 0, fmt.Errorf("%w: %d of %d objects, and nothing was removed. If the database is an older backup, put the newer one back. If it is the right one, raise sweep.max_share", ErrImplausible, len(orphans), all)
	}
	for _, name := range orphans {
		if err := s.Store.SetAside(ctx, name, s.Now); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// find returns how many objects there are, and the names of the orphans among them.
// It looks names up while it lists, because the names of all objects would need
// memory in proportion to the store.
func (s *Sweep) find(ctx context.Context) (all int, orphans []string, err error) {
	var old []string // names that were not looked up yet
	for info, err := range s.Store.List(ctx, "") {
		if err != nil {
			return 0, nil, err
		}
		if !strings.HasPrefix(info.Name, s.Prefix) {
			continue
		}
		all++
		if !s.removable(info.Modified) {
			continue
		}
		if old = append(old, info.Name); len(old) < batch {
			continue
		}
		if orphans, err = s.appendUnnamed(ctx, orphans, old); err != nil {
			return 0, nil, err
		}
		old = old[:0]
	}
	orphans, err = s.appendUnnamed(ctx, orphans, old)
	return all, orphans, err
}

func (s *Sweep) removable(written time.Time) bool {
	if written.After(s.Now.Add(future)) {
		return true
	}
	// Object stores tell the time of an object in whole seconds.
	return written.Before(s.Before) && !written.Before(s.Created.Truncate(time.Second))
}

// appendUnnamed appends those of the names to orphans that no row names.
func (s *Sweep) appendUnnamed(ctx context.Context, orphans, names []string) ([]string, error) {
	if len(names) == 0 {
		return orphans, nil
	}
	named, err := s.Named(ctx, names)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, name := range named {
		known[name] = true
	}
	for _, name := range names {
		if !known[name] {
			orphans = append(orphans, name)
		}
	}
	return orphans, nil
}
