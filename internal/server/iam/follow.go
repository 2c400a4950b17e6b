package iam

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// scope is IAM's in the change feed.
const scope = "iam"

// versionKey marks the key of a change that is its number. The other keys are ids of
// entities, which never contain it.
const versionKey = "version:"

// keys returns what the feed tells other servers about the draft.
func (d *Draft) keys() []string {
	return append([]string{versionKey + strconv.FormatInt(d.base.seq+1, 10)}, d.changed...)
}

// Ready is [changefeed.Feed.Ready].
func (s *Service) Ready() error { return s.feed.Ready() }

// A follower takes over what other servers have changed.
type follower struct{ s *Service }

// Apply reads the entities of some changes again. A change is visible only together
// with all that have lower numbers, so the snapshot then has every change up to the
// highest number of them.
func (f follower) Apply(ctx context.Context, keys []string) error {
	if err := f.s.changing.Lock(ctx); err != nil {
		return err
	}
	defer f.s.changing.Unlock()
	base := f.s.current.Load()
	version, ids, err := parseKeys(keys)
	if err != nil || version <= base.seq {
		return err
	}
	next, compiler, seen := base, newCompiler(), map[string]bool{}
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		// The entity as it is by now, which may be newer than these changes. Then a
		// later change names it again, to the same effect.
		row, err := db.One(ctx, f.s.db, scanEntity, entityColumns+` WHERE id = $1`, id)
		if errors.Is(err, db.ErrNoRows) {
			next = next.drop(id)
			continue
		}
		if err != nil {
			return err
		}
		e, err := row.decode()
		if err != nil {
			return err
		}
		e.compile(compiler)
		next = next.put(e)
	}
	f.s.current.Store(next.withSeq(version))
	return nil
}

// parseKeys returns the highest number of the changes, and the ids of their entities.
func parseKeys(keys []string) (version int64, ids []string, err error) {
	for _, key := range keys {
		number, ok := strings.CutPrefix(key, versionKey)
		if !ok {
			ids = append(ids, key)
			continue
		}
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return 0, nil, fmt.Errorf("iam: the change feed has the key %q: %w", key, err)
		}
		version = max(version, n)
	}
	return version, ids, nil
}

// Reload reads everything.
func (f follower) Reload(ctx context.Context) error {
	if err := f.s.changing.Lock(ctx); err != nil {
		return err
	}
	defer f.s.changing.Unlock()
	loaded, err := f.s.load(ctx)
	if err != nil {
		return err
	}
	loaded.generation = f.s.current.Load().generation + 1 // what sessions resolved has older entities
	f.s.current.Store(loaded)
	return nil
}
