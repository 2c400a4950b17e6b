package ratelimit_test

import (
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/ratelimit"
)

func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(10, 20, time.Now)
		count := func(key string) (n int) {
			for {
				wait, ok := l.Allow(key)
				if !ok {
					if wait <= 0 || wait > time.Second/10 {
						t.Errorf("wait = %v", wait)
					}
					return n
				}
				n++
			}
		}
		if n := count("a"); n != 20 {
			t.Errorf("a burst of %d", n)
		}
		if n := count("b"); n != 20 {
			t.Errorf("another key has %d", n)
		}
		time.Sleep(time.Second)
		if n := count("a"); n != 10 {
			t.Errorf("%d a second", n)
		}
		time.Sleep(time.Hour)
		if n := count("a"); n != 20 {
			t.Errorf("a burst of %d after an hour", n)
		}
	})
}

func TestLimiter_Addr(t *testing.T) {
	l := ratelimit.New(1, 1, func() time.Time { return time.Unix(0, 0) })
	for _, tt := range []struct {
		address string
		ok      bool
	}{
		{"192.0.2.1", true},
		{"::ffff:192.0.2.1", false},
		{"192.0.2.2", true},
		{"2001:db8::1", true},
		{"2001:db8::2", false}, // one network
		{"2001:db8:0:1::1", true},
	} {
		if _, ok := l.AllowAddr(netip.MustParseAddr(tt.address)); ok != tt.ok {
			t.Errorf("%s: allowed is %v", tt.address, ok)
		}
	}
}

func TestLimiter_None(t *testing.T) {
	l := ratelimit.New(0, 10, time.Now)
	for range 1000 {
		if _, ok := l.Allow("a"); !ok {
			t.Fatal("a limiter without a limit refused")
		}
	}
}

func TestLimiter_Concurrent(t *testing.T) {
	l := ratelimit.New(1, 1000, func() time.Time { return time.Unix(0, 0) })
	var allowed atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 1000 {
				if _, ok := l.Allow("a"); ok {
					allowed.Add(1)
				}
			}
		})
	}
	all.Wait()
	if allowed.Load() != 1000 {
		t.Errorf("%d requests were allowed", allowed.Load())
	}
}

func TestLimiter_Allocations(t *testing.T) {
	l, key, a := ratelimit.New(1, 1, time.Now), strconv.Itoa(12345), netip.MustParseAddr("192.0.2.1")
	if n := testing.AllocsPerRun(100, func() { l.Allow(key); l.AllowAddr(a) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
