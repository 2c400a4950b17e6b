package app

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/ratelimit"
)

const (
	// refusalsInFull is how many refusals of one kind a minute are logged and audited
	// completely. The rest are counted.
	refusalsInFull = 20
	// maxRefusalKinds bounds the kinds that are told apart in a minute.
	maxRefusalKinds = 4096
	refusalInterval = time.Minute
)

// refusals summarize requests that are refused again and again. A client without
// credentials must not be able to fill the disk with lines, or to push the records
// that matter out of an audit log of limited size.
type refusals struct {
	log   *slog.Logger
	audit *audit.Log
	now   func() time.Time

	mu    sync.Mutex
	kinds map[refusalKind]int
}

// A refusalKind is what refusals of one summary have in common.
type refusalKind struct {
	source string // an address or, if the client is known, a principal
	status int
	code   string
}

// summarized reports whether a finished request is only counted, because it is one of
// many refusals of its kind.
func (f *refusals) summarized(e *audit.Entry, status int) bool {
	if status < 400 || status >= 500 {
		return false
	}
	kind := refusalKind{e.SourceIP, status, e.Code()}
	if a, err := netip.ParseAddr(e.SourceIP); err == nil {
		kind.source = ratelimit.Client(a).String()
	}
	if principal := e.Principal(); principal != "" {
		if kind.code != "Throttling" {
			return false // what known callers do is always recorded
		}
		kind.source = principal
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.kinds[kind]; !ok && len(f.kinds) >= maxRefusalKinds {
		kind = refusalKind{"others", status, ""}
	}
	f.kinds[kind]++
	return f.kinds[kind] > refusalsInFull
}

// run writes a summary of each interval until ctx ends, and of the last one.
func (f *refusals) run(ctx context.Context) {
	tick := time.NewTicker(refusalInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f.summarize()
		case <-ctx.Done():
			f.summarize()
			return
		}
	}
}

func (f *refusals) summarize() {
	f.mu.Lock()
	kinds := f.kinds
	f.kinds = map[refusalKind]int{}
	f.mu.Unlock()
	for kind, n := range kinds {
		if n <= refusalsInFull {
			continue
		}
		more := n - refusalsInFull
		f.log.Warn("more requests were refused and not logged one by one", "source", kind.source, "status", kind.status, "error", kind.code, "count", more)
		params := map[string]any{"source": kind.source, "status": kind.status, "errorCode": kind.code, "count": more}
		if err := f.audit.Write(audit.ServiceEvent("gatehouse", "RefusedRequests", "", params, f.now())); err != nil {
			f.log.Error("audit", "error", err)
		}
	}
}
