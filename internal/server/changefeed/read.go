package changefeed

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// CatchUp takes over everything that is committed.
func (f *Feed) CatchUp(ctx context.Context) error {
	if err := f.reading.Lock(ctx); err != nil {
		return err
	}
	defer f.reading.Unlock()
	return f.read(ctx)
}

// read is CatchUp for a caller who has the turn.
func (f *Feed) read(ctx context.Context) error {
	// The horizon first: whatever is below it is among the rows.
	horizon, err := f.store.Horizon(ctx)
	if err != nil {
		return fmt.Errorf("changefeed: read the horizon: %w", err)
	}
	entries, err := f.store.Since(ctx, f.horizon)
	if err != nil {
		return fmt.Errorf("changefeed: read the changes: %w", err)
	}
	var scopes []string
	keys := map[string][]string{}
	fresh := map[string]int64{}
	foreign := false
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
		foreign = true
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
	f.advance(horizon, fresh, foreign)
	return nil
}

// advance records what was read.
func (f *Feed) advance(horizon int64, fresh map[string]int64, foreign bool) {
	f.mu.Lock()
	for id, position := range fresh {
		f.applied[id] = position
		delete(f.own, id)
	}
	f.mu.Unlock()
	f.horizon = max(f.horizon, horizon)
	for id, position := range f.applied {
		if position < f.horizon {
			delete(f.applied, id)
		}
	}
	if foreign {
		f.unreported = true
	}
	f.metrics.applied.Add(float64(len(fresh)))
}

// maxReported is how many positions above the horizon a report names. More of them
// are there only if a transaction of someone else holds the horizon back for long; then
// the changes beyond that are waited for until the lease ends.
const maxReported = 1000

// aboveHorizon returns the positions at or above the horizon that are applied, the
// highest ones if there are too many.
func (f *Feed) aboveHorizon() []int64 {
	positions := make([]int64, 0, len(f.applied))
	for _, p := range f.applied {
		positions = append(positions, p)
	}
	slices.Sort(positions)
	return positions[max(0, len(positions)-maxReported):]
}

// rejoin is for a server that was silent for so long that its row, and perhaps rows of
// the feed that it has not read, were removed.
func (f *Feed) rejoin(ctx context.Context) error {
	horizon, err := f.store.Horizon(ctx)
	if err != nil {
		return err
	}
	if err := f.store.Join(ctx, f.id, horizon); err != nil {
		return err
	}
	f.mu.Lock()
	followers := maps.Clone(f.followers)
	f.mu.Unlock()
	for scope, m := range followers {
		if err := m.Reload(ctx); err != nil {
			return fmt.Errorf("changefeed: reload %s: %w", scope, err)
		}
	}
	f.horizon, f.applied, f.unreported = horizon, map[string]int64{}, true
	return nil
}
