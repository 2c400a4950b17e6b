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
	// maxThrottleWait is the longest pause of an upstream that a request waits for.
	// Longer ones are answered with an error, because clients give up meanwhile.
	maxThrottleWait = 2 * time.Second
	// maxPause bounds what an upstream can ask for.
	maxPause = time.Hour
	// firstPause and lastPause are the pauses after a 429 that does not say how long;
	// they double.
	firstPause, lastPause = time.Second, time.Minute
)

// A throttle keeps requests from an upstream that asked for fewer: all of them, since
// limits of registries count addresses and accounts and not what is asked for.
type throttle struct {
	services Services

	mu    sync.Mutex
	until time.Time
	times int // in a row that the upstream gave no time
}

// pause notes that the upstream asked for a pause, and returns its length.
func (t *throttle) pause(h http.Header) time.Duration {
	now := t.services.Now()
	d, ok := parseRetryAfter(h.Get("Retry-After"), now)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !ok {
		d = min(lastPause, firstPause<<min(t.times, 10))
		t.times++
	}
	if until := now.Add(d); until.After(t.until) {
		t.until = until
	}
	return d
}

// succeeded notes that the upstream answered.
func (t *throttle) succeeded() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.times = 0
}

// left returns when the pause ends, and how long that is; 0 means that there is none.
func (t *throttle) left() (until time.Time, left time.Duration) {
	now := t.services.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.until, max(0, t.until.Sub(now))
}

// wait waits for the end of a short pause. It returns how long a longer one goes on, for
// which it does not wait.
func (t *throttle) wait(ctx context.Context) (left time.Duration, err error) {
	for {
		until, left := t.left()
		if left == 0 || left > maxThrottleWait {
			return left, nil
		}
		// Not all at the same moment.
		if err := t.services.Wait(ctx, left+rand.N(maxThrottleWait/8)); err != nil {
			return 0, err
		}
		if now, _ := t.left(); now.Equal(until) {
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
