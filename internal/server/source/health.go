package source

import (
	"errors"
	"sync"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
)

// downAfter is how many questions in a row a registry leaves without an answer until it
// counts as down.
const downAfter = 3

// A health says whether a registry answers. While it is down, packages with an older
// document are answered from it at once. Otherwise each package of an installation would
// wait for the registry before it is. One question at a time finds out whether the registry
// is back.
type health struct {
	mu       sync.Mutex
	silent   int       // questions without an answer, in a row
	since    time.Time // of the first of them
	probing  bool
	lastTime time.Time // of the last probe
}

// missed notes a question without an answer. It reports whether the registry is down from
// now on.
func (h *health) missed(now time.Time) (wentDown bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.silent++; h.silent == 1 {
		h.since = now
	}
	return h.silent == downAfter
}

// answered notes an answer, of any kind. It reports whether the registry was down.
func (h *health) answered() (wasDown bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	wasDown = h.silent >= downAfter
	h.silent = 0
	return wasDown
}

// down reports whether the registry is down, and since when.
func (h *health) down() (since time.Time, down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.since, h.silent >= downAfter
}

// beginProbe reports whether the caller is to ask the registry now. If so, it calls
// endProbe.
func (h *health) beginProbe(now time.Time, pause time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if since := now.Sub(h.lastTime); h.probing || since >= 0 && since < pause {
		return false
	}
	h.probing, h.lastTime = true, now
	return true
}

func (h *health) endProbe() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.probing = false
}

// probe asks a registry that is down about a package, in the background, unless it is being
// asked.
func (c *Cache) probe(k key) {
	h := c.health[k.registry]
	if !h.beginProbe(c.now(), c.of(k.registry).Retry) {
		return
	}
	started := c.start(func() {
		defer h.endProbe()
		<-c.flight("ask "+k.String(), func() (any, error) { return c.refresh(k) })
	})
	if !started {
		h.endProbe()
	}
}

// downFailure is why an older document is used without asking.
func (c *Cache) downFailure(k key, since time.Time) error {
	return fault.New(fault.GatewayTimeout, "UpstreamTimeout", "The upstream %s has not answered for %s.", k.registry, c.age(since).Round(time.Second))
}

// watch notes whether the registry answers the question that begins now. Call the result at
// its end.
func (c *Cache) watch(k key) (ended func(error)) {
	h := c.health[k.registry]
	if h == nil {
		return func(error) {} // it is not configured
	}
	missed := func() {
		if h.missed(c.now()) {
			c.log.Warn("a package registry is down: what is known of packages is used without asking, until it answers again", "registry", k.registry)
			c.metrics.down.WithLabelValues(k.registry).Set(1)
		}
	}
	// A client has waited for so long in vain.
	impatient := time.AfterFunc(c.of(k.registry).Patience, missed)
	return func(err error) {
		inTime := impatient.Stop()
		switch {
		case answers(err):
			if h.answered() {
				c.log.Info("a package registry answers again", "registry", k.registry)
			}
			c.metrics.down.WithLabelValues(k.registry).Set(0)
		case inTime && isSilence(err):
			missed()
		}
	}
}

// answers reports whether a question with this result had an answer of the registry, if
// only that it has a problem of its own.
func answers(err error) bool {
	bad := (*BadAnswer)(nil)
	switch egress.KindOf(err) {
	case egress.Answered, egress.Malformed, egress.TooLarge, egress.Redirected:
		return true
	}
	return err == nil || errors.As(err, &bad)
}

// isSilence reports whether the registry did not answer. Limits of this server and pauses
// that the registry asks for are something else.
func isSilence(err error) bool {
	switch egress.KindOf(err) {
	case egress.TimedOut, egress.Unreachable, egress.Unresolved, egress.Interrupted:
		return true
	}
	return false
}
