package work

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a queue counts on this server, and the backlog of all servers.
type metrics struct {
	runs     *prometheus.CounterVec
	duration *prometheus.HistogramVec
	success  *prometheus.GaugeVec
	backlog  *backlogCollector
}

func newMetrics(q *Queue) *metrics {
	return &metrics{
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_work_runs_total", Help: "Runs of background work that ended on this server, by kind and result: done, failed or interrupted.",
		}, []string{"kind", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gatehouse_work_duration_seconds", Help: "How long runs of background work took on this server.",
			Buckets: []float64{.001, .01, .1, 1, 10, 60, 600, 3600},
		}, []string{"kind"}),
		success: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gatehouse_work_last_success_timestamp_seconds", Help: "When background work of a kind was last done on this server.",
		}, []string{"kind"}),
		backlog: &backlogCollector{queue: q},
	}
}

func (m *metrics) ended(kind string, o outcome, took time.Duration) {
	result := "done"
	switch {
	case o.interrupted:
		result = "interrupted"
	case o.err != nil:
		result = "failed"
	default:
		m.success.WithLabelValues(kind).Set(float64(o.at.Unix()))
	}
	m.runs.WithLabelValues(kind, result).Inc()
	m.duration.WithLabelValues(kind).Observe(took.Seconds())
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.runs, m.duration, m.success, m.backlog}
}

const (
	// backlogAge is how old the backlog in the metrics may be, since counting it
	// reads the whole queue.
	backlogAge     = 15 * time.Second
	backlogTimeout = 2 * time.Second
)

// A backlogCollector counts the jobs of the installation when metrics are collected.
type backlogCollector struct {
	queue *Queue

	mu      sync.Mutex
	counted time.Time
	backlog []Backlog
}

var (
	backlogJobs = prometheus.NewDesc("gatehouse_work_backlog", "Jobs of background work in the database, by kind and state: queued, running or failed.", []string{"kind", "state"}, nil)
	backlogDue  = prometheus.NewDesc("gatehouse_work_oldest_due_seconds", "For how long the oldest queued job of a kind has been due; 0 if none is.", []string{"kind"}, nil)
)

// Describe implements [prometheus.Collector].
func (c *backlogCollector) Describe(ch chan<- *prometheus.Desc) { ch <- backlogJobs; ch <- backlogDue }

// Collect implements [prometheus.Collector]. If the database does not answer there is
// no backlog among the metrics.
func (c *backlogCollector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.counted) > backlogAge {
		ctx, cancel := context.WithTimeout(context.Background(), backlogTimeout)
		defer cancel()
		backlog, err := c.queue.Backlog(ctx)
		if err != nil {
			return
		}
		c.backlog, c.counted = backlog, time.Now()
	}
	now := c.queue.c.Now()
	for _, b := range c.backlog {
		ch <- prometheus.MustNewConstMetric(backlogJobs, prometheus.GaugeValue, float64(b.Jobs), b.Kind, string(b.State))
		if b.State == Queued {
			ch <- prometheus.MustNewConstMetric(backlogDue, prometheus.GaugeValue, max(0, now.Sub(b.Oldest).Seconds()), b.Kind)
		}
	}
}
