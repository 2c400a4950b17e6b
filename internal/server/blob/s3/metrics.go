package s3

import (
	"context"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go/middleware"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a store counts about itself. The first ones have the names of those
// of package local.
type metrics struct {
	written, opened, missing, full prometheus.Counter
	setAside, restored             prometheus.Counter
	commit                         prometheus.Histogram

	corrupt, resumedReads, retries prometheus.Counter
	requests                       *prometheus.CounterVec
	seconds                        *prometheus.HistogramVec
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "gatehouse_blob_" + name, Help: help})
	}
	buckets := []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60}
	return &metrics{
		written:      counter("written_bytes_total", "Bytes written to objects."),
		opened:       counter("opened_total", "Objects opened for reading."),
		missing:      counter("missing_total", "Objects that were opened and are not there."),
		full:         counter("full_total", "Writes refused because the store has no room."),
		setAside:     counter("set_aside_total", "Objects that sweeps set aside."),
		restored:     counter("restored_total", "Objects that had been set aside and were needed again."),
		commit:       prometheus.NewHistogram(prometheus.HistogramOpts{Name: "gatehouse_blob_commit_seconds", Help: "Time to make a finished object durable.", Buckets: buckets}),
		corrupt:      counter("corrupt_total", "Objects whose bytes did not match their checksum when they were read."),
		resumedReads: counter("resumed_reads_total", "Reads of objects that were interrupted and continued."),
		retries:      counter("s3_retries_total", "Requests to the store that were repeated."),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_blob_s3_requests_total", Help: "Requests to the store by operation and outcome: ok, missing, taken or the code of the fault. Retries count once.",
		}, []string{"operation", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gatehouse_blob_s3_request_seconds", Help: "Time until the store's answer began, with retries.", Buckets: buckets,
		}, []string{"operation"}),
	}
}

// Metrics returns the store's metrics, for one registration.
func (s *Store) Metrics() []prometheus.Collector {
	m := s.metrics
	return []prometheus.Collector{m.written, m.opened, m.missing, m.full, m.setAside, m.restored, m.commit, m.corrupt, m.resumedReads, m.retries, m.requests, m.seconds}
}

// observe adds the counting to the SDK's client.
func (m *metrics) observe(stack *middleware.Stack) error {
	whole := middleware.InitializeMiddlewareFunc("gatehouse:requests", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		began := time.Now()
		out, meta, err := next.HandleInitialize(ctx, in)
		operation := awsmiddleware.GetOperationName(ctx)
		m.seconds.WithLabelValues(operation).Observe(time.Since(began).Seconds())
		m.requests.WithLabelValues(operation, outcome(err)).Inc()
		if results, ok := retry.GetAttemptResults(meta); ok && len(results.Results) > 1 {
			m.retries.Add(float64(len(results.Results) - 1))
		}
		return out, meta, err
	})
	return stack.Initialize.Add(whole, middleware.Before)
}

func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case isMissing(err):
		return "missing"
	case isTaken(err):
		return "taken"
	}
	if c := causeOf(err); c != nil {
		return c.code
	}
	return "error"
}
