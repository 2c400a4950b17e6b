package source

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	asked, failed, stale prometheus.Counter
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	return &metrics{
		asked:  counter("gatehouse_source_questions_total", "Questions about packages that registries were asked."),
		failed: counter("gatehouse_source_failures_total", "Questions that a registry did not answer."),
		stale:  counter("gatehouse_source_stale_answers_total", "Answers from an older document, because a registry failed."),
	}
}

// Metrics returns the collectors of the cache.
func (c *Cache) Metrics() []prometheus.Collector {
	return []prometheus.Collector{c.metrics.asked, c.metrics.failed, c.metrics.stale}
}
