package local

import "github.com/prometheus/client_golang/prometheus"

// metrics are what a store counts about itself.
type metrics struct {
	written, opened, missing, full prometheus.Counter
	setAside, restored             prometheus.Counter
	commit                         prometheus.Histogram
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "gatehouse_blob_" + name, Help: help})
	}
	return &metrics{
		written:  counter("written_bytes_total", "Bytes written to objects."),
		opened:   counter("opened_total", "Objects opened for reading."),
		missing:  counter("missing_total", "Objects that were opened and are not there."),
		full:     counter("full_total", "Writes refused because the disk has no room beyond the reserve."),
		setAside: counter("set_aside_total", "Objects that sweeps set aside."),
		restored: counter("restored_total", "Objects that had been set aside and were needed again."),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gatehouse_blob_commit_seconds", Help: "Time to make a finished object durable.",
			Buckets: []float64{.0002, .0005, .001, .002, .005, .01, .02, .05, .1, .5, 1, 5, 30},
		}),
	}
}

// Metrics returns the store's metrics, for one registration.
func (s *Store) Metrics() []prometheus.Collector {
	m := s.metrics
	small := []prometheus.Collector{
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "gatehouse_blob_opened_in_memory_total", Help: "Objects opened for reading whose bytes were in memory.",
		}, func() float64 { return float64(s.small.hits.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gatehouse_blob_memory_bytes", Help: "Bytes of small objects that are kept in memory.",
		}, func() float64 { return float64(s.small.kept.Stats().Cost) }),
	}
	return append(small, m.written, m.opened, m.missing, m.full, m.setAside, m.restored, m.commit)
}
