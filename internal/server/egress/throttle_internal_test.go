package egress

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

func FuzzParseRetryAfter(f *testing.F) {
	for _, text := range []string{"", "0", "120", " 5 ", "-1", "1.5", "99999999999999999999", "Mon, 30 Nov 2026 12:00:10 GMT", "Monday, 30-Nov-26 12:00:10 GMT", "soon", "1e3", "０"} {
		f.Add(text)
	}
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		d, ok := parseRetryAfter(text, now)
		if d < 0 || d > maxPause || !ok && d != 0 {
			t.Errorf("%q: %v, %v", text, d, ok)
		}
	})
}

// Hosts that a hostile index names do not take memory without bound.
func TestThrottle_ManyHosts(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	th := newThrottle(Services{Now: func() time.Time { return now }})
	long := http.Header{"Retry-After": {"3000"}}
	th.pause("registry.example:443", long)
	for i := range 3 * maxPauses {
		th.pause(fmt.Sprintf("%d.example:443", i), nil)
	}
	if _, left := th.left("registry.example:443"); left == 0 || len(th.hosts) > maxPauses {
		t.Errorf("%d hosts, and the longest pause has %v left", len(th.hosts), left)
	}
}

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"0": 0, "120": 2 * time.Minute, " 5 ": 5 * time.Second, "99999999999999999999": maxPause, "7200": maxPause,
		"Mon, 30 Nov 2026 12:00:10 GMT": 10 * time.Second, "Mon, 30 Nov 2026 11:00:10 GMT": 0, "Mon, 30 Nov 2096 12:00:10 GMT": maxPause,
		"": -1, "-1": -1, "1.5": -1, "soon": -1,
	} {
		d, ok := parseRetryAfter(text, now)
		if ok != (want >= 0) || ok && d != want {
			t.Errorf("%q: %v, %v", text, d, ok)
		}
	}
}

// A URL is shown without what can be secret in it.
func FuzzShown(f *testing.F) {
	for _, text := range []string{"https://u:p@a/b?c#d", "a b", "//x?y", "https://a/%zz", "a:b@c", "?x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once := shown(text)
		if again := shown(once); again != once && once != "an address that is not a URL" {
			t.Errorf("%q: %q, then %q", text, once, again)
		}
	})
}

func FuzzResolve(f *testing.F) {
	u, err := NewUpstream(UpstreamConfig{URL: "https://registry.example/base"}, Services{})
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{"a", "../a", "%2e%2e/a", "https://b/c", "@a%2fb", `..\a`, "a/..", "?..", "//b/c", "#a"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := u.Resolve(text)
		if err != nil {
			return
		}
		if r.Hostname() == "" || r.User != nil || r.Fragment != "" {
			t.Errorf("%q: %v", text, r)
		}
		if !absolute.MatchString(text) && (r.Host != u.base.Host || leadsUp(r.EscapedPath())) {
			t.Errorf("%q leads to %v", text, r)
		}
	})
}
