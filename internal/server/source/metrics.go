package source

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	asked, failed, stale prometheus.Counter
	down                 *prometheus.GaugeVec
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	return &metrics{
		asked:  counter("gatehouse_source_questions_total", "Questions about packages that registries were asked."),
		failed: counter("gatehouse_source_failures_total", "Questions that a registry did not answer."),
		stale:  counter("gatehouse_source_stale_answers_total", "Answers from an older document, because a registry failed."),
		down: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gatehouse_source_down", Help: "1 while a registry does not answer and older documents are used without asking.",
		}, []string{"upstream"}),
	}
}

// Metrics returns the collectors of the cache.
func (c *Cache) Metrics() []prometheus.Collector {
	return []prometheus.Collector{c.metrics.asked, c.metrics.failed, c.metrics.stale, c.metrics.down}
}
