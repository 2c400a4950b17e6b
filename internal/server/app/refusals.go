package app

import (
	"context"
	"log/slog"
	"net/http"
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
// that matter out of an audit log of limited size. A store that does not answer must not
// do so either: all requests are then refused with 503.
type refusals struct {
	log   *slog.Logger
	audit *audit.Log
	now   func() time.Time

	mu    sync.Mutex
	kinds map[refusalKind]*refusalCount
}

func newRefusals(log *slog.Logger, audit *audit.Log, now func() time.Time) *refusals {
	return &refusals{log: log, audit: audit, now: now, kinds: map[refusalKind]*refusalCount{}}
}

// A refusalKind is what refusals of one summary have in common.
type refusalKind struct {
	source string // an address or, if the client is known, a principal; empty if it is not the reason
	status int
	code   string
}

// A refusalCount counts refusals of one kind in a minute.
type refusalCount struct {
	all        int
	unrecorded int // those without an audit record of their own
}

// A treatment is what is written about a finished request.
type treatment struct{ record, line bool }

// treat decides what is written about a finished request. One of many refusals of its
// kind is only counted.
func (f *refusals) treat(e *audit.Entry, status int) treatment {
	kind := refusalKind{e.SourceIP, status, e.Code()}
	// What known callers do is always recorded, unless they are too many.
	recorded := e.Principal() != "" && kind.code != "Throttling"
	switch {
	case status == http.StatusServiceUnavailable:
		kind.source = ""
	case status < 400 || status >= 500 || recorded:
		return treatment{record: true, line: true}
	case e.Principal() != "":
		kind.source = e.Principal()
	default:
		if a, err := netip.ParseAddr(e.SourceIP); err == nil {
			kind.source = ratelimit.Client(a).String()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	count, ok := f.kinds[kind]
	if !ok {
		if len(f.kinds) >= maxRefusalKinds {
			kind = refusalKind{"others", status, ""}
		}
		if count, ok = f.kinds[kind]; !ok {
			count = new(refusalCount)
			f.kinds[kind] = count
		}
	}
	if count.all++; count.all <= refusalsInFull {
		return treatment{record: true, line: true}
	}
	if !recorded {
		count.unrecorded++
	}
	return treatment{record: recorded}
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
	f.kinds = map[refusalKind]*refusalCount{}
	f.mu.Unlock()
	for kind, n := range kinds {
		if n.all <= refusalsInFull {
			continue
		}
		level := slog.LevelWarn
		if kind.status >= 500 {
			level = slog.LevelError
		}
		f.log.Log(context.Background(), level, "more requests were refused and not logged one by one", "source", kind.source, "status", kind.status, "error", kind.code, "count", n.all-refusalsInFull)
		if n.unrecorded == 0 {
			continue
		}
		params := map[string]any{"source": kind.source, "status": kind.status, "errorCode": kind.code, "count": n.unrecorded}
		if err := f.audit.Write(audit.ServiceEvent("gatehouse", "RefusedRequests", "", params, f.now())); err != nil {
			f.log.Error("audit", "error", err)
		}
	}
}
