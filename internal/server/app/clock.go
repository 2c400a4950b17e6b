package app

import (
	"net/http"
	"time"
)

// withMachineClock leaves the header Date to net/http, which uses the machine's
// clock.
func withMachineClock(next http.Handler) http.Handler { return next }

// withClock returns middleware that sets the header Date by a clock.
func withClock(now func() time.Time) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", now().UTC().Format(http.TimeFormat))
			next.ServeHTTP(w, r)
		})
	}
}
