package app

import (
	"cmp"
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/ratelimit"
)

// burstSeconds is how many seconds of its rate a client can use at once: tools start
// with many parallel requests.
const burstSeconds = 5

// rates are the limits of requests by address and of actions by principal.
type rates struct {
	address *ratelimit.Limiter
	// anonymous is for requests of the registry without a token, by address.
	anonymous *ratelimit.Limiter
	principal *ratelimit.Limiter
	quotas    map[string]*ratelimit.Limiter // by action, for accounts; nil if there are none
}

func newRates(l config.Limits) *rates {
	r := &rates{
		address:   ratelimit.New(l.AddressRate, burstSeconds*l.AddressRate, time.Now),
		anonymous: ratelimit.New(l.AnonymousRate, burstSeconds*l.AnonymousRate, time.Now),
		principal: ratelimit.New(l.PrincipalRate, burstSeconds*l.PrincipalRate, time.Now),
	}
	if l.AWSQuotas {
		r.quotas = map[string]*ratelimit.Limiter{}
		for action, rate := range ratelimit.AWSQuotas {
			r.quotas[action] = ratelimit.New(rate, rate, time.Now)
		}
	}
	return r
}

// errThrottled is AWS's error for a rate that is exceeded.
func errThrottled() error { return fault.New(fault.Throttled, "Throttling", "Rate exceeded") }

// A throttledAuthorizer refuses actions of principals that exceed their rate, before
// they are authorized. Every route authorizes each of its actions.
type throttledAuthorizer struct {
	next  authz.Authorizer
	rates *rates
}

// Authorize implements authz.Authorizer.
func (t *throttledAuthorizer) Authorize(ctx context.Context, r *authz.Request) error {
	// Who has no token has a rate by address, which the registry's handler applies.
	if c := authn.FromContext(ctx); c != nil && c.Principal != nil && c.Type != authn.Anonymous {
		// A web identity has no ARN of a principal, and must not use up the rate of all others.
		if _, ok := t.rates.principal.Allow(cmp.Or(c.PrincipalARN, c.ARN)); !ok {
			return errThrottled()
		}
		if _, ok := t.rates.quotas[r.Action].Allow(c.Account); !ok {
			return errThrottled()
		}
	}
	return t.next.Authorize(ctx, r)
}

// byAddress refuses requests of an address that exceeds its rate, before anything
// else is done for them. This machine has no rate: a proxy
// on it that is not configured would share one between all clients.
func (t *rates) byAddress(next http.Handler, refuse answerer) http.Handler {
	if t.address == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || from.Addr().Unmap().IsLoopback() {
			next.ServeHTTP(w, r)
			return
		}
		if _, ok := t.address.AllowAddr(from.Addr()); ok {
			next.ServeHTTP(w, r)
			return
		}
		refuse.answer(w, r, throttled)
	})
}
