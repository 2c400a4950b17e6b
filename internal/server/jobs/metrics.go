package jobs

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a runner counts. A job that has not succeeded for longer than
// its interval has a backlog.
type metrics struct {
	success  *prometheus.GaugeVec
	failures *prometheus.CounterVec
	duration *prometheus.GaugeVec
}

func newMetrics() *metrics {
	labels := []string{"job"}
	return &metrics{
		success: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gatehouse_job_last_success_timestamp_seconds", Help: "When a job of the background work last succeeded on this server.",
		}, labels),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_job_failures_total", Help: "Runs of a job that ended with an error, as when a sweep stops because it would remove too much.",
		}, labels),
		duration: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gatehouse_job_last_duration_seconds", Help: "How long the last run of a job took.",
		}, labels),
	}
}

func (m *metrics) ended(job string, err error, now time.Time, took time.Duration) {
	m.duration.WithLabelValues(job).Set(took.Seconds())
	if err != nil {
		m.failures.WithLabelValues(job).Inc()
		return
	}
	m.success.WithLabelValues(job).Set(float64(now.Unix()))
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.success, m.failures, m.duration}
}
