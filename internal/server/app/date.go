package app

import (
	"net/http"
	"time"
)

// undated leaves the Date of answers to net/http, which reads the machine's
// clock.
func undated(next http.Handler) http.Handler { return next }

// dating is the layer that dates answers by a clock.
func dating(now func() time.Time) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", now().UTC().Format(http.TimeFormat))
			next.ServeHTTP(w, r)
		})
	}
}
