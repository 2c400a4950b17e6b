package changefeed

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	applied prometheus.Counter
	settle  prometheus.Histogram
	lease   prometheus.Collector
}

func newMetrics(f *Feed) *metrics {
	return &metrics{
		applied: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatehouse_changefeed_applied_total", Help: "Changes that were read from the feed, also those of this server itself.",
		}),
		settle: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gatehouse_changefeed_settle_seconds", Help: "Time that a change of this server waited until all servers had it.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 5, 10},
		}),
		lease: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gatehouse_changefeed_lease_age_seconds", Help: "Time since this server had everything that was changed; -1 if it has no lease, 0 if no other server can use the database.",
		}, f.leaseAge),
	}
}

func (f *Feed) leaseAge() float64 {
	renewed := f.renewed.Load()
	switch {
	case !f.shared:
		return 0
	case renewed == nil:
		return -1
	}
	return f.since(*renewed).Seconds()
}

// Metrics returns the metrics of the feed, for one registration.
func (f *Feed) Metrics() []prometheus.Collector {
	return []prometheus.Collector{f.metrics.applied, f.metrics.settle, f.metrics.lease}
}
