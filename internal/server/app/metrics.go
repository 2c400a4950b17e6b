package app

import (
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// metrics are what /metrics shows. Labels have small, fixed sets of values: names
// of operations and statuses, but no principals and no repositories.
type metrics struct {
	registry  *prometheus.Registry
	inFlight  map[string]*atomic.Int64 // by route
	requests  *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	decisions *prometheus.CounterVec
	refused   prometheus.Counter
	// refusedRequests are those beyond the limit of requests in flight.
	refusedRequests prometheus.Counter

	observersMu sync.RWMutex
	observers   map[observedKey]observer
}

// The routes that metrics tell apart.
const (
	routeAPI      = "api"
	routeRegistry = "registry"
	routePackages = "packages"
)

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		inFlight: map[string]*atomic.Int64{}, observers: map[observedKey]observer{},
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatehouse_connections_shed_total", Help: "Connections that were refused or closed because too many were open.",
		}),
		refusedRequests: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatehouse_requests_shed_total", Help: "Requests that were refused because too many were in flight.",
		}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_requests_total", Help: "Answered requests by service, operation and status.",
		}, []string{"service", "operation", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gatehouse_request_duration_seconds", Help: "Time from the request's header to the answer's end.",
			Buckets: []float64{.0002, .0005, .001, .002, .005, .01, .02, .05, .1, .5, 1, 5, 30},
		}, []string{"service", "operation"}),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_decisions_total", Help: "Decisions of the policy engine by outcome.",
		}, []string{"outcome"}),
	}
	for _, route := range []string{routeAPI, routeRegistry, routePackages} {
		n := new(atomic.Int64)
		m.inFlight[route] = n
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gatehouse_requests_in_flight", Help: "Requests being answered, by route.", ConstLabels: prometheus.Labels{"route": route},
		}, func() float64 { return float64(n.Load()) }))
	}
	m.registry.MustRegister(m.refused, m.refusedRequests, m.requests, m.duration, m.decisions,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// observe counts one request. A request without an operation has the labels
// "none".
func (m *metrics) observe(service, operation string, status int, took time.Duration) {
	if operation == "" {
		service, operation = "none", "none"
	}
	o := m.observerOf(observedKey{service, operation, status})
	o.requests.Inc()
	o.duration.Observe(took.Seconds())
}

// An observedKey has the labels of a request.
type observedKey struct {
	service, operation string
	status             int
}

// An observer has the metrics of the requests with the same labels. To find them among all
// takes longer than to count.
type observer struct {
	requests prometheus.Counter
	duration prometheus.Observer
}

func (m *metrics) observerOf(k observedKey) observer {
	m.observersMu.RLock()
	o, ok := m.observers[k]
	m.observersMu.RUnlock()
	if ok {
		return o
	}
	o = observer{m.requests.WithLabelValues(k.service, k.operation, strconv.Itoa(k.status)), m.duration.WithLabelValues(k.service, k.operation)}
	m.observersMu.Lock()
	defer m.observersMu.Unlock()
	m.observers[k] = o
	return o
}

// requestsInFlight is how many requests are being answered on all routes.
func (m *metrics) requestsInFlight() (n int64) {
	for _, route := range m.inFlight {
		n += route.Load()
	}
	return n
}

func (m *metrics) decided(d audit.Decision) { m.decisions.WithLabelValues(d.Outcome).Inc() }

// damagedObjects adds the number of stored objects that were found to be missing or
// damaged.
func (m *metrics) damagedObjects(found func() uint64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "gatehouse_damaged_objects_total", Help: "Stored objects that were found missing or damaged since the start.",
	}, func() float64 { return float64(found()) }))
}

// ingested counts the files that came through external connections.
func (m *metrics) ingested(stats func() packages.IngestStats) {
	m.registry.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "gatehouse_ingested_files_total", Help: "Files that came through external connections and were kept.",
		}, func() float64 { return float64(stats().Files) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "gatehouse_ingest_mismatches_total", Help: "Files of external registries that were not kept, because their bytes did not have the registry's hashes.",
		}, func() float64 { return float64(stats().Mismatches) }))
}

// admissions counts what rules, exceptions and quarantines decided about downloads.
func (m *metrics) admissions(counts func() packages.AdmissionCounts) {
	for outcome, count := range map[packages.AdmissionOutcome]func(packages.AdmissionCounts) uint64{
		packages.Denied:   func(c packages.AdmissionCounts) uint64 { return c.Denied },
		packages.Excepted: func(c packages.AdmissionCounts) uint64 { return c.Excepted },
		packages.Reported: func(c packages.AdmissionCounts) uint64 { return c.Reported },
	} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "gatehouse_admission_decisions_total", Help: "Downloads of package versions that a rule or a quarantine denied, that an exception let through, or that a rule which only reports would have denied.",
			ConstLabels: prometheus.Labels{"outcome": string(outcome)},
		}, func() float64 { return float64(count(counts())) }))
	}
}

// cacheCollector shows the counters of caches. The name of a cache is a label.
type cacheCollector func() map[string]lru.Stats

var (
	cacheHits    = prometheus.NewDesc("gatehouse_cache_hits_total", "Lookups that found a fresh value.", []string{"cache"}, nil)
	cacheMisses  = prometheus.NewDesc("gatehouse_cache_misses_total", "Lookups that found no fresh value.", []string{"cache"}, nil)
	cacheEntries = prometheus.NewDesc("gatehouse_cache_entries", "Values in the cache.", []string{"cache"}, nil)
)

// Describe implements [prometheus.Collector].
func (c cacheCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements [prometheus.Collector].
func (c cacheCollector) Collect(ch chan<- prometheus.Metric) {
	for name, st := range c() {
		ch <- prometheus.MustNewConstMetric(cacheHits, prometheus.CounterValue, float64(st.Hits), name)
		ch <- prometheus.MustNewConstMetric(cacheMisses, prometheus.CounterValue, float64(st.Misses), name)
		ch <- prometheus.MustNewConstMetric(cacheEntries, prometheus.GaugeValue, float64(st.Entries), name)
	}
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
