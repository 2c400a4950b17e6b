package load_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/bench/load"
)

func plan(s *httptest.Server, paths ...string) load.Plan {
	p := load.Plan{Address: s.Listener.Addr().String(), Connections: 3, Duration: 20 * time.Millisecond, Status: http.StatusOK}
	for _, path := range paths {
		p.Requests = append(p.Requests, []byte("GET "+path+" HTTP/1.1\r\nHost: registry.example\r\n\r\n"))
	}
	return p
}

func TestRun_CountsAnswers(t *testing.T) {
	var answered, sent atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answered.Add(1)
		body := strings.Repeat("x", 100<<10)
		if r.URL.Path == "/chunked" {
			w.(http.Flusher).Flush()
		}
		n, _ := io.WriteString(w, body)
		sent.Add(int64(n))
	}))
	defer s.Close()
	result, err := load.Run(t.Context(), plan(s, "/chunked", "/whole"))
	if err != nil {
		t.Fatal(err)
	}
	if result.Requests == 0 || int64(result.Requests) != answered.Load() || result.Bytes != sent.Load() {
		t.Errorf("result %+v, and the server answered %d with %d bytes", result, answered.Load(), sent.Load())
	}
	if result.P50 <= 0 || result.P50 > result.P99 || result.P99 > result.Elapsed {
		t.Errorf("latencies out of order: %+v", result)
	}
}

func TestRun_ReusesConnections(t *testing.T) {
	var connections atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	if _, err := load.Run(t.Context(), plan(s, "/")); err != nil {
		t.Fatal(err)
	}
	if n := connections.Load(); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
}

func TestRun_UnexpectedAnswer(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/forbidden":
			http.Error(w, "who are you", http.StatusForbidden)
		case "/closes":
			w.Header().Set("Connection", "close")
		}
	}))
	defer s.Close()
	for path, want := range map[string]string{"/forbidden": "403 Forbidden, want 200: who are you", "/closes": "closes the connection"} {
		if _, err := load.Run(t.Context(), plan(s, path)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", path, err, want)
		}
	}
}

func TestRun_ContextCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { cancel() }))
	defer s.Close()
	p := plan(s, "/")
	p.Duration = time.Hour
	if _, err := load.Run(ctx, p); err == nil {
		t.Error("no error from a cancelled run")
	}
}
