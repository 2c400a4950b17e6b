// Package changefeedtest lets tests run several servers on one database, and disturb
// what they hear of each other.
package changefeedtest

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// ErrCut is what a cut [Line] answers.
var ErrCut = errors.New("no route to the database")

// A Line is a [changefeed.Store] between a server and the real one. It can be cut, it
// can stand still, and it can lose answers. Whatever goes over it crosses twice: on the
// way there, with the name of the method in lower case, and on the way back, with
// " answered" behind it.
type Line struct {
	changefeed.Store
	woken chan struct{}
	bus   *Bus

	mu   sync.Mutex
	cut  bool
	hold chan struct{} // crossings wait until it is closed; nil: they do not
	free int           // crossings before that
	on   func(crossing string) error
}

// A Bus carries the wake-ups of the servers on one database.
type Bus struct {
	mu    sync.Mutex
	lines []*Line
	lost  bool
}

// Lose makes wake-ups get lost from now on.
func (b *Bus) Lose() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost = true
}

// NewLine returns the line of another server. It is shared with the lines of the same
// bus. bus may be nil: then nothing wakes the server.
func NewLine(d *db.DB, bus *Bus) *Line {
	l := &Line{Store: changefeed.NewStore(d), woken: make(chan struct{}, 1), bus: bus}
	if bus != nil {
		bus.mu.Lock()
		defer bus.mu.Unlock()
		bus.lines = append(bus.lines, l)
	}
	return l
}

// SetCut cuts or repairs the line.
func (l *Line) SetCut(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
}

// IsCut reports whether the line is cut.
func (l *Line) IsCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut
}

// On makes the line call f for each crossing, instead of cutting it; nil ends that. The
// error of f is the answer.
func (l *Line) On(f func(crossing string) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.on = f
}

// Stall makes the line stand still after some more crossings, and lets whoever waits
// there from an earlier call go on.
func (l *Line) Stall(after int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hold != nil {
		close(l.hold)
	}
	l.hold, l.free = make(chan struct{}), after
}

// Flow ends Stall.
func (l *Line) Flow() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hold != nil {
		close(l.hold)
	}
	l.hold = nil
}

// cross is what happens at both ends of the line.
func (l *Line) cross(name string) error {
	l.mu.Lock()
	hold, on := l.hold, l.on
	if l.free > 0 {
		l.free--
		hold = nil
	}
	l.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if on != nil {
		return on(name)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return ErrCut
	}
	return nil
}

func over[T any](l *Line, name string, do func() (T, error)) (T, error) {
	var none T
	if err := l.cross(name); err != nil {
		return none, err
	}
	v, err := do()
	if err != nil {
		return none, err
	}
	return v, l.cross(name + " answered")
}

func overNothing(l *Line, name string, do func() error) error {
	_, err := over(l, name, func() (struct{}, error) { return struct{}{}, do() })
	return err
}

// Tx crosses as "commit". What goes wrong on the way back is a commit whose answer is
// lost. Only [Line.On] disturbs it: a cut line is one over which a server hears nothing
// of the others.
func (l *Line) Tx(ctx context.Context, fn func(*db.Tx) error) error {
	if err := l.disturb("commit"); err != nil {
		return err
	}
	if err := l.Store.Tx(ctx, fn); err != nil {
		return err
	}
	return l.disturb("commit answered")
}

func (l *Line) disturb(name string) error {
	l.mu.Lock()
	on := l.on
	l.mu.Unlock()
	if on == nil {
		return nil
	}
	return on(name)
}

type found struct {
	position int64
	ok       bool
}

// Find implements [changefeed.Store].
func (l *Line) Find(ctx context.Context, id string) (int64, bool, error) {
	f, err := over(l, "find", func() (f found, err error) {
		f.position, f.ok, err = l.Store.Find(ctx, id)
		return f, err
	})
	return f.position, f.ok, err
}

// Finished implements [changefeed.Store].
func (l *Line) Finished(ctx context.Context) (db.Finished, error) {
	return over(l, "finished", func() (db.Finished, error) { return l.Store.Finished(ctx) })
}

// Since implements [changefeed.Store].
func (l *Line) Since(ctx context.Context, f db.Finished) ([]changefeed.Entry, error) {
	return over(l, "since", func() ([]changefeed.Entry, error) { return l.Store.Since(ctx, f) })
}

// Report implements [changefeed.Store].
func (l *Line) Report(ctx context.Context, r changefeed.Report) (bool, error) {
	return over(l, "report", func() (bool, error) { return l.Store.Report(ctx, r) })
}

// Readers implements [changefeed.Store].
func (l *Line) Readers(ctx context.Context) ([]changefeed.Report, error) {
	return over(l, "readers", func() ([]changefeed.Report, error) { return l.Store.Readers(ctx) })
}

// Retire implements [changefeed.Store].
func (l *Line) Retire(ctx context.Context, r changefeed.Report) error {
	return overNothing(l, "retire", func() error { return l.Store.Retire(ctx, r) })
}

// Leave implements [changefeed.Store].
func (l *Line) Leave(ctx context.Context, r changefeed.Report) error {
	return overNothing(l, "leave", func() error { return l.Store.Leave(ctx, r) })
}

// Wake wakes the servers on the bus. It crosses nothing: what can go wrong with it is
// [Bus.Lose].
func (l *Line) Wake(context.Context) {
	if l.bus == nil {
		return
	}
	l.bus.mu.Lock()
	defer l.bus.mu.Unlock()
	for _, other := range l.bus.lines {
		if l.bus.lost {
			return
		}
		select {
		case other.woken <- struct{}{}:
		default:
		}
	}
}

// Woken implements [changefeed.Store].
func (l *Line) Woken() <-chan struct{} { return l.woken }

// Run runs a feed until the test ends, or until stop is called, which waits for it.
func Run(t testing.TB, f *changefeed.Feed) (stop func()) {
	t.Helper()
	if err := f.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(stop)
	return stop
}

// Servers returns a feed for each of n servers on a database, with their lines. Call
// [Run] for each of them when their domains are constructed.
func Servers(t testing.TB, d *db.DB, n int) ([]*changefeed.Feed, []*Line) {
	t.Helper()
	bus := new(Bus)
	var feeds []*changefeed.Feed
	var lines []*Line
	for range n {
		l := NewLine(d, bus)
		f, err := changefeed.New(t.Context(), changefeed.Config{DB: d, Store: l, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		feeds, lines = append(feeds, f), append(lines, l)
	}
	return feeds, lines
}
