package e2e

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// A ledger is what the clients of a server know: what was acknowledged, and
// what was asked for and never answered. A thing has a key that begins with its
// kind, and a value that stands for all of it, mostly a hash; what is absent has
// the value "".
type ledger struct {
	mu    sync.Mutex
	state map[string]string
	open  map[*change]bool
}

// A change is what one request does: all of it, or nothing.
type change map[string]string

func newLedger() *ledger { return &ledger{state: map[string]string{}, open: map[*change]bool{}} }

// begin notes a change that is asked for. Call acknowledged when it is answered.
func (l *ledger) begin(c change) (acknowledged func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[&c] = true
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.open, &c)
		l.apply(c)
	}
}

func (l *ledger) apply(c change) {
	for key, value := range c {
		if l.state[key] = value; value == "" {
			delete(l.state, key)
		}
	}
}

// has reports the acknowledged value.
func (l *ledger) has(key string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state[key]
}

// keys returns the acknowledged keys that pick picks, in order.
func (l *ledger) keys(pick func(key, value string) bool) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var keys []string
	for key, value := range l.state {
		if pick(key, value) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// mentioned returns every key that the ledger knows of, those of unanswered
// requests too.
func (l *ledger) mentioned() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	keys := maps.Clone(l.state)
	for c := range l.open {
		maps.Copy(keys, *c)
	}
	return slices.Sorted(maps.Keys(keys))
}

// settle compares the ledger with what a server has. What was not answered is
// there as a whole or not at all, and from then on counts as known. It returns
// what is wrong, and how many unanswered changes there were and how many of them
// were carried out.
func (l *ledger) settle(seen map[string]string) (wrong []string, unanswered, carriedOut int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	unanswered = len(l.open)
	is := func(key string, value string) bool { return seen[key] == value }
	for c := range l.open {
		if all(*c, is) {
			l.apply(*c)
			delete(l.open, c)
			carriedOut++
		}
	}
	for c := range l.open { // only now: they may share a thing with one that was carried out
		if !all(*c, func(key, _ string) bool { return is(key, l.state[key]) }) {
			for key, value := range *c {
				wrong = append(wrong, fmt.Sprintf("half done: %s is %q, was %q and was to be %q", key, seen[key], l.state[key], value))
			}
		}
		delete(l.open, c)
	}
	for key, value := range l.state {
		if seen[key] != value {
			wrong = append(wrong, fmt.Sprintf("lost: %s is %q, and %q was acknowledged", key, seen[key], value))
		}
	}
	for key, value := range seen {
		if _, known := l.state[key]; !known && value != "" {
			wrong = append(wrong, fmt.Sprintf("nobody asked for it: %s is %q", key, value))
		}
	}
	slices.Sort(wrong)
	return wrong, unanswered, carriedOut
}

func all(c change, holds func(key, value string) bool) bool {
	for key, value := range c {
		if !holds(key, value) {
			return false
		}
	}
	return true
}
