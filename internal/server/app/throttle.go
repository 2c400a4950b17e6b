package app

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
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
	address   *ratelimit.Limiter
	principal *ratelimit.Limiter
	quotas    map[string]*ratelimit.Limiter // by action, for accounts; nil if there are none
}

func newRates(l config.Limits) *rates {
	r := &rates{
		address:   ratelimit.New(l.AddressRate, burstSeconds*l.AddressRate, time.Now),
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
	if c := authn.FromContext(ctx); c != nil && c.Principal != nil {
		if _, ok := t.rates.principal.Allow(c.PrincipalARN); !ok {
			return errThrottled()
		}
		if _, ok := t.rates.quotas[r.Action].Allow(c.Account); !ok {
			return errThrottled()
		}
	}
	return t.next.Authorize(ctx, r)
}

// byAddress refuses requests of an address that exceeds its rate, before anything
// else is done for them. answer writes the refusal. This machine has no rate: a proxy
// on it that is not configured would share one between all clients.
func (t *rates) byAddress(next http.Handler, answer http.HandlerFunc) http.Handler {
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
		audit.From(r.Context()).Failed("Throttling", "Rate exceeded")
		w.Header().Set("Retry-After", "1")
		answer(w, r)
	})
}

// The refusals below have the form of their protocol, so that SDKs and clients
// recognize them and wait.

func throttledRegistry(w http.ResponseWriter, _ *http.Request) {
	writeThrottled(w, http.StatusTooManyRequests, "application/json", `{"errors":[{"code":"TOOMANYREQUESTS","message":"Rate exceeded"}]}`)
}

func throttledPackages(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-Amzn-Errortype", "ThrottlingException")
	writeThrottled(w, http.StatusTooManyRequests, "application/json", `{"message":"Rate exceeded"}`)
}

func throttledAPI(w http.ResponseWriter, r *http.Request) {
	const asJSON = `{"__type":"ThrottlingException","message":"Rate exceeded"}`
	switch {
	case r.Header.Get("X-Amz-Target") != "":
		w.Header().Set("X-Amzn-Errortype", "ThrottlingException")
		writeThrottled(w, http.StatusBadRequest, "application/x-amz-json-1.1", asJSON)
	case strings.HasPrefix(r.URL.Path, "/v1/"):
		w.Header().Set("X-Amzn-Errortype", "ThrottlingException")
		writeThrottled(w, http.StatusTooManyRequests, "application/json", asJSON)
	default:
		var id strings.Builder
		_ = xml.EscapeText(&id, []byte(w.Header().Get("X-Amzn-Requestid"))) // a Builder does not fail
		writeThrottled(w, http.StatusBadRequest, "text/xml", fmt.Sprintf(
			"<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message></Error><RequestId>%s</RequestId></ErrorResponse>", id.String()))
	}
}

func writeThrottled(w http.ResponseWriter, status int, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}
