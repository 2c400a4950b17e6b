package changefeed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// pollEvery is how often a server looks for changes of others, if nothing wakes it.
	pollEvery = 100 * time.Millisecond
	// trimEvery is how often rows are removed that every server has read.
	trimEvery = time.Minute
	// maxSilence is for how long the rows are kept that a server has not read which
	// reports nothing. After that it has to load everything again.
	maxSilence = time.Hour
)

// Begin gets the first lease. Call it when the domains are constructed, before the
// first request.
func (f *Feed) Begin(ctx context.Context) error {
	for f.shared && !f.live() {
		if _, err := f.heartbeat(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Run takes over what the others change, and renews the lease, until ctx ends. Then
// it leaves: nothing waits for this server any more, and requests that come later are
// refused. So stop serving first.
func (f *Feed) Run(ctx context.Context) {
	if !f.shared {
		f.runAlone(ctx)
		return
	}
	defer f.leave(context.WithoutCancel(ctx))
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	trimmed := f.now()
	failing := false
	now := make(chan struct{}) // from which can always be received
	close(now)
	for {
		again, err := f.heartbeat(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err != nil && !failing:
			f.log.Error("the changes of other servers cannot be read; this server will soon refuse all requests", "lease", f.lease, "error", err)
		case err == nil && failing:
			f.log.Info("the changes of other servers can be read again")
		}
		failing = err != nil
		f.failure.Store(nil)
		if failing {
			f.failure.Store(&err)
		}
		if !failing && f.now().Sub(trimmed) >= trimEvery {
			f.trim(ctx)
			trimmed = f.now()
		}
		var next <-chan struct{}
		if again && !failing {
			next = now
		}
		select {
		case <-next:
		case <-tick.C:
		case <-f.store.Woken():
			f.settler.wake()
			if f.woken != nil {
				f.woken()
			}
		case <-ctx.Done():
			return
		}
	}
}

// runAlone reads changes of this process itself if it could not do so at once.
func (f *Feed) runAlone(ctx context.Context) {
	for {
		select {
		case <-f.kick:
		case <-ctx.Done():
			return
		}
		for f.behind.Load() {
			if f.CatchUp(ctx) == nil {
				f.behind.Store(false)
				break
			}
			select {
			case <-time.After(pollEvery):
			case <-ctx.Done():
				return
			}
		}
	}
}

// heartbeat reads the feed. It reports if there is something to report, or if it is
// time to renew the lease. again is true if there is something to report already.
func (f *Feed) heartbeat(ctx context.Context) (again bool, err error) {
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, f.lease)
	defer cancel()
	if err := f.reading.Lock(ctx); err != nil {
		return false, err
	}
	defer f.reading.Unlock()
	if f.mustReload {
		return true, f.rejoin(outer) // which may take longer than a lease
	}
	if err := f.read(ctx); errors.Is(err, errRestored) {
		f.requireReload()
		return true, nil
	} else if err != nil {
		return false, err
	}
	renewed := f.renewed.Load()
	if renewed != nil && len(f.unreported) == 0 && f.since(*renewed) < f.lease/3 {
		return false, nil
	}
	err = f.renew(ctx)
	return len(f.unreported) > 0 || f.mustReload, err
}

// renew reports, reads the feed and begins another lease.
func (f *Feed) renew(ctx context.Context) error {
	began := f.now()
	f.reports++
	reported := f.finished
	known, err := f.store.Report(ctx, Report{Reader: f.id, Number: f.reports, Acknowledged: f.acknowledged, Finished: reported, Live: true})
	if err != nil {
		return err
	}
	if !known {
		f.requireReload() // the next heartbeat rejoins
		return nil
	}
	f.acknowledged = f.reports
	// After the report: what is asked here is the database that got it, or a later one.
	incarnation, err := f.store.Incarnation(ctx)
	if err != nil {
		return fmt.Errorf("changefeed: ask for the incarnation of the database: %w", err)
	}
	if incarnation != f.incarnation {
		f.requireReload()
		return nil
	}
	if len(f.unreported) > 0 {
		f.store.Wake(ctx) // others may wait for the report
	}
	// What was committed between the two steps of a reading was applied, but the report
	// does not have it yet. The next one does.
	f.unreported = slices.DeleteFunc(f.unreported, reported.Has)
	if err := f.read(ctx); errors.Is(err, errRestored) {
		f.requireReload()
		return nil
	} else if err != nil {
		return err
	}
	f.renewed.Store(&began)
	return nil
}

// leave gives the lease up.
func (f *Feed) leave(ctx context.Context) {
	f.renewed.Store(nil)
	ctx, cancel := context.WithTimeout(ctx, f.lease)
	defer cancel()
	if err := f.store.Leave(ctx, Report{Reader: f.id, Number: f.reports}); err != nil {
		f.log.Warn("the other servers will wait for this one for a moment, because it could not leave", "error", err)
		return
	}
	f.store.Wake(ctx)
}

// A silence is since when a server has not reported again.
type silence struct {
	number int64
	since  time.Time
}

// trim removes the rows that all servers have read, and the servers that are gone.
func (f *Feed) trim(ctx context.Context) {
	readers, err := f.store.Readers(ctx)
	if err != nil {
		return // the next time is early enough
	}
	silent := map[string]silence{}
	for _, r := range readers {
		s, ok := f.silent[r.Reader]
		if !ok || s.number != r.Number {
			s = silence{r.Number, f.now()}
		}
		if r.Reader != f.id && f.now().Sub(s.since) >= maxSilence {
			_ = f.store.Leave(ctx, r)
			continue
		}
		silent[r.Reader] = s
	}
	f.silent = silent
	_ = f.store.Trim(ctx)
}
