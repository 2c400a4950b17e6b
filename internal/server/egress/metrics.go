package egress

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count the requests of all upstreams. The label upstream is the Label of
// [UpstreamConfig].
type Metrics struct {
	requests *prometheus.CounterVec
	retries  *prometheus.CounterVec
	bytes    *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	open     *prometheus.GaugeVec
}

// NewMetrics returns metrics that are not registered yet: see [Metrics.Collectors].
func NewMetrics() *Metrics {
	upstream := []string{"upstream"}
	return &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_upstream_requests_total", Help: "Requests to upstreams by result: ok, not_modified, or what went wrong.",
		}, []string{"upstream", "result"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_upstream_retries_total", Help: "Requests to upstreams that were sent again after a failure.",
		}, upstream),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_upstream_received_bytes_total", Help: "Bytes of answers received from upstreams, before decompression.",
		}, upstream),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gatehouse_upstream_header_seconds", Help: "Time until the header of an upstream's answer, redirects included.",
			Buckets: []float64{.005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 15, 30},
		}, upstream),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gatehouse_upstream_connections", Help: "Open connections to upstreams.",
		}, upstream),
	}
}

// Collectors returns what is to be registered.
func (m *Metrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.retries, m.bytes, m.latency, m.open}
}

func (m *Metrics) answered(upstream string, status int, took time.Duration) {
	result := "ok"
	if status == http.StatusNotModified {
		result = "not_modified"
	}
	m.requests.WithLabelValues(upstream, result).Inc()
	m.latency.WithLabelValues(upstream).Observe(took.Seconds())
}

func (m *Metrics) failed(upstream string, e *Error, took time.Duration) {
	result := string(e.Kind)
	if IsNotFound(e) {
		result = "not_found"
	}
	m.requests.WithLabelValues(upstream, result).Inc()
	if e.Kind == Answered {
		m.latency.WithLabelValues(upstream).Observe(took.Seconds())
	}
}

// fetched counts and logs an answer that was received, or broke off.
func (u *Upstream) fetched(b *answerBody, failed *Error) {
	u.services.Metrics.bytes.WithLabelValues(u.label).Add(float64(b.received))
	attributes := []slog.Attr{
		slog.String("upstream", u.name), slog.String("url", b.url), slog.Int("status", b.status),
		slog.Int64("bytes", b.received), slog.Duration("took", u.services.Now().Sub(b.began)),
	}
	if failed == nil {
		level := slog.LevelInfo
		if b.status == http.StatusNotModified {
			level = slog.LevelDebug // nothing came in
		}
		u.services.Log.LogAttrs(b.ctx, level, "fetched from upstream", attributes...)
		return
	}
	u.services.Metrics.requests.WithLabelValues(u.label, string(failed.Kind)).Inc()
	u.services.Log.LogAttrs(b.ctx, slog.LevelWarn, "fetching from upstream broke off", append(attributes, slog.String("error", failed.Message))...)
}

// failureInterval is how often a failure of one kind is a warning. While an upstream is
// down, every request fails.
const failureInterval = 10 * time.Second

// logFailure logs a request that failed. Failures that are expected in numbers are
// warnings once in a while.
func (u *Upstream) logFailure(ctx context.Context, r Request, to *url.URL, failed *Error, attempts int) {
	level := slog.LevelWarn
	switch {
	case IsNotFound(failed) || failed.Kind == Canceled:
		level = slog.LevelInfo
	case failed.Kind == Throttled && failed.Status == 0 || !u.warnings.due(failed.Kind, u.services.Now()):
		level = slog.LevelDebug
	}
	u.services.Log.LogAttrs(ctx, level, "fetching from upstream failed",
		slog.String("upstream", u.name), slog.String("method", r.Method), slog.String("url", shown(to.String())),
		slog.Int("status", failed.Status), slog.Int("attempts", attempts), slog.String("error", failed.Message))
}

// warnings remembers when a failure of each kind was a warning.
type warnings struct {
	mu   sync.Mutex
	last map[Kind]time.Time
}

// due reports whether a failure is to be a warning now, and remembers that it was.
func (w *warnings) due(k Kind, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if last, ok := w.last[k]; ok && now.Sub(last) < failureInterval {
		return false
	}
	if w.last == nil {
		w.last = map[Kind]time.Time{}
	}
	w.last[k] = now
	return true
}
