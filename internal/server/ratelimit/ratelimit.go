// Package ratelimit limits how many requests a second a key may make: an address or
// a principal.
//
// A [Limiter] has no lock and allocates nothing: each key has a place in a fixed
// table, and the place is one number that is changed atomically. Keys that share a
// place share its rate, which is rare with limits that no ordinary client reaches;
// the places are chosen by a random seed, so that a client cannot aim at another's.
package ratelimit

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// places is the size of a limiter's table.
const places = 1 << 14

// A Limiter allows each key a number of requests a second, and a burst of more. It is
// a generic cell rate algorithm: the number of a place is the time at which its
// allowance will be complete again. It is safe for use by many goroutines. A nil
// Limiter allows everything.
type Limiter struct {
	interval time.Duration // between two requests at the rate
	burst    time.Duration // how much of that can be used at once
	now      func() time.Time
	start    time.Time
	seed     maphash.Seed
	table    []atomic.Int64
}

// New returns a limiter of perSecond requests a second and bursts of burst requests.
// It returns nil if perSecond is 0.
func New(perSecond, burst int, now func() time.Time) *Limiter {
	if perSecond <= 0 {
		return nil
	}
	interval := time.Second / time.Duration(perSecond)
	return &Limiter{
		interval: interval, burst: interval * time.Duration(max(burst, 1)), now: now, start: now(),
		seed: maphash.MakeSeed(), table: make([]atomic.Int64, places),
	}
}

// Allow reports whether the key may make a request now. If it may not, wait is when
// it may.
func (l *Limiter) Allow(key string) (wait time.Duration, ok bool) {
	if l == nil {
		return 0, true
	}
	return l.take(maphash.String(l.seed, key))
}

// AllowAddr is [Limiter.Allow] for the client of an address: see [Client].
func (l *Limiter) AllowAddr(a netip.Addr) (wait time.Duration, ok bool) {
	if l == nil {
		return 0, true
	}
	bytes := Client(a).As16()
	return l.take(maphash.Bytes(l.seed, bytes[:]))
}

// Client is the address by which clients are told apart if something is limited for
// each of them. It is the address itself, or the first one of the IPv6 network of 64
// bits, since one client usually has all addresses of such a network.
func Client(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		return a
	}
	return netip.PrefixFrom(a, 64).Masked().Addr()
}

func (l *Limiter) take(hash uint64) (wait time.Duration, ok bool) {
	place := &l.table[hash%places]
	now := int64(l.now().Sub(l.start))
	for {
		complete := place.Load()
		next := max(complete, now) + int64(l.interval)
		if over := next - now - int64(l.burst); over > 0 {
			return time.Duration(over), false
		}
		if place.CompareAndSwap(complete, next) {
			return 0, true
		}
	}
}
