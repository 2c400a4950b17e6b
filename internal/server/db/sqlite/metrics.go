package sqlite

import "github.com/prometheus/client_golang/prometheus"

// metrics are what a database counts about itself.
type metrics struct {
	group  prometheus.Histogram
	commit prometheus.Histogram
}

func newMetrics() *metrics {
	return &metrics{
		group: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gatehouse_db_group_transactions", Help: "Transactions that shared one commit.",
			Buckets: []float64{1, 2, 4, 8, 16, 32},
		}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gatehouse_db_commit_seconds", Help: "Time of a commit, which includes the sync to the disk.",
			Buckets: []float64{.0002, .0005, .001, .002, .005, .01, .02, .05, .1, .5, 1, 5},
		}),
	}
}
