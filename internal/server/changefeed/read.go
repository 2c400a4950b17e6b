package changefeed

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// CatchUp takes over everything that is committed.
func (f *Feed) CatchUp(ctx context.Context) error {
	if err := f.reading.Lock(ctx); err != nil {
		return err
	}
	defer f.reading.Unlock()
	return f.read(ctx)
}

// errRestored says that the database is older than what this server has of it.
var errRestored = errors.New("changefeed: the database was restored to an older state")

// read is CatchUp for a caller who has the turn.
func (f *Feed) read(ctx context.Context) error {
	// This first: the rows of all that is finished now are among those that follow.
	finished, err := f.store.Finished(ctx)
	if err != nil {
		return fmt.Errorf("changefeed: read what is finished: %w", err)
	}
	if f.shared && finished.Below < f.finished.Below {
		return errRestored
	}
	entries, err := f.store.Since(ctx, f.finished)
	if err != nil {
		return fmt.Errorf("changefeed: read the changes: %w", err)
	}
	var scopes []string
	keys := map[string][]string{}
	fresh := map[string]int64{}
	var foreign []int64
	for _, e := range entries {
		if _, ok := f.applied[e.ID]; ok {
			continue
		}
		fresh[e.ID] = e.Position
		published, err := f.published(ctx, e.ID)
		if err != nil {
			return err
		}
		if published {
			continue
		}
		foreign = append(foreign, e.Position)
		if len(e.Keys) == 0 {
			continue
		}
		if _, ok := keys[e.Scope]; !ok {
			scopes = append(scopes, e.Scope)
		}
		keys[e.Scope] = append(keys[e.Scope], e.Keys...)
	}
	for _, scope := range scopes {
		m := f.follower(scope)
		if m == nil { // a domain that this server does not have yet, and will load
			continue
		}
		if err := m.Apply(ctx, keys[scope]); err != nil {
			return fmt.Errorf("changefeed: apply a change of %s: %w", scope, err)
		}
	}
	f.advance(finished, fresh, foreign)
	return nil
}

// advance records what was read.
func (f *Feed) advance(finished db.Finished, fresh map[string]int64, foreign []int64) {
	f.mu.Lock()
	for id, position := range fresh {
		f.applied[id] = position
		delete(f.own, id)
	}
	f.mu.Unlock()
	f.finished = finished
	for id, position := range f.applied {
		if finished.Has(position) {
			delete(f.applied, id)
		}
	}
	f.unreported = append(f.unreported, foreign...)
	f.metrics.applied.Add(float64(len(fresh)))
}

// requireReload gives the lease up until [Feed.rejoin] has succeeded.
func (f *Feed) requireReload() {
	f.renewed.Store(nil)
	f.mustReload = true
	f.log.Warn("everything is read from the database again, because it was started again, restored or replaced, or because this server was away for long")
}

// rejoinTime bounds one attempt to load everything again.
const rejoinTime = 10 * time.Minute

// rejoin loads everything again. It is for a server that was silent for so long that
// its row, and perhaps rows of the feed that it has not read, were removed; and for one
// whose database was restored from a backup, or replaced by a standby that had not
// received everything. Then memory may have changes that never happened, and positions
// say nothing about it, so the server decides nothing until it is done.
func (f *Feed) rejoin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, rejoinTime)
	defer cancel()
	incarnation, err := f.store.Incarnation(ctx)
	if err != nil {
		return err
	}
	finished, err := f.store.Finished(ctx)
	if err != nil {
		return err
	}
	f.reports++
	if err := f.store.Join(ctx, f.id, f.reports, finished); err != nil {
		return err
	}
	f.acknowledged = f.reports
	f.mu.Lock()
	followers := maps.Clone(f.followers)
	f.mu.Unlock()
	for scope, m := range followers {
		if err := m.Reload(ctx); err != nil {
			return fmt.Errorf("changefeed: reload %s: %w", scope, err)
		}
	}
	f.incarnation, f.mustReload = incarnation, false
	f.finished, f.applied, f.unreported = finished, map[string]int64{}, nil
	return nil
}
