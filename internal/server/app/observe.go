package app

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
)

// An observer stands around every door: it begins the request's audit entry and,
// when the answer is written, turns it into the audit record, the log line and
// the metrics.
type observer struct {
	audit   *audit.Log
	log     *slog.Logger
	metrics *metrics
	now     func() time.Time
	// failing is told when records are being lost.
	failing func(error)
}

func (o *observer) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ip, _, _ := net.SplitHostPort(r.RemoteAddr)
		e := &audit.Entry{ID: randid.UUID(), Started: o.now(), SourceIP: ip, UserAgent: r.UserAgent()}
		r = r.WithContext(audit.WithEntry(r.Context(), e))
		w.Header().Set("X-Amzn-Requestid", e.ID)
		rec := &responseRecorder{ResponseWriter: w}
		o.metrics.inFlight.Inc()
		defer o.metrics.inFlight.Dec()
		defer func() {
			if p := recover(); p != nil {
				o.recovered(rec, r, e, p)
			}
			o.finish(rec, r, e)
		}()
		next.ServeHTTP(rec, r)
	})
}

// recovered answers for a handler that panicked. http.ErrAbortHandler is how a
// handler gives up on a connection on purpose, and goes on.
func (o *observer) recovered(rec *responseRecorder, r *http.Request, e *audit.Entry, p any) {
	e.Failed("InternalError", "the server failed")
	if p == http.ErrAbortHandler {
		o.finish(rec, r, e)
		panic(p)
	}
	o.log.ErrorContext(r.Context(), "panic", "request", e.ID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if rec.status == 0 {
		http.Error(rec, "The server failed to answer. Its log says why, under request "+e.ID+".", http.StatusInternalServerError)
	}
}

func (o *observer) finish(rec *responseRecorder, r *http.Request, e *audit.Entry) {
	if rec.finished {
		return
	}
	rec.finished = true
	status := rec.status
	if status == 0 {
		status = http.StatusOK
	}
	now := o.now()
	service, operation := e.Name()
	if operation != "" && o.audit != nil {
		if err := o.audit.Write(e.Record(status, now)); err != nil {
			o.failing(err)
		}
	}
	o.metrics.observe(service, operation, status, now.Sub(e.Started))
	level := slog.LevelInfo
	if status >= 500 {
		level = slog.LevelError
	}
	if !o.log.Enabled(r.Context(), level) {
		return
	}
	o.log.LogAttrs(r.Context(), level, "request",
		slog.String("id", e.ID), slog.String("method", clipped(r.Method)), slog.String("path", clipped(r.URL.Path)),
		slog.Int("status", status), slog.String("service", service), slog.String("action", operation),
		slog.String("principal", e.Principal()), slog.String("decision", e.Outcome()), slog.String("error", e.Code()),
		slog.Int64("bytes", rec.bytes), slog.Duration("duration", now.Sub(e.Started)), slog.String("source", e.SourceIP))
}

// maxLogged bounds a text of the client's in a log line, in bytes.
const maxLogged = 1 << 10

func clipped(s string) string {
	if len(s) <= maxLogged {
		return s
	}
	return s[:maxLogged] + "…"
}

// A responseRecorder notes status and size. It passes ReadFrom on, so that a
// file still leaves by sendfile.
type responseRecorder struct {
	http.ResponseWriter
	status   int
	bytes    int64
	finished bool
}

func (r *responseRecorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 { // not for 100 Continue and its like
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *responseRecorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// ReadFrom is what [io.Copy] looks for.
func (r *responseRecorder) ReadFrom(src io.Reader) (int64, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := io.Copy(r.ResponseWriter, src)
	r.bytes += n
	return n, err
}

// Unwrap is what [http.ResponseController] looks for.
func (r *responseRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
