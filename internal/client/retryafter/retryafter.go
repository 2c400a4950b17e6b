// Package retryafter is a transport that waits when a server asks for it: after an answer
// with the status 429 or 503 and the header Retry-After (RFC 9110, 10.2.3), it sends the
// request again when the time has passed.
package retryafter

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	attempts = 6
	// longest bounds how long a server can make a request wait each time.
	longest  = 2 * time.Minute
	maxDrain = 64 << 10
)

// A Transport sends requests through another one.
type Transport struct {
	Base http.RoundTripper
	// Sleep waits, or returns the error of the context; nil means with a timer.
	Sleep func(context.Context, time.Duration) error
	// Now is for dates in the header; nil means time.Now.
	Now func() time.Time
}

// RoundTrip implements [http.RoundTripper]. A request whose body cannot be had again is sent
// once.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		res, err := t.Base.RoundTrip(r)
		if err != nil || res.StatusCode != http.StatusTooManyRequests && res.StatusCode != http.StatusServiceUnavailable {
			return res, err
		}
		pause, ok := t.pause(res.Header.Get("Retry-After"))
		if !ok || attempt == attempts || r.Body != nil && r.Body != http.NoBody && r.GetBody == nil {
			return res, nil
		}
		again := r.Clone(r.Context())
		if r.GetBody != nil {
			if again.Body, err = r.GetBody(); err != nil {
				return res, nil
			}
		}
		_, _ = io.CopyN(io.Discard, res.Body, maxDrain) // so that the connection can be used again
		res.Body.Close()
		if err := t.sleep(r.Context(), pause); err != nil {
			return nil, err
		}
		r = again
	}
}

// pause reads the header: seconds, or a date.
func (t *Transport) pause(header string) (time.Duration, bool) {
	if seconds, err := strconv.Atoi(header); err == nil && seconds >= 0 {
		return min(time.Duration(seconds)*time.Second, longest), true
	}
	at, err := http.ParseTime(header)
	if err != nil {
		return 0, false
	}
	now := time.Now
	if t.Now != nil {
		now = t.Now
	}
	return min(max(at.Sub(now()), 0), longest), true
}

func (t *Transport) sleep(ctx context.Context, d time.Duration) error {
	if t.Sleep != nil {
		return t.Sleep(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
