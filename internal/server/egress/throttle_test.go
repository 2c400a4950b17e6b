package egress_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/upstreamtest"
)

// A clock moves when somebody waits.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	waited []time.Duration
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Wait(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.waited = append(c.waited, d)
	return context.Cause(ctx)
}

func (c *clock) services() egress.Services { return egress.Services{Now: c.Now, Wait: c.Wait} }

func TestUpstream_Retries(t *testing.T) {
	s := upstreamtest.New(t)
	s.Put("/doc", upstreamtest.File{Body: []byte("here")})
	for name, f := range map[string]upstreamtest.Fault{
		"status 500": upstreamtest.Status(500), "status 502": upstreamtest.Status(502), "status 503": upstreamtest.Status(503), "status 408": upstreamtest.Status(408),
		"no answer": upstreamtest.Hangup(), "429": upstreamtest.Throttle(429, ""), "429 with 2 s": upstreamtest.Throttle(429, "2"), "503 with 1 s": upstreamtest.Throttle(503, "1"),
	} {
		s.Forget()
		s.Fail("/doc", upstreamtest.Times(1, f))
		c := newClock()
		metrics := egress.NewMetrics()
		services := c.services()
		services.Metrics = metrics
		u := newUpstream(t, s.Config("own"), services)
		if body, _, err := get(t, u, egress.Request{URL: "doc"}); body != "here" || err != nil || s.Count("/doc") != 2 || len(c.waited) != 1 {
			t.Errorf("%s: %q, %v, %d requests, waited %v", name, body, err, s.Count("/doc"), c.waited)
		}
	}
	// The pauses between attempts grow, and are not all the same.
	s.Fail("/doc", upstreamtest.Status(500))
	c := newClock()
	config := s.Config("own")
	config.Limits.Attempts = 8
	s.Forget()
	if _, _, err := get(t, newUpstream(t, config, c.services()), egress.Request{URL: "doc"}); egress.KindOf(err) != egress.Answered || s.Count("/doc") != 8 || len(c.waited) != 7 {
		t.Errorf("%v, %d requests, waited %v", err, s.Count("/doc"), c.waited)
	}
	for i, d := range c.waited {
		if d <= 0 || d > 200*time.Millisecond<<i+time.Millisecond {
			t.Errorf("the pause before attempt %d is %v", i+2, d)
		}
	}
}

// A pause is the host's that asked for it, whether an index or a redirect leads there. The
// other hosts of the upstream are asked meanwhile.
func TestUpstream_ThrottledHost(t *testing.T) {
	for _, how := range []string{"address", "redirect"} {
		t.Run(how, func(t *testing.T) {
			index, files := upstreamtest.New(t), upstreamtest.New(t)
			index.Put("/doc", upstreamtest.File{Body: []byte("here")})
			files.Put("/file", upstreamtest.File{Body: []byte("bytes")})
			files.Fail("/file", upstreamtest.Times(1, upstreamtest.Throttle(http.StatusTooManyRequests, "90")))
			address := files.URL + "/file"
			if how == "redirect" {
				index.Fail("/file", upstreamtest.Redirect(files.URL+"/file"))
				address = "file"
			}
			c := newClock()
			u := newUpstream(t, index.Config("own", files), c.services())
			for range 2 {
				_, _, err := get(t, u, egress.Request{URL: address})
				if e, ok := err.(*egress.Error); !ok || e.Kind != egress.Throttled || e.RetryAfter != 90*time.Second || !strings.Contains(e.Message, files.Host()) {
					t.Errorf("the file: %v", err)
				}
			}
			if n := files.Count(""); n != 1 {
				t.Errorf("%d requests to the host in its pause", n)
			}
			if body, _, err := get(t, u, egress.Request{URL: "doc"}); body != "here" || err != nil {
				t.Errorf("the index in the pause of the other host: %q, %v", body, err)
			}
			_ = c.Wait(t.Context(), 90*time.Second)
			if body, _, err := get(t, u, egress.Request{URL: address}); body != "bytes" || err != nil {
				t.Errorf("after the pause: %q, %v", body, err)
			}
		})
	}
}

// One answer that asks for a pause stops all requests to the host, until its end.
func TestUpstream_ThrottledAsAWhole(t *testing.T) {
	for name, retryAfter := range map[string]string{"seconds": "90", "date": "Mon, 30 Nov 2026 12:01:30 GMT"} {
		for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
			s := upstreamtest.New(t)
			s.Put("/doc", upstreamtest.File{Body: []byte("here")})
			s.Put("/other", upstreamtest.File{Body: []byte("here too")})
			s.Fail("/doc", upstreamtest.Times(1, upstreamtest.Throttle(status, retryAfter)))
			c := newClock()
			u := newUpstream(t, s.Config("own"), c.services())
			for i, path := range []string{"doc", "other", "doc"} {
				_, _, err := get(t, u, egress.Request{URL: path})
				e, ok := err.(*egress.Error)
				if !ok || e.Kind != egress.Throttled || e.RetryAfter != 90*time.Second || (e.Status != 0) != (i == 0) {
					t.Errorf("%s %d, request %d: %v", name, status, i, err)
				}
			}
			if n := s.Count(""); n != 1 {
				t.Errorf("%s %d: %d requests in the pause", name, status, n)
			}
			_ = c.Wait(t.Context(), 90*time.Second)
			if body, _, err := get(t, u, egress.Request{URL: "other"}); body != "here too" || err != nil {
				t.Errorf("%s %d, after the pause: %q, %v", name, status, body, err)
			}
		}
	}
}

// An upstream that does not say how long is left alone for longer each time.
func TestUpstream_ThrottledWithoutTime(t *testing.T) {
	s := upstreamtest.New(t)
	s.Fail("", upstreamtest.Throttle(429, "soon"))
	c := newClock()
	config := s.Config("own")
	config.Limits.Attempts = 1
	u := newUpstream(t, config, c.services())
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		_, _, err := get(t, u, egress.Request{URL: "doc"})
		if e, ok := err.(*egress.Error); !ok || e.Kind != egress.Throttled || e.RetryAfter != want*time.Second {
			t.Fatalf("answer %d: %v, want a pause of %d s", i, err, want)
		}
		_ = c.Wait(t.Context(), want*time.Second)
	}
	s.Heal()
	s.Put("/doc", upstreamtest.File{Body: []byte("here")})
	if _, _, err := get(t, u, egress.Request{URL: "doc"}); err != nil {
		t.Fatal(err)
	}
	s.Fail("", upstreamtest.Throttle(429, ""))
	_, _, err := get(t, u, egress.Request{URL: "doc"})
	if e, ok := err.(*egress.Error); !ok || e.RetryAfter != time.Second {
		t.Errorf("after an answer: %v", err)
	}
}

// While an upstream is down the log has a warning now and then, not one for each request.
func TestUpstream_WarningsAreFew(t *testing.T) {
	s := upstreamtest.New(t)
	s.Fail("", upstreamtest.Status(http.StatusInternalServerError))
	c := newClock()
	services := c.services()
	var log bytes.Buffer
	services.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	config := s.Config("own")
	config.Limits.Attempts = 1
	u := newUpstream(t, config, services)
	for _, want := range []int{1, 2} {
		for range 20 {
			_, _, _ = get(t, u, egress.Request{URL: "doc"})
		}
		if n := strings.Count(log.String(), "\n"); n != want {
			t.Errorf("%d warnings, want %d:\n%s", n, want, log.String())
		}
		_ = c.Wait(t.Context(), 10*time.Second)
	}
}
