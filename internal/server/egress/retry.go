package egress

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// backoff is the longest time before the second attempt; it doubles for each further.
const backoff = 200 * time.Millisecond

// maxDrained is how much of the body of a failed answer is read, in bytes, to use its
// connection again.
const maxDrained = 16 << 10

// errHeaderTimeout is the cause of a context that ended before the header came.
var errHeaderTimeout = errors.New("no answer in time")

// repeat sends a request until an attempt succeeds or no other would help.
func (u *Upstream) repeat(ctx context.Context, r Request, to *url.URL) (*Response, error) {
	for attempt := 1; ; attempt++ {
		began := u.services.Now()
		res, err := u.attempt(ctx, r, to)
		if err == nil {
			return res, nil
		}
		failed := u.failure(to.String(), err)
		u.services.Metrics.failed(u.label, failed, u.services.Now().Sub(began))
		if attempt >= u.limits.Attempts || !repeatable(r.Method, failed) {
			u.logFailure(ctx, r, to, failed, attempt)
			return nil, failed
		}
		u.services.Metrics.retries.WithLabelValues(u.label).Inc()
		if failed.Kind == Throttled {
			continue // the hop waits for the end of the pause
		}
		if err := u.services.Wait(ctx, rand.N(backoff<<(attempt-1))+time.Millisecond); err != nil {
			return nil, u.failure(to.String(), err)
		}
	}
}

// repeatable reports whether another attempt could succeed soon. An upstream that let
// the time pass is not asked again, since the client that waits has less patience.
func repeatable(method string, e *Error) bool {
	if method != http.MethodGet && method != http.MethodHead {
		return false
	}
	switch e.Kind {
	case Unreachable, Interrupted:
		return true
	case Unresolved:
		return isTemporary(e.Err)
	case Throttled:
		return e.RetryAfter <= maxThrottleWait
	case Answered:
		return slices.Contains([]int{
			http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway,
			http.StatusServiceUnavailable, http.StatusGatewayTimeout,
		}, e.Status)
	}
	return false
}

// A statusError is an answer that is not what was asked for.
type statusError struct {
	status     int           // 0 if nothing was asked because of an earlier answer
	retryAfter time.Duration // of a pause, if throttled
	throttled  string        // HOST:PORT of the host that asked for a pause
	challenges []string      // WWW-Authenticate
	body       []byte        // its beginning
}

func (e *statusError) Error() string { return http.StatusText(e.status) }

// A mediaTypeError is an answer of another type than those accepted.
type mediaTypeError struct{ got string }

func (e *mediaTypeError) Error() string { return "the answer is " + e.got }

// attempt sends a request once. The error is not yet one of the package.
func (u *Upstream) attempt(parent context.Context, r Request, to *url.URL) (_ *Response, err error) {
	ctx, cancel := context.WithCancelCause(parent)
	var answered atomic.Bool
	timer := time.AfterFunc(u.limits.Header, func() {
		if !answered.Load() {
			cancel(errHeaderTimeout)
		}
	})
	defer func() {
		answered.Store(true) // a body may still be sent
		timer.Stop()
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			cancel(nil)
		}
	}()
	req, err := u.newRequest(ctx, r, to, func() { timer.Reset(u.limits.Header) })
	if err != nil {
		return nil, err
	}
	began := u.services.Now()
	res, err := u.client.Do(req)
	if err != nil {
		return nil, err
	}
	if err := u.checkStatus(res); err != nil {
		err.body, _ = io.ReadAll(io.LimitReader(res.Body, r.MaxErrorBytes)) // what came of it
		_, _ = io.CopyN(io.Discard, res.Body, maxDrained)
		res.Body.Close()
		return nil, err
	}
	u.throttle.succeeded(hostPort(res.Request.URL))
	if err := checkType(res, r.Types); err != nil {
		res.Body.Close()
		return nil, err
	}
	return u.receive(ctx, cancel, r, res, began)
}

// checkStatus accepts 2xx and 304, and notes a pause that the host asks for, which after a
// redirect is not the one that was asked first.
func (u *Upstream) checkStatus(res *http.Response) *statusError {
	switch s := res.StatusCode; {
	case s >= 200 && s < 300 || s == http.StatusNotModified:
		return nil
	case s == http.StatusTooManyRequests, s == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != "":
		host := hostPort(res.Request.URL)
		return &statusError{status: s, throttled: host, retryAfter: u.throttle.pause(host, res.Header)}
	case s == http.StatusUnauthorized && res.Request.Response == nil: // not after a redirect
		return &statusError{status: s, challenges: res.Header.Values("WWW-Authenticate")}
	default:
		return &statusError{status: s}
	}
}

func checkType(res *http.Response, types []string) error {
	got := res.Header.Get("Content-Type")
	if len(types) == 0 || got == "" || res.StatusCode == http.StatusNotModified || res.StatusCode == http.StatusNoContent {
		return nil
	}
	if media, _, err := mime.ParseMediaType(got); err == nil && slices.ContainsFunc(types, func(t string) bool { return strings.EqualFold(t, media) }) {
		return nil
	}
	return &mediaTypeError{got}
}
