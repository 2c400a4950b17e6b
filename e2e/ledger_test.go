package e2e

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// A ledger has the clients' knowledge of a server's contents: acknowledged changes,
// and changes that were requested but not answered. An item has a key that begins
// with its kind, and a value that identifies its content, mostly a hash. An absent
// item has the value "".
type ledger struct {
	mu    sync.Mutex
	state map[string]string
	open  map[*change]bool
	// expiring are keys of items that the server may remove by itself at any time.
	expiring map[string]bool
}

// A change is the effect of one request, which happens completely or not at all.
type change map[string]string

func newLedger() *ledger {
	return &ledger{state: map[string]string{}, open: map[*change]bool{}, expiring: map[string]bool{}}
}

// begin records a requested change. Call acknowledged when it is answered.
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

// has returns the acknowledged value.
func (l *ledger) has(key string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state[key]
}

// mayExpire says that the server may remove an item by itself.
func (l *ledger) mayExpire(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expiring[key] = true
}

// expires reports whether mayExpire was called.
func (l *ledger) expires(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.expiring[key]
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

// mentioned returns every key, including those of unanswered requests.
func (l *ledger) mentioned() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	keys := maps.Clone(l.state)
	for c := range l.open {
		maps.Copy(keys, *c)
	}
	return slices.Sorted(maps.Keys(keys))
}

// settle compares the ledger with a server's contents. An unanswered change must be
// there completely or not at all; afterwards it counts as known. settle returns the
// errors, the number of unanswered changes, and how many of those were carried out.
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
	for c := range l.open { // after the loop above, since two changes may affect the same item
		if !all(*c, func(key, _ string) bool { return is(key, l.state[key]) }) {
			for key, value := range *c {
				wrong = append(wrong, fmt.Sprintf("half done: %s is %q; it was %q and should become %q", key, seen[key], l.state[key], value))
			}
		}
		delete(l.open, c)
	}
	for key, value := range l.state {
		if seen[key] == "" && l.expiring[key] {
			delete(l.state, key)
			continue
		}
		if seen[key] != value {
			wrong = append(wrong, fmt.Sprintf("lost: %s is %q, and %q was acknowledged", key, seen[key], value))
		}
	}
	for key, value := range seen {
		if _, known := l.state[key]; !known && value != "" {
			wrong = append(wrong, fmt.Sprintf("never requested: %s is %q", key, value))
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
