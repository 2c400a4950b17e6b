package e2e

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A balancer sends each request to the next server that is ready, as a plain load
// balancer does: a connection of a client is not bound to a server. It looks at /readyz.
type balancer struct {
	url      string
	proxy    *httputil.ReverseProxy
	next     atomic.Uint64
	failures atomic.Int64 // requests that it could not pass on

	mu      sync.Mutex
	servers []*url.URL // nil while one is away
	ready   []bool
}

// healthInterval is how often the balancer looks at each server.
const healthInterval = 50 * time.Millisecond

// newBalancer returns a balancer for so many servers, and what stops it.
func newBalancer(servers int) (b *balancer, stop func()) {
	b = &balancer{servers: make([]*url.URL, servers), ready: make([]bool, servers)}
	b.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			target := r.In.Context().Value(targetKey{}).(*url.URL)
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			r.Out.Host = r.In.Host // is signed
		},
		Transport:     &http.Transport{MaxIdleConnsPerHost: 256, ExpectContinueTimeout: waitTimeout, DisableCompression: true},
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				b.failures.Add(1)
			}
			http.Error(w, "load balancer: "+err.Error(), http.StatusBadGateway)
		},
	}
	server := httptest.NewUnstartedServer(b)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	b.url = server.URL
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	for i := range servers {
		watching.Go(func() { b.watch(ctx, i) })
	}
	return b, func() {
		cancel()
		watching.Wait()
		server.CloseClientConnections()
		server.Close()
	}
}

type targetKey struct{}

// ServeHTTP passes a request on.
func (b *balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	target := b.pick(r.Context())
	if target == nil {
		b.failures.Add(1)
		http.Error(w, "load balancer: no server is ready", http.StatusServiceUnavailable)
		return
	}
	b.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), targetKey{}, target)))
}

// pick returns the next server that is ready. If there is none, it waits a moment.
func (b *balancer) pick(ctx context.Context) *url.URL {
	for range 100 {
		b.mu.Lock()
		for range b.servers {
			i := int(b.next.Add(1) % uint64(len(b.servers)))
			if b.ready[i] {
				defer b.mu.Unlock()
				return b.servers[i]
			}
		}
		b.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(healthInterval):
		}
	}
	return nil
}

// set says where a server is now. It gets requests as soon as it is ready.
func (b *balancer) set(i int, address string) {
	u, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.servers[i], b.ready[i] = u, false
}

// count returns how many servers are ready.
func (b *balancer) count() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, ready := range b.ready {
		if ready {
			n++
		}
	}
	return n
}

// waitFor waits until so many servers are ready.
func (b *balancer) waitFor(t *testing.T, servers int) {
	t.Helper()
	for deadline := time.Now().Add(waitTimeout); b.count() != servers; time.Sleep(healthInterval) {
		if time.Now().After(deadline) {
			t.Fatalf("%d servers are ready, want %d", b.count(), servers)
		}
	}
}

// watch asks a server again and again whether it is ready.
func (b *balancer) watch(ctx context.Context, i int) {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for ; ctx.Err() == nil; time.Sleep(healthInterval) {
		b.mu.Lock()
		target := b.servers[i]
		b.mu.Unlock()
		if target == nil {
			continue
		}
		ok := false
		if res, err := client.Get(target.String() + "/readyz"); err == nil {
			ok = res.StatusCode == http.StatusOK
			res.Body.Close()
		}
		b.mu.Lock()
		if b.servers[i] == target {
			b.ready[i] = ok
		}
		b.mu.Unlock()
	}
}

// pause waits a moment between two looks at something that another process does.
func pause() { time.Sleep(healthInterval) }

func keysOf[K comparable, V any](m map[K]V) (keys []K) {
	for key := range m {
		keys = append(keys, key)
	}
	return keys
}
