package egress

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxThrottleWait is the longest pause of a host that a request waits for.
	// Longer ones are answered with an error, because clients give up meanwhile.
	maxThrottleWait = 2 * time.Second
	// maxPause bounds what a host can ask for.
	maxPause = time.Hour
	// firstPause and lastPause are the pauses after a 429 that does not say how long;
	// they double.
	firstPause, lastPause = time.Second, time.Minute
)

// A throttle keeps requests from hosts that asked for fewer: all requests to such a host,
// since limits of registries count addresses and accounts and not what is asked for. Other
// hosts of the upstream get theirs: the host that has the files, which an index or a
// redirect names, is often run by somebody else.
type throttle struct {
	services Services

	mu    sync.Mutex
	hosts map[string]*pause // by HOST:PORT
}

// A pause is when a host may be asked again.
type pause struct {
	until time.Time
	times int // in a row that the host gave no time
}

// maxPauses bounds the hosts that are remembered: documents of the upstream can name any
// number of them.
const maxPauses = 256

func newThrottle(s Services) *throttle { return &throttle{services: s, hosts: map[string]*pause{}} }

// pause notes that a host asked for a pause, and returns its length.
func (t *throttle) pause(host string, h http.Header) time.Duration {
	now := t.services.Now()
	d, ok := parseRetryAfter(h.Get("Retry-After"), now)
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.hosts[host]
	if p == nil {
		t.forgetOne()
		p = &pause{}
		t.hosts[host] = p
	}
	if !ok {
		d = min(lastPause, firstPause<<min(p.times, 10))
		p.times++
	}
	if until := now.Add(d); until.After(p.until) {
		p.until = until
	}
	return d
}

// forgetOne makes place for a host: the one whose pause ends first loses its place.
func (t *throttle) forgetOne() {
	if len(t.hosts) < maxPauses {
		return
	}
	first := ""
	for host, p := range t.hosts {
		if first == "" || p.until.Before(t.hosts[first].until) {
			first = host
		}
	}
	delete(t.hosts, first)
}

// succeeded notes that a host answered.
func (t *throttle) succeeded(host string) {
	now := t.services.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.hosts[host]; p != nil {
		p.times = 0
		if !p.until.After(now) {
			delete(t.hosts, host)
		}
	}
}

// left returns when the pause of a host ends, and how long that is; 0 means that there is
// none.
func (t *throttle) left(host string) (until time.Time, left time.Duration) {
	now := t.services.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.hosts[host]
	if p == nil {
		return time.Time{}, 0
	}
	return p.until, max(0, p.until.Sub(now))
}

// wait waits for the end of a host's pause if it is short. It returns how long a longer one
// goes on, for which it does not wait.
func (t *throttle) wait(ctx context.Context, host string) (left time.Duration, err error) {
	for {
		until, left := t.left(host)
		if left == 0 || left > maxThrottleWait {
			return left, nil
		}
		// Not all at the same moment.
		if err := t.services.Wait(ctx, left+rand.N(maxThrottleWait/8)); err != nil {
			return 0, err
		}
		if now, _ := t.left(host); now.Equal(until) {
			return 0, nil
		}
	}
}

// parseRetryAfter reads the header (RFC 9110, 10.2.3): seconds, or a date. ok is false
// if it says nothing that can be understood.
func parseRetryAfter(text string, now time.Time) (d time.Duration, ok bool) {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, false
	}
	if strings.Trim(text, "0123456789") == "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n > int64(maxPause/time.Second) {
			return maxPause, true
		}
		return time.Duration(n) * time.Second, true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	return min(maxPause, max(0, at.Sub(now))), true
}
