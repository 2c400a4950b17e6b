package app

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/respwriter"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/truncate"
)

// maxLogged bounds text of a client in a log line, in bytes.
const maxLogged = 1 << 10

// A requestLog is middleware around all audited routes. It begins the audit entry
// of a request; when the answer is written, it turns the entry into the audit
// record, the log line and the metrics.
type requestLog struct {
	audit    *audit.Log
	log      *slog.Logger
	metrics  *metrics
	refusals *refusals
	now      func() time.Time
	// failed is called if a record could not be written.
	failed func(error)
}

// wrap returns the handler of a route. inFlight counts its requests, and write answers
// for a handler that panicked.
func (l *requestLog) wrap(inFlight *atomic.Int64, write answerer, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ip, _, _ := net.SplitHostPort(r.RemoteAddr)
		e := &audit.Entry{ID: randid.UUID(), Started: l.now(), SourceIP: ip, UserAgent: r.UserAgent()}
		r = r.WithContext(audit.WithEntry(r.Context(), e))
		w.Header().Set("X-Amzn-Requestid", e.ID)
		rec := &respwriter.Recorder{ResponseWriter: w}
		inFlight.Add(1)
		defer inFlight.Add(-1)
		defer func() {
			p := recover()
			if p != nil {
				l.recovered(rec, r, e, write, p)
			}
			l.finish(rec, r, e)
			if p == http.ErrAbortHandler {
				panic(p)
			}
		}()
		next.ServeHTTP(rec, r)
	})
}

// recovered answers for a handler that panicked. http.ErrAbortHandler is how a
// handler cuts a connection on purpose; it needs no answer.
func (l *requestLog) recovered(rec *respwriter.Recorder, r *http.Request, e *audit.Entry, write answerer, p any) {
	if p == http.ErrAbortHandler && r.Context().Err() != nil {
		e.Failed("RequestCancelled", "the client closed the connection")
		return
	}
	e.Failed("InternalError", "the server failed")
	if p == http.ErrAbortHandler {
		return
	}
	l.log.ErrorContext(r.Context(), "panic", "request", e.ID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if rec.Status == 0 {
		// What the handler said about its own answer is not true of this one.
		for _, name := range []string{"Cache-Control", "Content-Encoding", "Content-Length", "Content-Range", "Docker-Content-Digest", "Etag", "Last-Modified", "Location"} {
			rec.Header().Del(name)
		}
		write.answer(rec, r, panicked(e.ID))
	}
}

func (l *requestLog) finish(rec *respwriter.Recorder, r *http.Request, e *audit.Entry) {
	status := rec.Status
	if status == 0 {
		status = http.StatusOK
	}
	now := l.now()
	service, operation := e.Name()
	l.metrics.observe(service, operation, status, now.Sub(e.Started))
	write := l.refusals.treat(e, status)
	if write.record && operation != "" {
		if err := l.audit.Write(e.Record(status, now)); err != nil {
			l.failed(err)
		}
	}
	level := slog.LevelInfo
	if status >= 500 {
		level = slog.LevelError
	}
	if !write.line || !l.log.Enabled(r.Context(), level) {
		return
	}
	l.log.LogAttrs(r.Context(), level, "request",
		slog.String("id", e.ID), slog.String("method", truncate.String(r.Method, maxLogged)), slog.String("path", truncate.String(r.URL.Path, maxLogged)),
		slog.Int("status", status), slog.String("service", service), slog.String("action", operation),
		slog.String("principal", e.Principal()), slog.String("decision", e.Outcome()), slog.String("error", e.Code()),
		slog.Int64("bytes", rec.Bytes), slog.Duration("duration", now.Sub(e.Started)), slog.String("source", e.SourceIP))
}
