package app

import (
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-registry/gatehouse/internal/server/ratelimit"
)

const (
	// clientShare is the part of all requests in flight that one client may have:
	// 1/clientShare.
	clientShare = 4
	// maxStreams is how many requests of one HTTP/2 connection are in flight.
	maxStreams = 100
)

// A requestLimit keeps the number of requests in flight below the limit of connections.
// In HTTP/1 that follows from the limit of connections. In HTTP/2 one connection has
// many requests, each of which can hold a file open for as long as its client takes
// nothing of it; without this limit a few connections use up all file descriptors.
//
// Refused requests are counted, but neither logged nor audited, like refused
// connections.
type requestLimit struct {
	next    http.Handler
	max     int
	refused prometheus.Counter

	total atomic.Int64

	mu      sync.Mutex
	streams map[netip.Addr]int // requests of HTTP/2 by client
}

func limitRequests(next http.Handler, most int, refused prometheus.Counter) *requestLimit {
	return &requestLimit{next: next, max: most, refused: refused, streams: map[netip.Addr]int{}}
}

// streamsPerClient is how many requests of HTTP/2 a client may have in flight, for a
// limit of all.
func streamsPerClient(most int) int { return max(most/clientShare, 1) }

// ServeHTTP implements http.Handler.
func (l *requestLimit) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var client netip.Addr // not valid for HTTP/1
	if r.ProtoMajor >= 2 {
		if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			client = ratelimit.Client(from.Addr())
		}
	}
	if !l.enter(client) {
		l.refused.Inc()
		w.Header().Set("Retry-After", "1")
		http.Error(w, "Too many requests are being answered. Try again in a moment.", http.StatusServiceUnavailable)
		return
	}
	c := connectionOf(r.Context())
	c.requestBegins()
	defer func() {
		c.requestEnds()
		l.leave(client)
	}()
	l.next.ServeHTTP(w, r)
}

func (l *requestLimit) enter(client netip.Addr) bool {
	if l.total.Add(1) > int64(l.max) || client.IsValid() && !l.enterStream(client) {
		l.total.Add(-1)
		return false
	}
	return true
}

func (l *requestLimit) enterStream(client netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.streams[client] >= streamsPerClient(l.max) {
		return false
	}
	l.streams[client]++
	return true
}

func (l *requestLimit) leave(client netip.Addr) {
	l.total.Add(-1)
	if !client.IsValid() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.streams[client]--; l.streams[client] == 0 {
		delete(l.streams, client)
	}
}
