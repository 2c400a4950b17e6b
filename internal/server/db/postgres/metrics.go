package postgres

import (
	"database/sql"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a database counts about itself.
type metrics struct {
	commit      prometheus.Histogram
	open, inUse prometheus.GaugeFunc
	waits       prometheus.CounterFunc
	waited      prometheus.CounterFunc
}

func newMetrics(pool *sql.DB) *metrics {
	return &metrics{
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gatehouse_db_commit_seconds", Help: "Time of a commit, which includes the sync to the disk.",
			Buckets: []float64{.0002, .0005, .001, .002, .005, .01, .02, .05, .1, .5, 1, 5},
		}),
		open: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gatehouse_db_connections", Help: "Open connections of the pool.",
		}, func() float64 { return float64(pool.Stats().OpenConnections) }),
		inUse: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gatehouse_db_connections_in_use", Help: "Connections of the pool on which a query or a transaction runs.",
		}, func() float64 { return float64(pool.Stats().InUse) }),
		waits: prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "gatehouse_db_connection_waits_total", Help: "How often all connections of the pool were in use.",
		}, func() float64 { return float64(pool.Stats().WaitCount) }),
		waited: prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "gatehouse_db_connection_wait_seconds_total", Help: "Time of the waits for a connection of the pool.",
		}, func() float64 { return pool.Stats().WaitDuration.Seconds() }),
	}
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.commit, m.open, m.inUse, m.waits, m.waited}
}
