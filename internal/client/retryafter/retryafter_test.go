package retryafter_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/client/retryafter"
)

func TestRoundTrip(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, c := range map[string]struct {
		status int
		header string
		body   io.Reader
		busy   int // how often the server is busy
		want   int
		slept  time.Duration
	}{
		"seconds":              {429, "7", nil, 2, 200, 14 * time.Second},
		"a date":               {503, now.Add(9 * time.Second).Format(http.TimeFormat), nil, 1, 200, 9 * time.Second},
		"a body":               {503, "1", strings.NewReader("content"), 1, 200, time.Second},
		"a body that is gone":  {503, "1", io.MultiReader(strings.NewReader("content")), 1, 503, 0},
		"no header":            {503, "", nil, 1, 503, 0},
		"another error":        {500, "1", nil, 1, 500, 0},
		"always busy":          {429, "1", nil, 99, 429, 5 * time.Second},
		"far too long a pause": {429, "999999", nil, 1, 200, 2 * time.Minute},
	} {
		busy := c.busy
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got, _ := io.ReadAll(r.Body)
			if c.body != nil && string(got) != "content" {
				t.Errorf("%s: the body is %q", name, got)
			}
			if busy > 0 {
				busy--
				w.Header().Set("Retry-After", c.header)
				w.WriteHeader(c.status)
			}
		}))
		var slept time.Duration
		client := &http.Client{Transport: &retryafter.Transport{
			Base: http.DefaultTransport, Now: func() time.Time { return now },
			Sleep: func(_ context.Context, d time.Duration) error { slept += d; return nil },
		}}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL, c.body)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		s.Close()
		if res.StatusCode != c.want || slept != c.slept {
			t.Errorf("%s: %d after %s", name, res.StatusCode, slept)
		}
	}
}

func TestRoundTrip_GivenUp(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	client := &http.Client{Transport: &retryafter.Transport{Base: roundTripper(func(r *http.Request) (*http.Response, error) {
		defer cancel()
		return http.DefaultTransport.RoundTrip(r)
	})}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Do(r); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
